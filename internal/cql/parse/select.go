package parse

func (p *parser) selectStatement() Statement {
	p.expect(kwSelect)
	s := &Select{}
	if p.at(kwJson) && startsSelection(p.peek()) {
		p.advance()
		s.JSON = true
	}
	if p.at(kwDistinct) && startsSelection(p.peek()) {
		p.advance()
		s.Distinct = true
	}
	if !p.accept(tokStar) {
		s.Columns = p.selectors()
	}
	p.expect(kwFrom)
	s.From = p.table()
	if p.accept(kwWhere) {
		s.Where = p.where()
	}
	if p.acceptAll(kwGroup, kwBy) {
		s.GroupBy = append(s.GroupBy, p.selection())
		for p.accept(tokComma) {
			s.GroupBy = append(s.GroupBy, p.selection())
		}
	}
	if p.acceptAll(kwOrder, kwBy) {
		s.OrderBy = append(s.OrderBy, p.ordering())
		for p.accept(tokComma) {
			s.OrderBy = append(s.OrderBy, p.ordering())
		}
	}
	if p.acceptAll(kwPer, kwPartition, kwLimit) {
		s.PerPartitionLimit = p.intValue()
	}
	if p.accept(kwLimit) {
		s.Limit = p.intValue()
	}
	s.AllowFiltering = p.acceptAll(kwAllow, kwFiltering)
	s.list = p.marks
	return s
}

func (p *parser) ordering() Ordering {
	o := Ordering{Column: p.columnName()}
	if p.acceptAll(kwAnn, kwOf) {
		o.ANN = p.term()
	}
	if !p.accept(kwAsc) {
		o.Descending = p.accept(kwDesc)
	}
	return o
}

// startsSelection tells whether JSON or DISTINCT before k is the keyword; else
// it is a column of that name.
func startsSelection(k kind) bool {
	return startsSimpleTerm(k) || k == tokStar || k == tokMinus
}

func (p *parser) selectors() []Selector {
	var scratch [16]Selector
	list := append(scratch[:0], p.selector())
	for p.accept(tokComma) {
		list = append(list, p.selector())
	}
	return append(make([]Selector, 0, len(list)), list...)
}

func (p *parser) selector() Selector {
	s := Selector{Expr: p.selection()}
	if p.accept(kwAs) {
		s.Alias = p.name()
	}
	return s
}

// selection takes an expression over columns.
func (p *parser) selection() Expr {
	e := p.selectionProduct()
	for n := 0; p.at(tokPlus) || p.at(tokMinus); n++ {
		if !p.chain(n) {
			return e
		}
		op := operatorByte(p.tok.kind)
		p.advance()
		e = &Binary{Op: op, X: e, Y: p.selectionProduct()}
	}
	return e
}

func (p *parser) selectionProduct() Expr {
	e := p.selectionGroup()
	for n := 0; isMultiplication(p.tok.kind); n++ {
		if !p.chain(n) {
			return e
		}
		op := operatorByte(p.tok.kind)
		p.advance()
		e = &Binary{Op: op, X: e, Y: p.selectionGroup()}
	}
	return e
}

func (p *parser) selectionGroup() Expr {
	defer p.leave()
	if !p.enter() {
		return nil
	}
	if p.accept(tokMinus) {
		return &Negate{X: p.selectionGroup()}
	}
	e := p.primary()
	if p.failed || !p.at(tokDot) && !p.at(tokLBracket) {
		return e
	}
	before := p.save()
	m := p.modifiers(e)
	if p.failed && p.failure.form == plain {
		return m
	}
	if p.failed || !followsColumn(p.tok.kind) {
		// Cassandra then takes the operand without its modifiers and complains
		// about the first of them, having looked as far as here.
		p.seen = max(p.seen, p.furthest())
		p.restore(before)
		return e
	}
	return m
}

// modifiers takes any number of .field, [key] and [from..to].
func (p *parser) modifiers(e Expr) Expr {
	for n := 0; ; n++ {
		switch {
		case !p.chain(n):
			return e
		case p.accept(tokDot):
			e = &Field{X: e, Name: p.name()}
		case p.accept(tokLBracket):
			e = p.subSelection(e)
			p.expect(tokRBracket)
		default:
			return e
		}
	}
}

func (p *parser) subSelection(x Expr) Expr {
	if p.accept(tokRange) {
		return &Slice{X: x, To: p.term()}
	}
	key := p.term()
	if !p.accept(tokRange) {
		return &Element{X: x, Key: key}
	}
	s := &Slice{X: x, From: key}
	if !p.at(tokRBracket) {
		s.To = p.term()
	}
	return s
}

// primary takes an operand without modifiers.
func (p *parser) primary() Expr {
	if c := p.literal(); c != nil {
		return c
	}
	switch k := p.tok.kind; {
	case k == kwNull:
		return p.constant(Null, "")
	case k == tokMarker || k == tokColon:
		return p.marker()
	case k == kwToken:
		if p.peek() != tokLParen {
			p.advance()
			p.mismatch(tokLParen)
			return nil
		}
		return p.call(true)
	case k == tokLBracket:
		p.advance()
		if p.accept(tokRBracket) {
			return &ListLit{}
		}
		return &ListLit{Elems: p.selections(tokRBracket)}
	case k == tokLBrace:
		return p.selectionBraces()
	case k == tokLParen:
		if t, ok := p.selectionHint(); ok {
			return t
		}
		p.advance()
		return &TupleLit{Elems: p.selections(tokRParen)}
	case isName(k):
		return p.columnOrCall()
	}
	p.noViable()
	return nil
}

// selectionHint tries to take (type) and its operand. `(a) b` is always a hint;
// `(a)` without an operand is a tuple or just a.
func (p *parser) selectionHint() (Expr, bool) {
	s := p.save()
	t, ok := p.hintType()
	if !ok {
		return nil, false
	}
	if !startsSimpleTerm(p.tok.kind) {
		p.restore(s)
		return nil, false
	}
	defer p.leave()
	if !p.enter() {
		return nil, true
	}
	h := &TypeHint{Type: t, X: p.primary()}
	if p.failed && p.failure.form != plain {
		p.restore(s)
		return nil, false
	}
	return h, true
}

// selections takes selection {, selection} and the closing token.
func (p *parser) selections(end kind) []Expr {
	list := []Expr{p.selection()}
	for p.accept(tokComma) {
		list = append(list, p.selection())
	}
	p.expect(end)
	return list
}

// selectionBraces takes a set or a map. A map whose keys are all bare names is a
// UDTLit, the same as in terms.
func (p *parser) selectionBraces() Expr {
	p.advance()
	if p.accept(tokRBrace) {
		return &SetLit{}
	}
	first := p.selection()
	if !p.at(tokColon) {
		s := &SetLit{Elems: []Expr{first}}
		for p.accept(tokComma) {
			s.Elems = append(s.Elems, p.selection())
		}
		if !p.accept(tokRBrace) {
			p.noViable()
		}
		return s
	}
	m := &MapLit{}
	for key := first; ; key = p.selection() {
		p.expect(tokColon)
		m.Entries = append(m.Entries, MapEntry{Key: key, Value: p.selection()})
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(tokRBrace)
	return udtIfNamed(m)
}

func udtIfNamed(m *MapLit) Expr {
	u := &UDTLit{}
	for _, e := range m.Entries {
		c, ok := e.Key.(*Column)
		if !ok {
			return m
		}
		u.Fields = append(u.Fields, FieldValue{Name: c.Name, Value: e.Value})
	}
	return u
}

// columnOrCall takes what begins with a name: a column, a call, or one of the
// special forms count(*), cast, writetime, maxwritetime and ttl.
func (p *parser) columnOrCall() Expr {
	first := p.tok
	next := p.peek()
	if next == tokLParen {
		switch first.kind {
		case kwCount:
			return p.count()
		case kwTtl:
			return p.cellInfo(TTL)
		case kwWritetime:
			return p.cellInfo(WriteTime)
		case kwMaxwritetime:
			return p.cellInfo(MaxWriteTime)
		case kwCast:
			return p.selectionCast()
		}
		return p.call(true)
	}
	if next == tokDot && p.callFollows() {
		return p.call(true)
	}
	p.advance()
	if next == tokDot && isName(p.peek()) {
		p.fieldFollow(first)
	}
	if !followsColumn(p.tok.kind) {
		p.noViableFrom(first)
	}
	return &Column{Name: p.nameText(first)}
}

// callFollows tells whether keyspace.function( is ahead.
func (p *parser) callFollows() bool {
	s := p.save()
	p.advance()
	p.advance()
	ok := isFunctionName(p.tok.kind) && p.peek() == tokLParen
	p.restore(s)
	return ok
}

// fieldFollow checks what stands behind column.field; the point is in hand.
func (p *parser) fieldFollow(first token) {
	s := p.save()
	p.advance()
	p.advance()
	if !p.at(tokLParen) && !followsColumn(p.tok.kind) {
		p.noViableBehind(first)
		return
	}
	p.restore(s)
}

// followsColumn tells whether k may follow a column in a selection.
func followsColumn(k kind) bool {
	switch k {
	case tokEOF, tokSemicolon, tokRParen, tokRBracket, tokRBrace, tokLBracket, tokDot, tokComma, tokColon, tokPlus,
		tokMinus, tokStar, tokSlash, tokPercent, kwFrom, kwAs, kwOrder, kwPer, kwLimit, kwAllow:
		return true
	}
	return false
}

// count takes count(*) or a call of the function count.
func (p *parser) count() Expr {
	first := p.tok
	s := p.save()
	p.advance()
	p.advance()
	if p.accept(tokStar) {
		p.expect(tokRParen)
		return &Call{Name: QualifiedName{Name: "count"}, Star: true}
	}
	if !p.at(tokRParen) && !p.at(tokMinus) && !startsSimpleTerm(p.tok.kind) {
		p.noViableBehind(first)
		return nil
	}
	p.restore(s)
	return p.call(true)
}

func (p *parser) cellInfo(kind CellInfoKind) Expr {
	p.advance()
	p.advance()
	name := p.name()
	c := &CellInfo{Kind: kind, X: p.modifiers(&Column{Name: name})}
	p.expect(tokRParen)
	return c
}

func (p *parser) selectionCast() Expr {
	p.advance()
	p.advance()
	c := &Cast{X: p.selection()}
	p.expect(kwAs)
	c.Type = p.nativeType()
	p.expect(tokRParen)
	return c
}
