package parse

import (
	"strconv"
	"strings"
)

// printer builds canonical CQL.
type printer struct{ buf []byte }

func (w *printer) str(s string) { w.buf = append(w.buf, s...) }

// when writes s if the condition holds.
func (w *printer) when(cond bool, s string) {
	if cond {
		w.str(s)
	}
}

func (w *printer) int(n int) { w.buf = strconv.AppendInt(w.buf, int64(n), 10) }

// each writes a separated list of n things.
func (w *printer) each(n int, separator string, one func(i int)) {
	for i := range n {
		if i > 0 {
			w.str(separator)
		}
		one(i)
	}
}

func printed(x interface{ print(*printer) }) string {
	var w printer
	x.print(&w)
	return string(w.buf)
}

// ExprString renders an expression as canonical CQL.
func ExprString(e Expr) string { return printed(e) }

// String renders the name with its keyspace, quoted where needed.
func (n QualifiedName) String() string { return printed(n) }

func (n QualifiedName) print(w *printer) {
	if n.Keyspace != "" {
		w.name(n.Keyspace)
		w.str(".")
	}
	w.name(n.Name)
}

// Quote renders a name as an identifier, with quotes only where they are needed.
func Quote(name string) string {
	var w printer
	w.name(name)
	return string(w.buf)
}

// name writes an identifier.
func (w *printer) name(s string) {
	if k := keyword(s); k != tokIdent && !isName(k) || !isPlain(s) {
		w.quotedName(s)
		return
	}
	w.str(s)
}

// anyKeywordName writes an identifier that is quoted if it is any keyword, for
// places where some of those mean something else.
func (w *printer) anyKeywordName(s string) {
	if keyword(s) != tokIdent || !isPlain(s) || s == "expr" {
		w.quotedName(s)
		return
	}
	w.str(s)
}

func (w *printer) quotedName(s string) {
	w.str(`"`)
	w.str(strings.ReplaceAll(s, `"`, `""`))
	w.str(`"`)
}

// isPlain tells whether s reads back as itself without quotes. What begins like
// a UUID might be taken for one.
func isPlain(s string) bool {
	if s == "" || s[0]-'a' >= 26 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c-'a' >= 26 && !isDigit(c) && c != '_' {
			return false
		}
	}
	return true
}

func (w *printer) function(n QualifiedName) {
	if n.Keyspace != "" {
		w.anyKeywordName(n.Keyspace)
		w.str(".")
	}
	if k := keyword(n.Name); k == kwCount || k == kwToken || isNative(k) {
		w.str(n.Name)
		return
	}
	w.anyKeywordName(n.Name)
}

func (w *printer) string(s string) {
	w.str("'")
	w.str(strings.ReplaceAll(s, "'", "''"))
	w.str("'")
}

func (w *printer) exprs(list []Expr) {
	w.each(len(list), ", ", func(i int) { list[i].print(w) })
}

func (w *printer) names(list []string) {
	w.each(len(list), ", ", func(i int) { w.name(list[i]) })
}

func (c *Constant) print(w *printer) {
	switch c.Kind {
	case Null:
		w.str("NULL")
	case String:
		w.string(c.Text)
	default:
		w.str(c.Text)
	}
}

func (m *BindMarker) print(w *printer) {
	if m.Name == "" {
		w.str("?")
		return
	}
	w.str(":")
	w.name(m.Name)
}

func (l *ListLit) print(w *printer) {
	w.str("[")
	w.exprs(l.Elems)
	w.str("]")
}

func (s *SetLit) print(w *printer) {
	w.str("{")
	w.exprs(s.Elems)
	w.str("}")
}

func (m *MapLit) print(w *printer) {
	w.str("{")
	w.each(len(m.Entries), ", ", func(i int) {
		m.Entries[i].Key.print(w)
		w.str(": ")
		m.Entries[i].Value.print(w)
	})
	w.str("}")
}

func (u *UDTLit) print(w *printer) {
	w.str("{")
	w.each(len(u.Fields), ", ", func(i int) {
		w.name(u.Fields[i].Name)
		w.str(": ")
		u.Fields[i].Value.print(w)
	})
	w.str("}")
}

func (t *TupleLit) print(w *printer) {
	w.str("(")
	w.exprs(t.Elems)
	w.str(")")
}

func (c *Call) print(w *printer) {
	w.function(c.Name)
	w.str("(")
	w.when(c.Star, "*")
	w.exprs(c.Args)
	w.str(")")
}

func (c *Cast) print(w *printer) {
	w.str("CAST(")
	c.X.print(w)
	w.str(" AS ")
	c.Type.print(w)
	w.str(")")
}

func (h *TypeHint) print(w *printer) {
	w.str("(")
	h.Type.print(w)
	w.str(")")
	h.X.print(w)
}

func (b *Binary) print(w *printer) {
	b.X.print(w)
	w.buf = append(w.buf, ' ', b.Op, ' ')
	b.Y.print(w)
}

func (n *Negate) print(w *printer) {
	w.str("- ") // the space keeps -1 apart from the literal
	n.X.print(w)
}

// A column called json or distinct would read as the keyword where a selection
// begins.
func (c *Column) print(w *printer) {
	if c.Name == "json" || c.Name == "distinct" {
		w.quotedName(c.Name)
		return
	}
	w.name(c.Name)
}

func (e *Element) print(w *printer) {
	e.X.print(w)
	w.str("[")
	e.Key.print(w)
	w.str("]")
}

func (s *Slice) print(w *printer) {
	s.X.print(w)
	w.str("[")
	if s.From != nil {
		s.From.print(w)
		w.str(" ")
	}
	w.str("..")
	if s.To != nil {
		w.str(" ")
		s.To.print(w)
	}
	w.str("]")
}

func (f *Field) print(w *printer) {
	f.X.print(w)
	w.str(".")
	w.name(f.Name)
}

var cellInfoNames = [...]string{WriteTime: "WRITETIME", MaxWriteTime: "MAXWRITETIME", TTL: "TTL"}

func (c *CellInfo) print(w *printer) {
	w.str(cellInfoNames[c.Kind])
	w.str("(")
	c.X.print(w)
	w.str(")")
}

// String renders the type as CQL.
func (t *TypeExpr) String() string { return printed(t) }

func (t *TypeExpr) print(w *printer) {
	if t.Frozen {
		w.str("frozen<")
		defer w.str(">")
	}
	switch t.Kind {
	case NativeType:
		w.str(nativeNames[t.Native])
		return
	case NamedType:
		if t.Name.Keyspace != "" {
			w.name(t.Name.Keyspace)
			w.str(".")
		}
		w.typeName(t.Name.Name)
		return
	case CustomType:
		w.string(t.Name.Name)
		return
	}
	w.str(parametricNames[t.Kind])
	w.str("<")
	w.each(len(t.Params), ", ", func(i int) { t.Params[i].print(w) })
	if t.Kind == VectorType {
		w.str(", ")
		w.int(t.Dimension)
	}
	w.str(">")
}

var parametricNames = [...]string{ListType: "list", SetType: "set", MapType: "map", TupleType: "tuple",
	VectorType: "vector"}

func (w *printer) typeName(s string) {
	if reservedTypeName(s) {
		w.quotedName(s)
		return
	}
	w.anyKeywordName(s)
}
