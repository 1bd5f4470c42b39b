package parse

func (p *parser) insert() Statement {
	from := len(p.marks)
	p.expect(kwInsert)
	p.expect(kwInto)
	s := &Insert{Into: p.table()}
	switch {
	case p.accept(tokLParen):
		s.Columns = p.insertColumns()
		p.expect(kwValues)
		p.expect(tokLParen)
		s.Values = p.termsNotEmpty(tokRParen)
	case p.accept(kwJson):
		s.JSON = p.jsonValue()
		if p.accept(kwDefault) {
			if p.accept(kwUnset) {
				s.JSONDefaultUnset = true
			} else if !p.accept(kwNull) {
				p.noViable()
			}
		}
	default:
		p.noViable()
	}
	s.IfNotExists = p.ifNotExists()
	s.Using = p.using()
	s.list = p.marks[from:len(p.marks):len(p.marks)]
	return s
}

func (p *parser) insertColumns() []string {
	var scratch [16]string
	list := append(scratch[:0], p.columnName())
	for p.accept(tokComma) {
		list = append(list, p.columnName())
	}
	p.expect(tokRParen)
	return append(make([]string, 0, len(list)), list...)
}

func (p *parser) jsonValue() Expr {
	if p.atMarker() {
		return p.marker()
	}
	if p.at(tokString) {
		return p.literal()
	}
	p.noViable()
	return nil
}

// using takes USING with its terms if it is there.
func (p *parser) using() (u Using) {
	if !p.accept(kwUsing) {
		return u
	}
	for {
		switch {
		case p.accept(kwTimestamp):
			p.usingOnce(u.Timestamp)
			u.Timestamp = p.intValue()
			u.TTLFirst = u.TTL != nil
		case p.accept(kwTtl):
			p.usingOnce(u.TTL)
			u.TTL = p.intValue()
			u.TTLFirst = u.Timestamp == nil
		default:
			p.noViable()
		}
		if !p.accept(kwAnd) {
			return u
		}
	}
}

// usingOnce: the last TTL or TIMESTAMP counts, as in Cassandra, but a marker must
// not vanish from the tree.
func (p *parser) usingOnce(previous Expr) {
	if _, ok := previous.(*BindMarker); ok {
		p.plain("Multiple definition of a bind variable in USING")
	}
}

func (p *parser) update() Statement {
	from := len(p.marks)
	p.expect(kwUpdate)
	s := &Update{Table: p.table()}
	s.Using = p.using()
	p.expect(kwSet)
	seen := assigned{}
	for {
		a := p.assignment()
		if !p.failed && !seen.add(a) {
			p.plain("Multiple incompatible setting of column " + a.Column)
		}
		s.Assignments = append(s.Assignments, a)
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(kwWhere)
	s.Where = p.where()
	if p.accept(kwIf) {
		s.IfExists, s.Conditions = p.conditions()
	}
	s.list = p.marks[from:len(p.marks):len(p.marks)]
	return s
}

// assigned remembers what an UPDATE has set: a column once as a whole, or any
// number of times in part, but each field only once.
type assigned map[assignedPart]bool

type assignedPart struct{ column, field string }

// wholeColumn and anyPart cannot be names of fields: those are never empty.
const (
	wholeColumn = ""
	anyPart     = "\x00"
)

func (s assigned) add(a Assignment) bool {
	whole, part := assignedPart{a.Column, wholeColumn}, assignedPart{a.Column, anyPart}
	if s[whole] {
		return false
	}
	if a.Op == Set {
		s[whole] = true
		return !s[part]
	}
	s[part] = true
	if a.Op == SetField {
		field := assignedPart{a.Column, "\x00" + a.Field}
		if s[field] {
			return false
		}
		s[field] = true
	}
	return true
}

// assignment takes one term of SET.
func (p *parser) assignment() Assignment {
	a := Assignment{Column: p.columnName()}
	switch {
	case p.accept(tokEq):
		p.assigned(&a)
	case p.accept(tokPlusEq):
		a.Op, a.Value = Add, p.term()
	case p.accept(tokMinusEq):
		a.Op, a.Value = Subtract, p.term()
	case p.accept(tokLBracket):
		a.Op, a.Key = SetElement, p.term()
		p.expect(tokRBracket)
		p.expect(tokEq)
		a.Value = p.term()
	case p.accept(tokDot):
		a.Op, a.Field = SetField, p.name()
		p.expect(tokEq)
		a.Value = p.term()
	default:
		p.noViable()
	}
	return a
}

// assigned takes the right side of c = ...: a term, c + term, c - term, a term
// and + c, or c with an integer behind it (which is how c -1 is cut up).
func (p *parser) assigned(a *Assignment) {
	first := p.tok
	if !isColumnName(first.kind) || p.peek() == tokLParen || p.peek() == tokDot {
		p.beforeColumn = true
		a.Value = p.term()
		p.beforeColumn = false
		if p.at(tokPlus) {
			plus := p.tok
			p.advance()
			a.Op = Prepend
			if p.columnName() != a.Column {
				p.plain("Only expressions of the form X = <value> + X are supported.")
			}
			if p.at(tokPlus) || p.at(tokMinus) {
				p.noViableBehind(plus)
			}
		}
		return
	}
	same := p.columnName() == a.Column
	switch op := p.tok.kind; op {
	case tokPlus, tokMinus:
		p.advance()
		a.Op, a.Value = Add, p.term()
		if op == tokMinus {
			a.Op = Subtract
		}
		if !same {
			p.plain("Only expressions of the form X = X " + string(operatorByte(op)) + "<value> are supported.")
		}
	case tokInteger:
		sign := "+"
		if p.lexer.src[p.tok.start] == '-' {
			sign = "-"
		}
		a.Op, a.Value = Add, p.literal()
		if !same {
			p.plain("Only expressions of the form X = X " + sign + " <value> are supported.")
		}
	default:
		p.noViableFrom(first)
	}
}

func (p *parser) delete() Statement {
	from := len(p.marks)
	p.expect(kwDelete)
	s := &Delete{}
	if isColumnName(p.tok.kind) {
		s.Columns = append(s.Columns, p.deletion())
		for p.accept(tokComma) {
			s.Columns = append(s.Columns, p.deletion())
		}
	}
	p.expect(kwFrom)
	s.From = p.table()
	if p.acceptAll(kwUsing, kwTimestamp) {
		s.Using.Timestamp = p.intValue()
	}
	p.expect(kwWhere)
	s.Where = p.where()
	if p.accept(kwIf) {
		s.IfExists, s.Conditions = p.conditions()
	}
	s.list = p.marks[from:len(p.marks):len(p.marks)]
	return s
}

func (p *parser) deletion() Deletion {
	first := p.tok
	d := Deletion{Column: p.columnName()}
	switch {
	case p.accept(tokLBracket):
		d.Key = p.term()
		p.expect(tokRBracket)
	case p.accept(tokDot):
		d.Field = p.name()
	case !p.at(tokComma) && !p.at(kwFrom):
		p.noViableFrom(first)
	}
	return d
}

func (p *parser) batch() Statement {
	p.expect(kwBegin)
	s := &Batch{}
	switch {
	case p.accept(kwUnlogged):
		s.Kind = Unlogged
	case p.accept(kwCounter):
		s.Kind = CounterBatch
	}
	p.expect(kwBatch)
	s.Using = p.using()
	for !p.failed {
		switch p.tok.kind {
		case kwInsert:
			s.Statements = append(s.Statements, p.insert())
		case kwUpdate:
			s.Statements = append(s.Statements, p.update())
		case kwDelete:
			s.Statements = append(s.Statements, p.delete())
		default:
			p.expect(kwApply)
			p.expect(kwBatch)
			s.list = p.marks
			return s
		}
		p.accept(tokSemicolon)
	}
	return s
}
