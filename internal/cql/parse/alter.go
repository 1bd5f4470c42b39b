package parse

// alter dispatches on what is altered.
func (p *parser) alter() Statement {
	first := p.tok
	p.advance()
	switch {
	case p.accept(kwKeyspace):
		s := &AlterKeyspace{IfExists: p.ifExists(), Name: p.keyspaceName()}
		p.expect(kwWith)
		s.Properties = p.properties(nil)
		return s
	case p.accept(kwTable):
		return p.alterTable()
	case p.accept(kwType):
		return p.alterType()
	case p.at(kwRole) || p.at(kwUser):
		return p.role(true)
	case p.acceptAll(kwMaterialized, kwView):
		return p.unsupported("ALTER MATERIALIZED VIEW")
	case p.at(tokEOF):
		p.noViable()
	}
	p.noViableFrom(first)
	return nil
}

func (p *parser) alterTable() Statement {
	s := &AlterTable{IfExists: p.ifExists(), Table: p.table()}
	switch p.tok.kind {
	case kwAlter:
		p.alterColumn(s)
	case kwAdd:
		p.advance()
		s.Op = AddColumns
		s.IfColumn = p.ifNotExists()
		p.oneOrMany(func() { s.Columns = append(s.Columns, p.columnDef()) })
	case kwDrop:
		p.alterDrop(s)
	case kwRename:
		p.advance()
		s.Op = RenameColumns
		s.IfColumn = p.ifExists()
		s.Renames = p.renames()
	case kwWith:
		p.advance()
		s.Op = AlterTableProperties
		s.Properties = p.properties(nil)
	default:
		p.noViable()
	}
	return s
}

// oneOrMany takes one thing, or several in parentheses.
func (p *parser) oneOrMany(one func()) {
	if !p.accept(tokLParen) {
		one()
		return
	}
	one()
	for p.accept(tokComma) {
		one()
	}
	p.expect(tokRParen)
}

// alterColumn takes ALTER c TYPE t, ALTER c MASKED WITH ... or ALTER c DROP MASKED.
func (p *parser) alterColumn(s *AlterTable) {
	first := p.tok
	p.advance()
	s.IfColumn = p.ifExists()
	c := ColumnDef{Name: p.columnName()}
	switch {
	case p.failed:
	case p.at(kwType) && !s.IfColumn:
		p.advance()
		s.Op = AlterColumnType
		c.Type = p.typeExpr()
	case p.at(kwMasked):
		s.Op = AlterColumnMask
		p.mask(&c)
	case p.acceptAll(kwDrop, kwMasked):
		s.Op = AlterColumnMask
	default:
		p.noViableBehind(first)
	}
	s.Columns = []ColumnDef{c}
}

// alterDrop takes DROP COMPACT STORAGE or DROP of columns.
func (p *parser) alterDrop(s *AlterTable) {
	p.advance()
	if p.at(kwCompact) && p.peek() == kwStorage {
		p.advance()
		p.advance()
		s.Op = DropCompactStorage
		return
	}
	s.Op = DropColumns
	s.IfColumn = p.ifExists()
	p.oneOrMany(func() { s.Names = append(s.Names, p.name()) })
	if p.acceptAll(kwUsing, kwTimestamp) {
		if !p.at(tokInteger) {
			p.mismatch(tokInteger)
			return
		}
		s.Timestamp = p.literal()
	}
}

// renames takes a TO b {AND c TO d}.
func (p *parser) renames() (list []Rename) {
	for {
		r := Rename{From: p.name()}
		p.expect(kwTo)
		r.To = p.name()
		list = append(list, r)
		if !p.accept(kwAnd) {
			return list
		}
	}
}

func (p *parser) alterType() Statement {
	s := &AlterType{IfExists: p.ifExists(), Name: p.typeName()}
	switch {
	case p.accept(kwAlter):
		s.Op = AlterFieldType
		s.Field.Name = p.name()
		p.expect(kwType)
		s.Field.Type = p.typeExpr()
	case p.accept(kwAdd):
		s.Op = AddField
		s.IfField = p.ifNotExists()
		s.Field = p.field()
	case p.accept(kwRename):
		s.Op = RenameFields
		s.IfField = p.ifExists()
		s.Renames = p.renames()
	default:
		p.noViable()
	}
	return s
}
