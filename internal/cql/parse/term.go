package parse

const constantsSlab = 8

// constant takes the literal in hand.
func (p *parser) constant(k ConstantKind, text string) *Constant {
	if len(p.constants) == 0 {
		p.constants = make([]Constant, constantsSlab)
	}
	c := &p.constants[0]
	p.constants = p.constants[1:]
	c.Kind, c.Text = k, text
	p.advance()
	return c
}

// literal takes the token in hand if it is a constant, and is nil otherwise.
// NULL counts only where it is a value, so not here.
func (p *parser) literal() *Constant {
	t := p.tok
	switch t.kind {
	case tokString:
		return p.constant(String, p.text(t))
	case tokInteger:
		return p.constant(Integer, p.text(t))
	case tokFloat:
		return p.constant(Float, p.text(t))
	case tokBoolean:
		return p.constant(Boolean, p.text(t))
	case tokUUID:
		return p.constant(UUID, p.text(t))
	case tokHex:
		return p.constant(Hex, p.text(t))
	case tokDuration:
		return p.constant(Duration, p.text(t))
	case tokNaN:
		return p.constant(Float, "NaN")
	case tokInfinity:
		if p.lexer.src[t.start] == '-' {
			return p.constant(Float, "-Infinity")
		}
		return p.constant(Float, "Infinity")
	}
	return nil
}

// marker takes ? or :name; the caller has seen one of them.
func (p *parser) marker() *BindMarker {
	m := &BindMarker{Index: len(p.marks)}
	if !p.accept(tokMarker) {
		p.expect(tokColon)
		m.Name = p.name()
	}
	p.marks = append(p.marks, Marker{Index: m.Index, Name: m.Name})
	return m
}

func (p *parser) atMarker() bool { return p.at(tokMarker) || p.at(tokColon) }

// intValue takes an integer or a marker.
func (p *parser) intValue() Expr {
	if p.atMarker() {
		return p.marker()
	}
	if p.at(tokInteger) {
		return p.literal()
	}
	p.noViable()
	return nil
}

// term takes a value expression: no columns in it. What may follow one is checked
// here, as Cassandra's parser does to decide whether the expression goes on.
func (p *parser) term() Expr {
	e := p.addition()
	if !p.failed && !followsTerm(p.tok.kind) {
		p.noViable()
	}
	return e
}

func followsTerm(k kind) bool {
	switch k {
	case tokEOF, tokSemicolon, tokRParen, tokRBracket, tokRBrace, tokComma, tokColon, tokRange, tokPlus, kwAnd,
		kwWhere, kwIf, kwOrder, kwGroup, kwPer, kwLimit, kwAllow, kwApply, kwInsert, kwUpdate, kwDelete,
		kwAs, kwAsc, kwDesc, kwPrimary:
		return true
	}
	return false
}

func (p *parser) addition() Expr {
	e := p.multiplication()
	for n := 0; p.at(tokPlus) || p.at(tokMinus); n++ {
		op := p.tok.kind
		if op == tokPlus && p.beforeColumn && isColumnName(p.peek()) {
			if p.plainColumnFollows() {
				return e
			}
		}
		if !p.chain(n) {
			return e
		}
		p.advance()
		e = &Binary{Op: operatorByte(op), X: e, Y: p.multiplication()}
	}
	return e
}

// plainColumnFollows tells whether a name that is no function's follows the
// operator in hand.
func (p *parser) plainColumnFollows() bool {
	s := p.save()
	p.advance()
	next := p.peek()
	p.restore(s)
	return next != tokLParen && next != tokDot
}

func operatorByte(k kind) byte {
	switch k {
	case tokPlus:
		return '+'
	case tokMinus:
		return '-'
	case tokStar:
		return '*'
	case tokSlash:
		return '/'
	}
	return '%'
}

func isMultiplication(k kind) bool { return k == tokStar || k == tokSlash || k == tokPercent }

func (p *parser) multiplication() Expr {
	e := p.signed()
	for n := 0; isMultiplication(p.tok.kind); n++ {
		if !p.chain(n) {
			return e
		}
		op := operatorByte(p.tok.kind)
		p.advance()
		e = &Binary{Op: op, X: e, Y: p.signed()}
	}
	return e
}

func (p *parser) signed() Expr {
	if p.accept(tokMinus) {
		return &Negate{X: p.simpleTerm()}
	}
	return p.simpleTerm()
}

func (p *parser) simpleTerm() Expr {
	if c := p.literal(); c != nil {
		return c
	}
	defer p.leave()
	if !p.enter() {
		return nil
	}
	// Only the outermost addition of an assignment may end in a column.
	outer := p.beforeColumn
	p.beforeColumn = false
	e := p.compoundTerm()
	p.beforeColumn = outer
	return e
}

func (p *parser) compoundTerm() Expr {
	switch p.tok.kind {
	case kwNull:
		return p.constant(Null, "")
	case tokMarker, tokColon:
		return p.marker()
	case tokLBracket:
		p.advance()
		return &ListLit{Elems: p.terms(tokRBracket)}
	case tokLBrace:
		return p.braces()
	case tokLParen:
		return p.parentheses()
	case kwCast:
		if p.peek() == tokLParen {
			p.advance()
			p.advance()
			c := &Cast{X: p.simpleTerm()}
			p.expect(kwAs)
			c.Type = p.nativeType()
			p.expect(tokRParen)
			return c
		}
	}
	if isName(p.tok.kind) || p.at(kwToken) {
		return p.call(false)
	}
	p.noViable()
	return nil
}

// terms takes [term {, term}] and the closing token.
func (p *parser) terms(end kind) []Expr {
	if p.accept(end) {
		return nil
	}
	return p.termsNotEmpty(end)
}

func (p *parser) termsNotEmpty(end kind) []Expr {
	var scratch [16]Expr
	list := append(scratch[:0], p.term())
	for p.accept(tokComma) {
		list = append(list, p.term())
	}
	p.expect(end)
	return append(make([]Expr, 0, len(list)), list...)
}

// call takes a function call over terms or over selections; the token in hand is
// a name. A name that turns out to be no function's fails where the choice began.
func (p *parser) call(selection bool) Expr {
	arg := p.term
	if selection {
		arg = p.selection
	}
	first := p.tok
	name, ok := p.functionName()
	if p.failed {
		return nil
	}
	if !ok || !p.at(tokLParen) {
		if name.Keyspace != "" {
			p.noViableBehind(first)
		} else {
			p.noViableFrom(first)
		}
		return nil
	}
	p.advance()
	c := &Call{Name: name}
	if p.accept(tokRParen) {
		return c
	}
	if p.at(tokStar) {
		if selection {
			p.mismatch(tokRParen)
		} else {
			p.noViableFrom(first)
		}
		return nil
	}
	c.Args = append(c.Args, arg())
	for p.accept(tokComma) {
		c.Args = append(c.Args, arg())
	}
	p.expect(tokRParen)
	return c
}

// functionName takes [keyspace.]function; ok is false for a name that functions
// cannot have.
func (p *parser) functionName() (n QualifiedName, ok bool) {
	t := p.tok
	p.advance()
	if isName(t.kind) && p.at(tokDot) {
		n.Keyspace = p.nameText(t)
		p.advance()
		t = p.tok
		if !isFunctionName(t.kind) {
			p.noViable()
			return n, false
		}
		p.advance()
	}
	n.Name = p.nameText(t)
	return n, isFunctionName(t.kind)
}

// braces takes a set, a map or a value of a user-defined type.
func (p *parser) braces() Expr {
	open := p.tok
	p.advance()
	if p.accept(tokRBrace) {
		return &SetLit{}
	}
	if isName(p.tok.kind) {
		switch p.peek() {
		case tokColon:
			return p.udt()
		case tokLParen, tokDot:
		default:
			p.advance()
			p.noViableFrom(open)
			return nil
		}
	}
	first := p.term()
	if p.at(tokColon) {
		m := &MapLit{}
		for key := first; ; key = p.term() {
			p.expect(tokColon)
			m.Entries = append(m.Entries, MapEntry{Key: key, Value: p.term()})
			if !p.accept(tokComma) {
				break
			}
		}
		p.expect(tokRBrace)
		return m
	}
	s := &SetLit{Elems: []Expr{first}}
	for p.accept(tokComma) {
		s.Elems = append(s.Elems, p.term())
	}
	p.expect(tokRBrace)
	return s
}

func (p *parser) udt() Expr {
	u := &UDTLit{}
	for {
		f := FieldValue{Name: p.name()}
		p.expect(tokColon)
		f.Value = p.term()
		u.Fields = append(u.Fields, f)
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(tokRBrace)
	return u
}

// parentheses takes a tuple or a type hint with its operand.
func (p *parser) parentheses() Expr {
	open := p.tok
	s := p.save()
	if t, ok := p.hintType(); ok {
		// A string in parentheses may be a value as well, a name may not.
		if t.Kind != CustomType || startsSimpleTerm(p.tok.kind) {
			return &TypeHint{Type: t, X: p.simpleTerm()}
		}
		p.restore(s)
	}
	p.advance()
	switch {
	case p.at(tokRParen):
		p.noViableFrom(open)
		return nil
	case isName(p.tok.kind) && p.peek() != tokLParen && p.peek() != tokDot:
		p.advance()
		p.noViableFrom(open)
		return nil
	}
	return &TupleLit{Elems: p.termsNotEmpty(tokRParen)}
}

// hintType tries to take `(type)`; without success nothing is taken.
func (p *parser) hintType() (TypeExpr, bool) {
	if k := p.peek(); !isName(k) && k != tokString && k != kwSet {
		return TypeExpr{}, false
	}
	s := p.save()
	p.advance()
	t := p.typeExpr()
	if p.accept(tokRParen) {
		return t, true
	}
	if !p.failed || p.failure.text != tooDeep {
		p.restore(s)
	}
	return TypeExpr{}, false
}

// startsSimpleTerm tells whether a simple term can begin with k.
func startsSimpleTerm(k kind) bool {
	switch k {
	case tokString, tokInteger, tokFloat, tokBoolean, tokUUID, tokHex, tokDuration, tokNaN, tokInfinity, tokMarker,
		tokColon, tokLParen, tokLBracket, tokLBrace, kwNull, kwToken:
		return true
	}
	return isName(k)
}
