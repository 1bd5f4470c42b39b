package parse

// create dispatches on what is created. The failing token of a wrong word is
// the word, the excerpt's mark is CREATE.
func (p *parser) create() Statement {
	first := p.tok
	p.advance()
	switch p.tok.kind {
	case kwKeyspace:
		p.advance()
		s := &CreateKeyspace{IfNotExists: p.ifNotExists(), Name: p.keyspaceName()}
		p.expect(kwWith)
		s.Properties = p.properties(nil)
		return s
	case kwTable:
		p.advance()
		return p.createTable()
	case kwType:
		p.advance()
		return p.createType()
	case kwCustom, kwIndex:
		return p.createIndex()
	case kwRole, kwUser:
		return p.role(false)
	case kwMaterialized:
		p.advance()
		p.expect(kwView)
		return p.unsupported("CREATE MATERIALIZED VIEW")
	case kwOr:
		p.advance()
		if p.at(tokEOF) {
			p.noViableBehind(first)
		}
		p.expect(kwReplace)
	}
	switch {
	case p.accept(kwFunction):
		return p.unsupported("CREATE FUNCTION")
	case p.accept(kwAggregate):
		return p.unsupported("CREATE AGGREGATE")
	case p.accept(kwTrigger):
		return p.unsupported("CREATE TRIGGER")
	case p.at(tokEOF):
		p.noViable()
	}
	p.noViableFrom(first)
	return nil
}

func (p *parser) createTable() Statement {
	s := &CreateTable{IfNotExists: p.ifNotExists()}
	first := p.tok
	s.Table = p.table()
	if k := p.tok.kind; k != tokLParen && k == kwLike {
		p.noViableFrom(first)
	}
	p.expect(tokLParen)
	p.tableColumn(s)
	for p.accept(tokComma) {
		if !p.at(tokComma) && !p.at(tokRParen) {
			p.tableColumn(s)
		}
	}
	p.expect(tokRParen)
	if !p.accept(kwWith) {
		return s
	}
	p.tableProperty(s)
	for p.accept(kwAnd) {
		p.tableProperty(s)
	}
	return s
}

// tableColumn takes a column or the PRIMARY KEY clause.
func (p *parser) tableColumn(s *CreateTable) {
	if p.acceptAll(kwPrimary, kwKey) {
		p.expect(tokLParen)
		s.KeyClauses++
		s.PartitionKey, s.Clustering = nil, nil
		if p.accept(tokLParen) {
			s.PartitionKey = p.names()
			p.expect(tokRParen)
		} else {
			s.PartitionKey = []string{p.name()}
		}
		for p.accept(tokComma) {
			s.Clustering = append(s.Clustering, p.name())
		}
		p.expect(tokRParen)
		return
	}
	c := p.columnDef()
	if p.acceptAll(kwPrimary, kwKey) {
		c.PrimaryKey = true
		s.KeyClauses++
	}
	s.Columns = append(s.Columns, c)
}

// columnDef takes name type [STATIC] [MASKED WITH ...].
func (p *parser) columnDef() ColumnDef {
	c := ColumnDef{Name: p.name()}
	c.Type = p.typeExpr()
	c.Static = p.accept(kwStatic)
	p.mask(&c)
	return c
}

func (p *parser) mask(c *ColumnDef) {
	if !p.acceptAll(kwMasked, kwWith) {
		return
	}
	c.Masked = true
	if p.at(kwDefault) && p.peek() != tokLParen && p.peek() != tokDot {
		p.advance()
		return
	}
	if !isName(p.tok.kind) {
		p.noViable()
		return
	}
	if call, ok := p.call(false).(*Call); ok {
		c.Mask = call
	}
	if len(p.marks) > 0 {
		p.plain("Invalid argument of a mask" + inDDL)
	}
}

// tableProperty takes one term of WITH of a table.
func (p *parser) tableProperty(s *CreateTable) {
	switch {
	case p.at(kwCompact) && p.peek() == kwStorage:
		p.advance()
		p.advance()
		s.CompactStorage = true
	case p.at(kwClustering) && p.peek() == kwOrder:
		p.acceptAll(kwClustering, kwOrder, kwBy, tokLParen)
		for {
			o := ClusteringOrder{Column: p.name()}
			if !p.accept(kwAsc) {
				if !p.accept(kwDesc) {
					p.noViable()
				}
				o.Descending = true
			}
			s.ClusteringOrder = append(s.ClusteringOrder, o)
			if !p.accept(tokComma) {
				break
			}
		}
		p.expect(tokRParen)
	default:
		s.Properties = p.property(s.Properties)
	}
}

// properties takes property {AND property}.
func (p *parser) properties(list []Property) []Property {
	list = p.property(list)
	for p.accept(kwAnd) {
		list = p.property(list)
	}
	return list
}

// propertiesMax bounds the search for duplicates.
const propertiesMax = 256

// property takes name = constant, word or map, and appends it.
func (p *parser) property(list []Property) []Property {
	first := p.tok
	v := Property{Name: p.name()}
	if !p.failed && !p.accept(tokEq) {
		p.noViableFrom(first)
	}
	switch k := p.tok.kind; {
	case k == tokLBrace:
		v.IsMap, v.Map = true, p.propertyMap()
	case isName(k) && k != tokIdent && k != tokQuoted:
		v.Value = Constant{Kind: Keyword, Text: lower(p.text(p.tok))}
		p.advance()
	default:
		c := p.literal()
		if c == nil {
			p.noViableBehind(first)
			return list
		}
		v.Value = *c
	}
	if len(list) >= propertiesMax {
		p.plain("more than 256 properties")
	}
	for i := range list {
		if list[i].Name == v.Name {
			p.plain("Multiple definitions for property '" + v.Name + "'")
		}
	}
	return append(list, v)
}

const inDDL = " (bind variables are not supported in DDL queries)"

// propertyMap takes {constant: constant, ...}.
func (p *parser) propertyMap() []PropertyEntry {
	list := []PropertyEntry{}
	seen := map[string]bool{}
	p.expect(tokLBrace)
	if p.accept(tokRBrace) {
		return list
	}
	for {
		key := p.term()
		p.expect(tokColon)
		value := p.term()
		if p.failed {
			return nil
		}
		k, ok := key.(*Constant)
		if !ok || k.Kind == Null {
			p.plain("Invalid property name: " + describe(key))
			return nil
		}
		v, ok := value.(*Constant)
		if !ok || v.Kind == Null {
			name := printed(k)
			p.plain("Invalid property value: " + describeValue(value, name))
			return nil
		}
		if seen[k.Text] {
			p.plain("Multiple definition for property " + k.Text)
			return nil
		}
		seen[k.Text] = true
		list = append(list, PropertyEntry{Key: *k, Value: *v})
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(tokRBrace)
	return list
}

// describe and describeValue word what is no constant.
func describe(e Expr) string {
	if _, ok := e.(*BindMarker); ok {
		return printed(e) + inDDL
	}
	return printed(e)
}

func describeValue(e Expr, property string) string {
	text := printed(e) + " for property: " + property
	if _, ok := e.(*BindMarker); ok {
		return text + inDDL
	}
	return text
}

func (p *parser) createType() Statement {
	s := &CreateType{IfNotExists: p.ifNotExists(), Name: p.typeName()}
	p.expect(tokLParen)
	s.Fields = append(s.Fields, p.field())
	for p.accept(tokComma) {
		if !p.at(tokComma) && !p.at(tokRParen) {
			s.Fields = append(s.Fields, p.field())
		}
	}
	p.expect(tokRParen)
	return s
}

func (p *parser) field() FieldDef { return FieldDef{Name: p.name(), Type: p.typeExpr()} }

func (p *parser) createIndex() Statement {
	s := &CreateIndex{Custom: p.accept(kwCustom)}
	p.expect(kwIndex)
	s.IfNotExists = p.ifNotExists()
	if isName(p.tok.kind) || p.at(tokMarker) {
		s.Name = p.named("index")
	}
	p.expect(kwOn)
	s.Table = p.table()
	p.expect(tokLParen)
	if isColumnName(p.tok.kind) || p.at(kwFull) || p.at(kwEntries) {
		s.Targets = append(s.Targets, p.indexTarget())
		for p.accept(tokComma) {
			s.Targets = append(s.Targets, p.indexTarget())
		}
	}
	p.expect(tokRParen)
	if p.accept(kwUsing) {
		s.Using = p.expectText(tokString)
	}
	if p.accept(kwWith) {
		s.Properties = p.properties(nil)
	}
	return s
}

func (p *parser) indexTarget() IndexTarget {
	var t IndexTarget
	switch k := p.tok.kind; {
	case k == kwFull:
		t.Kind = IndexFull
	case k == kwEntries:
		t.Kind = IndexEntries
	case k == kwKeys && p.peek() == tokLParen:
		t.Kind = IndexKeys
	case k == kwValues && p.peek() == tokLParen:
		t.Kind = IndexValues
	default:
		t.Column = p.columnName()
		return t
	}
	p.advance()
	p.expect(tokLParen)
	t.Column = p.columnName()
	p.expect(tokRParen)
	return t
}

// drop dispatches on what is dropped.
func (p *parser) drop() Statement {
	first := p.tok
	p.advance()
	switch {
	case p.accept(kwKeyspace):
		return &DropKeyspace{IfExists: p.ifExists(), Name: p.keyspaceName()}
	case p.accept(kwTable):
		return &DropTable{IfExists: p.ifExists(), Table: p.table()}
	case p.accept(kwType):
		return &DropType{IfExists: p.ifExists(), Name: p.typeName()}
	case p.accept(kwIndex):
		return &DropIndex{IfExists: p.ifExists(), Name: p.qualified("index")}
	case p.accept(kwRole):
		return &DropRole{IfExists: p.ifExists(), Name: p.roleName()}
	case p.accept(kwUser):
		return &DropRole{User: true, IfExists: p.ifExists(), Name: p.userName()}
	case p.acceptAll(kwMaterialized, kwView):
		return p.unsupported("DROP MATERIALIZED VIEW")
	case p.accept(kwFunction):
		return p.unsupported("DROP FUNCTION")
	case p.accept(kwAggregate):
		return p.unsupported("DROP AGGREGATE")
	case p.accept(kwTrigger):
		return p.unsupported("DROP TRIGGER")
	case p.accept(kwIdentity):
		return p.unsupported("DROP IDENTITY")
	case p.at(tokEOF):
		p.noViable()
	}
	p.noViableFrom(first)
	return nil
}
