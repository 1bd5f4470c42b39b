package row

import (
	"fmt"
	"strings"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// ParseTable makes a table for tests of a line such as
//
//	k int, c1 text | c2 int desc | s int static, v int, m map<int,text>
//
// partition key, clustering and other columns between bars. It knows native
// types, and lists, sets and maps of them, frozen<...> included. The table is
// ks.t; its id depends on nothing.
func ParseTable(line string) (*schema.Table, error) {
	t := &schema.Table{Keyspace: "ks", Name: "t", Options: schema.DefaultOptions()}
	copy(t.ID[:], "helenus row test")
	groups := []*[]*schema.Column{&t.PartitionKey, &t.Clustering, &t.Regulars}
	for i, part := range strings.Split(line, "|") {
		if i == len(groups) {
			return nil, fmt.Errorf("row: parse table %q: too many bars", line)
		}
		for _, text := range splitColumns(part) {
			c, err := parseColumn(text)
			if err != nil {
				return nil, fmt.Errorf("row: parse table %q: %w", line, err)
			}
			c.ID = t.NextColumnID
			t.NextColumnID++
			group := groups[i]
			switch {
			case i < 2:
				c.Kind = schema.ColumnKind(i)
			case c.Kind == schema.Static:
				group = &t.Statics
			default:
				c.Kind = schema.Regular
			}
			*group = append(*group, c)
		}
	}
	if len(t.PartitionKey) == 0 {
		return nil, fmt.Errorf("row: parse table %q: no partition key", line)
	}
	return t.Finish(), nil
}

func splitColumns(s string) []string {
	brackets := strings.NewReplacer("<", "[", ">", "]").Replace(s)
	var out []string
	for _, part := range splitOutside(brackets, ',') {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func parseColumn(s string) (*schema.Column, error) {
	words := splitOutside(s, ' ')
	if len(words) < 2 {
		return nil, fmt.Errorf("%q is no column", s)
	}
	t, err := parseType(words[1], false)
	c := &schema.Column{Name: words[0], Type: t}
	for _, w := range words[2:] {
		switch w {
		case "desc":
			c.Reversed = true
		case "static":
			c.Kind = schema.Static
		default:
			err = fmt.Errorf("%q is no property of a column", w)
		}
	}
	return c, err
}

func parseType(s string, frozen bool) (*types.Type, error) {
	name, args, generic := strings.Cut(strings.TrimSpace(s), "[")
	if !generic {
		if k, ok := types.KindByName(name); ok {
			return types.Native(k), nil
		}
		return nil, fmt.Errorf("%q is no type", s)
	}
	args = strings.TrimSuffix(args, "]")
	if name == "frozen" {
		return parseType(args, true)
	}
	var elems []*types.Type
	for _, a := range splitOutside(args, ',') {
		e, err := parseType(a, true)
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
	}
	switch {
	case name == "list" && len(elems) == 1:
		return types.ListOf(elems[0], frozen), nil
	case name == "set" && len(elems) == 1:
		return types.SetOf(elems[0], frozen), nil
	case name == "map" && len(elems) == 2:
		return types.MapOf(elems[0], elems[1], frozen), nil
	}
	return nil, fmt.Errorf("%q is no type", s)
}
