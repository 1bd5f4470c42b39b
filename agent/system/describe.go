package system

import (
	"cmp"
	"strings"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// Column is one column of what DESCRIBE answers.
type Column struct {
	Keyspace, Table, Name string
	Type                  *types.Type
}

// Description is what DESCRIBE answers: rows of values, one for each column.
type Description struct {
	Columns []Column
	Rows    [][][]byte
}

// element is one described thing; statement is "" in mere listings.
type element struct{ keyspace, kind, name, statement string }

// Describe answers a DESCRIBE; use is the keyspace the session has chosen, or "".
func (t *Tables) Describe(s *meta.State, use string, d *parse.Describe) (*Description, error) {
	switch d.What {
	case parse.DescribeCluster:
		return t.describeCluster(s, use), nil
	case parse.DescribeKeyspaces, parse.DescribeTables, parse.DescribeTypes, parse.DescribeFunctions, parse.DescribeAggregates:
		elements, err := listing(s, use, d.What)
		return describe(elements, false), err
	}
	elements, err := described(s.Schema, use, d)
	if err != nil {
		return nil, err
	}
	return describe(elements, true), nil
}

func describe(elements []element, statements bool) *Description {
	out := &Description{}
	names := []string{"keyspace_name", "type", "name", "create_statement"}
	if !statements {
		names = names[:3]
	}
	for _, n := range names {
		out.Columns = append(out.Columns, Column{"system", "describe", n, types.Native(types.Text)})
	}
	for _, e := range elements {
		values := [][]byte{[]byte(types.QuoteName(e.keyspace)), []byte(e.kind), []byte(types.QuoteName(e.name)), []byte(e.statement)}
		out.Rows = append(out.Rows, values[:len(names)])
	}
	return out
}

func (t *Tables) describeCluster(s *meta.State, use string) *Description {
	text := types.Native(types.Text)
	out := &Description{Columns: []Column{{"system", "describe", "cluster", text}, {"system", "describe", "partitioner", text},
		{"system", "describe", "snitch", text}}}
	partitioner := s.Partitioner.Name()
	row := [][]byte{[]byte(s.ClusterName), []byte(partitioner[strings.LastIndexByte(partitioner, '.')+1:]), []byte(t.env.Snitch)}
	if p := s.Placement(use); p != nil {
		list := types.ListOf(text, false)
		out.Columns = append(out.Columns, Column{"system", "describe", "range_ownership", types.MapOf(text, list, false)})
		ranges := p.Ranges()
		owned := types.AppendCount(nil, len(ranges))
		for _, r := range ranges {
			nodes := types.AppendCount(nil, len(r.Replicas))
			for _, n := range r.Replicas {
				nodes = types.AppendElement(nodes, []byte("/"+n.Endpoint.String()))
			}
			owned = types.AppendElement(types.AppendElement(owned, []byte(s.Partitioner.Format(r.Range.Right))), nodes)
		}
		row = append(row, owned)
	}
	out.Rows = [][][]byte{row}
	return out
}

// listing names what there is, of one keyspace when the session uses one.
func listing(s *meta.State, use string, what parse.DescribeKind) (out []element, err error) {
	if use != "" && what != parse.DescribeKeyspaces {
		if _, err := findKeyspace(s.Schema, use); err != nil {
			return nil, err
		}
	}
	for _, ks := range s.Schema.Sorted() {
		switch {
		case what == parse.DescribeKeyspaces:
			out = append(out, element{ks.Name, "keyspace", ks.Name, ""})
		case use != "" && use != ks.Name:
		case what == parse.DescribeTables:
			for _, t := range ks.SortedTables() {
				out = append(out, element{ks.Name, "table", t.Name, ""})
			}
		case what == parse.DescribeTypes:
			for _, u := range ks.SortedTypes() {
				out = append(out, element{ks.Name, "type", u.Name, ""})
			}
		}
	}
	return out, nil
}

func described(s *schema.Schema, use string, d *parse.Describe) (out []element, err error) {
	name := cmp.Or(d.Name.Name, d.Name.Keyspace)
	switch d.What {
	case parse.DescribeSchema:
		for _, ks := range s.Sorted() {
			if d.Full || !meta.IsSystemKeyspace(ks.Name) {
				out = append(out, keyspaceElements(ks, d)...)
			}
		}
		return out, nil
	case parse.DescribeKeyspace:
		ks, err := findKeyspace(s, cmp.Or(name, use))
		if err != nil {
			return nil, err
		}
		return keyspaceElements(ks, d), nil
	case parse.DescribeGeneric:
		if d.Name.Keyspace == "" {
			if ks := s.Keyspaces[name]; ks != nil {
				return keyspaceElements(ks, d), nil
			}
			if use == "" {
				return nil, helenus.Invalid("'%s' not found in keyspaces", name)
			}
		}
	}
	ks, err := findKeyspace(s, cmp.Or(d.Name.Keyspace, use))
	if err != nil {
		return nil, err
	}
	return namedElement(ks, d)
}

// namedElement finds what a keyspace holds under a name.
func namedElement(ks *schema.Keyspace, d *parse.Describe) ([]element, error) {
	name := d.Name.Name
	switch d.What {
	case parse.DescribeTable:
		if t := ks.Tables[name]; t != nil {
			return []element{tableElement(t, d)}, nil
		}
		return nil, helenus.Invalid("Table '%s' not found in keyspace '%s'", name, ks.Name)
	case parse.DescribeType:
		if u := ks.Types[name]; u != nil {
			return []element{{ks.Name, "type", u.Name, schema.CreateTypeStatement(u)}}, nil
		}
		return nil, helenus.Invalid("User defined type '%s' not found in '%s'", name, ks.Name)
	case parse.DescribeFunction:
		return nil, helenus.Invalid("User defined function '%s' not found in '%s'", name, ks.Name)
	case parse.DescribeAggregate:
		return nil, helenus.Invalid("User defined aggregate '%s' not found in '%s'", name, ks.Name)
	case parse.DescribeIndex:
		return nil, helenus.Invalid("Table for existing index '%s' not found in '%s'", name, ks.Name)
	case parse.DescribeView:
		return nil, helenus.Invalid("Materialized view '%s' not found in '%s'", name, ks.Name)
	}
	if t := ks.Tables[name]; t != nil {
		return []element{tableElement(t, d)}, nil
	}
	return nil, helenus.Invalid("'%s' not found in keyspace '%s'", name, ks.Name)
}

func findKeyspace(s *schema.Schema, name string) (*schema.Keyspace, error) {
	if name == "" {
		return nil, helenus.Invalid("No keyspace specified and no current keyspace")
	}
	if ks := s.Keyspaces[name]; ks != nil {
		return ks, nil
	}
	return nil, helenus.Invalid("'%s' not found in keyspaces", name)
}

func tableElement(t *schema.Table, d *parse.Describe) element {
	return element{t.Keyspace, "table", t.Name, t.CreateStatement(d.Internals)}
}

// keyspaceElements lists a keyspace such that the statements can be replayed.
func keyspaceElements(ks *schema.Keyspace, d *parse.Describe) []element {
	out := []element{{ks.Name, "keyspace", ks.Name, ks.CreateStatement()}}
	if d.Only {
		return out
	}
	for _, u := range ks.TypesInOrder() {
		out = append(out, element{ks.Name, "type", u.Name, schema.CreateTypeStatement(u)})
	}
	for _, t := range ks.SortedTables() {
		out = append(out, tableElement(t, d))
	}
	return out
}
