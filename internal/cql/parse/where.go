package parse

// where takes relation {AND relation}.
func (p *parser) where() []Relation {
	var scratch [8]Relation
	list := append(scratch[:0], p.relation())
	for p.accept(kwAnd) {
		list = append(list, p.relation())
	}
	return append(make([]Relation, 0, len(list)), list...)
}

func (p *parser) relation() Relation {
	switch k := p.tok.kind; {
	case k == tokExprOpen:
		p.advance()
		r := Relation{Kind: CustomRelation, Index: QualifiedName{Name: p.named("index")}}
		p.expect(tokComma)
		r.Value = p.term()
		p.expect(tokRParen)
		return r
	case k == kwToken:
		p.advance()
		p.expect(tokLParen)
		r := Relation{Kind: TokenRelation, Columns: p.columns()}
		r.Op = p.comparison()
		r.Value = p.term()
		return r
	case k == tokLParen:
		return p.parenthesized()
	case isColumnName(k):
		return p.columnRelation()
	}
	p.noViable()
	return Relation{}
}

// columns takes column {, column} ).
func (p *parser) columns() []string {
	list := []string{p.columnName()}
	for p.accept(tokComma) {
		list = append(list, p.columnName())
	}
	p.expect(tokRParen)
	return list
}

var comparisons = [kindCount]Operator{tokEq: Eq, tokNeq: Neq, tokLt: Lt, tokLe: Le, tokGt: Gt, tokGe: Ge}

func isComparison(k kind) bool { return k >= tokEq && k <= tokNeq }

// comparison takes one of = != < <= > >=.
func (p *parser) comparison() Operator {
	k := p.tok.kind
	if !isComparison(k) {
		p.noViable()
		return Eq
	}
	p.advance()
	return comparisons[k]
}

// columnRelation takes a relation that begins with a column.
func (p *parser) columnRelation() Relation {
	first := p.tok
	r := Relation{Columns: []string{p.columnName()}}
	switch k := p.tok.kind; {
	case isComparison(k):
		p.advance()
		r.Op, r.Value = comparisons[k], p.term()
	case k == tokLBracket:
		p.advance()
		r.Kind, r.Key = ElementRelation, p.term()
		p.expect(tokRBracket)
		r.Op = p.comparison()
		r.Value = p.term()
	case k == kwLike:
		p.advance()
		r.Op, r.Value = Like, p.term()
	case k == kwIs:
		p.advance()
		p.expect(kwNot)
		p.expect(kwNull)
		r.Op = IsNotNull
	case k == kwContains:
		r.Op, r.Value = p.contains()
	case k == kwIn:
		p.advance()
		r.Op = In
		if !p.atMarker() && !p.at(tokLParen) {
			p.noViableBehind(first)
		}
		r.Value, r.Values = p.inValues()
	default:
		p.noViableFrom(first)
	}
	return r
}

func (p *parser) contains() (Operator, Expr) {
	p.expect(kwContains)
	op := Contains
	// KEY could only be the value itself if it were a function's name.
	if p.accept(kwKey) {
		op = ContainsKey
	}
	return op, p.term()
}

// inValues takes a marker or a list in parentheses.
func (p *parser) inValues() (Expr, []Expr) {
	if p.atMarker() {
		return p.marker(), nil
	}
	if !p.accept(tokLParen) {
		p.noViable()
		return nil, nil
	}
	return nil, p.terms(tokRParen)
}

// parenthesized takes (a, b) op value, or a relation in parentheses.
func (p *parser) parenthesized() Relation {
	open := p.tok
	defer p.leave()
	if !p.enter() {
		return Relation{}
	}
	s := p.save()
	p.advance()
	if isColumnName(p.tok.kind) {
		switch next := p.peek(); {
		case next == tokComma || next == tokRParen:
			return p.tupleRelation()
		case !isComparison(next) && next != tokLBracket && next != kwLike && next != kwIs && next != kwContains &&
			next != kwIn:
			p.advance()
			p.noViableFrom(open)
			return Relation{}
		}
	} else if k := p.tok.kind; k != tokLParen && k != kwToken {
		if p.at(tokStop) {
			p.restore(s)
			p.noViable()
		}
		p.noViableFrom(open)
		return Relation{}
	}
	r := p.relation()
	p.expect(tokRParen)
	return r
}

func (p *parser) tupleRelation() Relation {
	r := Relation{Kind: TupleRelation, Columns: p.columns()}
	if p.accept(kwIn) {
		r.Op = In
		r.Value, r.Values = p.tupleInValues()
		return r
	}
	op := p.tok
	r.Op = p.comparison()
	switch {
	case p.atMarker():
		r.Value = p.marker()
	case p.at(tokLParen):
		r.Value = p.tuple()
	default:
		p.noViableFrom(op)
	}
	return r
}

// tuple takes a tuple of terms; the parenthesis is in hand.
func (p *parser) tuple() Expr {
	p.expect(tokLParen)
	return &TupleLit{Elems: p.termsNotEmpty(tokRParen)}
}

// tupleInValues takes a marker, a list of tuples or a list of markers.
func (p *parser) tupleInValues() (Expr, []Expr) {
	if p.atMarker() {
		return p.marker(), nil
	}
	if !p.at(tokLParen) {
		p.noViable()
		return nil, nil
	}
	open := p.tok
	p.advance()
	if p.accept(tokRParen) {
		return nil, nil
	}
	list := []Expr{}
	markers := p.atMarker()
	if !markers && !p.at(tokLParen) {
		p.noViableFrom(open)
	}
	for {
		switch {
		case !markers:
			list = append(list, p.tuple())
		case p.atMarker():
			list = append(list, p.marker())
		default:
			p.noViable()
		}
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(tokRParen)
	return nil, list
}

// conditions takes what follows IF: EXISTS or condition {AND condition}.
func (p *parser) conditions() (exists bool, list []Condition) {
	if p.at(kwExists) {
		switch next := p.peek(); {
		case isComparison(next) || next == kwIn || next == kwContains || next == tokLBracket || next == tokDot:
			// a column called exists
		case next == tokEOF || next == tokSemicolon || next == kwApply || next == kwInsert || next == kwUpdate ||
			next == kwDelete:
			p.advance()
			return true, nil
		default:
			p.noViableNext()
			return false, nil
		}
	}
	list = append(list, p.condition())
	for p.accept(kwAnd) {
		list = append(list, p.condition())
	}
	return false, list
}

func (p *parser) condition() Condition {
	c := Condition{Column: p.columnName()}
	whole := false
	switch {
	case p.accept(tokLBracket):
		c.Key = p.term()
		p.expect(tokRBracket)
	case p.accept(tokDot):
		c.Field = p.name()
	default:
		whole = true
	}
	switch {
	case p.accept(kwIn):
		c.Op = In
		c.Value, c.Values = p.inValues()
	case whole && p.at(kwContains):
		c.Op, c.Value = p.contains()
	default:
		c.Op = p.comparison()
		c.Value = p.term()
	}
	return c
}
