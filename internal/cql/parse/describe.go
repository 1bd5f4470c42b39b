package parse

// describe takes DESCRIBE or DESC.
func (p *parser) describe() Statement {
	p.advance()
	s := &Describe{}
	p.described(s)
	if p.acceptAll(kwWith, kwInternals) {
		s.Internals = true
	}
	return s
}

// described takes what is to be described.
func (p *parser) described(s *Describe) {
	switch k := p.tok.kind; k {
	case kwCluster, kwKeyspaces, kwTables, kwTypes, kwFunctions, kwAggregates:
		p.advance()
		s.What = describeAll[k]
	case kwFull:
		p.advance()
		p.expect(kwSchema)
		s.What, s.Full = DescribeSchema, true
	case kwSchema:
		p.advance()
		s.What = DescribeSchema
	case kwOnly, kwKeyspace:
		p.describeKeyspace(s)
	case kwTable:
		p.advance()
		s.What, s.Name = DescribeTable, p.table()
	case kwIndex:
		p.advance()
		s.What, s.Name = DescribeIndex, p.table()
	case kwMaterialized:
		p.advance()
		p.expect(kwView)
		s.What, s.Name = DescribeView, p.table()
	case kwType, kwFunction, kwAggregate:
		p.describeNamed(s, k)
	default:
		s.What, s.Name = DescribeGeneric, p.genericName()
	}
}

var describeAll = [kindCount]DescribeKind{kwCluster: DescribeCluster, kwKeyspaces: DescribeKeyspaces,
	kwTables: DescribeTables, kwTypes: DescribeTypes, kwFunctions: DescribeFunctions,
	kwAggregates: DescribeAggregates}

// genericName takes [keyspace.]name without looking at what follows.
func (p *parser) genericName() QualifiedName {
	n := QualifiedName{Name: p.name()}
	if p.accept(tokDot) {
		n.Keyspace, n.Name = n.Name, p.name()
	}
	return n
}

// describeKeyspace takes [ONLY] KEYSPACE [name]; ONLY alone is a name.
func (p *parser) describeKeyspace(s *Describe) {
	if p.at(kwOnly) && p.peek() != kwKeyspace {
		switch next := p.peek(); next {
		case tokEOF, tokSemicolon, tokDot, kwWith:
			s.What, s.Name = DescribeGeneric, p.genericName()
		default:
			p.noViableNext()
		}
		return
	}
	s.Only = p.accept(kwOnly)
	p.expect(kwKeyspace)
	s.What = DescribeKeyspace
	if isName(p.tok.kind) || p.at(tokMarker) {
		s.Name.Name = p.keyspaceName()
	}
}

// describeNamed takes TYPE, FUNCTION or AGGREGATE and a name; without one the
// word is itself a name.
func (p *parser) describeNamed(s *Describe, k kind) {
	switch p.peek() {
	case tokEOF, tokSemicolon, tokDot, kwWith:
		s.What, s.Name = DescribeGeneric, p.genericName()
		return
	}
	p.advance()
	switch {
	case k == kwType:
		s.What, s.Name = DescribeType, p.typeName()
		return
	case k == kwFunction:
		s.What = DescribeFunction
	default:
		s.What = DescribeAggregate
	}
	if !isName(p.tok.kind) && !p.at(kwToken) {
		p.noViable()
		return
	}
	var ok bool
	if s.Name, ok = p.functionName(); !ok {
		p.noViable()
	}
}
