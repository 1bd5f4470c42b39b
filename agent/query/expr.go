package query

import (
	"errors"
	"slices"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/types"
)

// expr is a compiled value: a term, or a selector over the row in r. Terms are
// evaluated with a nil r. An expr is immutable and shared by executions.
type expr interface {
	eval(x *execution, r *rowView) (Value, error)
}

// constExpr is a literal; nil is null.
type constExpr []byte

func (e constExpr) eval(*execution, *rowView) (Value, error) { return Value{Bytes: e}, nil }

// markerExpr is a bind marker. Its bytes are checked against the type each time.
type markerExpr struct {
	index int
	typ   *types.Type
}

func (e *markerExpr) eval(x *execution, _ *rowView) (Value, error) {
	v := x.values[e.index]
	if v.Bytes == nil || v.Unset {
		return v, nil
	}
	if err := e.typ.Validate(v.Bytes); err != nil {
		return v, helenus.Invalid("%s", err.Error())
	}
	return v, nil
}

// collectionExpr builds a frozen-form list, set, vector or map from elements;
// for a map keys and values alternate.
type collectionExpr struct {
	typ   *types.Type
	elems []expr
}

func (e *collectionExpr) eval(x *execution, r *rowView) (Value, error) {
	values := make([][]byte, len(e.elems))
	for i, el := range e.elems {
		v, err := el.eval(x, r)
		if err != nil {
			return v, err
		}
		if v.Unset {
			return v, helenus.Invalid("unset value is not supported inside collections")
		}
		if v.Bytes == nil {
			return v, helenus.Invalid("null is not supported inside collections")
		}
		values[i] = v.Bytes
	}
	return Value{Bytes: encodeCollection(e.typ, values)}, nil
}

// encodeCollection lays out values (alternating for a map) in the order that
// the type demands: sets and maps sorted, without duplicates, the last one
// winning.
func encodeCollection(t *types.Type, values [][]byte) []byte {
	switch t.Kind {
	case types.Set:
		slices.SortStableFunc(values, t.Elems[0].Compare)
		values = slices.CompactFunc(values, func(a, b []byte) bool { return t.Elems[0].Compare(a, b) == 0 })
		return types.EncodeCollection(t, values)
	case types.Map:
		pairs := make([][2][]byte, 0, len(values)/2)
		for i := 0; i+1 < len(values); i += 2 {
			pairs = append(pairs, [2][]byte{values[i], values[i+1]})
		}
		slices.SortStableFunc(pairs, func(a, b [2][]byte) int { return t.Elems[0].Compare(a[0], b[0]) })
		flat := values[:0:0]
		for i, p := range pairs {
			if i+1 < len(pairs) && t.Elems[0].Compare(p[0], pairs[i+1][0]) == 0 {
				continue
			}
			flat = append(flat, p[0], p[1])
		}
		return types.EncodeCollection(t, flat)
	case types.Vector:
		return types.EncodeVector(t, values)
	}
	return types.EncodeCollection(t, values)
}

// tupleExpr builds a tuple or a user type value; missing fields are null.
type tupleExpr struct{ fields []expr }

func (e *tupleExpr) eval(x *execution, r *rowView) (Value, error) {
	dst := []byte{}
	for _, f := range e.fields {
		if f == nil {
			dst = types.AppendElement(dst, nil)
			continue
		}
		v, err := f.eval(x, r)
		if err != nil {
			return v, err
		}
		if v.Unset {
			return v, helenus.Invalid("unset value is not supported inside tuples and user types")
		}
		dst = types.AppendElement(dst, v.Bytes)
	}
	return Value{Bytes: dst}, nil
}

// callExpr applies a scalar function.
type callExpr struct {
	fn   *function
	args []expr
}

func (e *callExpr) eval(x *execution, r *rowView) (Value, error) {
	var few [4][]byte
	args := few[:0]
	for _, a := range e.args {
		v, err := a.eval(x, r)
		if err != nil {
			return v, err
		}
		if v.Unset {
			return v, helenus.Invalid("Invalid unset value for argument in call to function %s", e.fn.name)
		}
		args = append(args, v.Bytes)
	}
	b, err := e.fn.call(x, args)
	return Value{Bytes: b}, err
}

// constantKinds translates the parser's kinds of literal to those that types
// knows how to assign.
var constantKinds = map[parse.ConstantKind]types.ConstantKind{
	parse.String: types.StringConst, parse.Integer: types.IntegerConst, parse.Float: types.FloatConst,
	parse.Boolean: types.BooleanConst, parse.UUID: types.UUIDConst, parse.Hex: types.HexConst,
	parse.Duration: types.DurationConst,
}

// term compiles a value for a receiver: a column, a marker's place, an argument.
func (c *compiler) term(e parse.Expr, to ColumnSpec) (expr, error) {
	switch e := e.(type) {
	case *parse.Constant:
		return c.constant(e, to)
	case *parse.BindMarker:
		return c.marker(e, to), nil
	case *parse.ListLit:
		return c.listLiteral(e, to)
	case *parse.SetLit:
		return c.setLiteral(e, to)
	case *parse.MapLit:
		return c.mapLiteral(e, to)
	case *parse.TupleLit:
		return c.tupleLiteral(e, to)
	case *parse.UDTLit:
		return c.udtLiteral(e, to)
	case *parse.TypeHint:
		t, err := c.resolveType(e.Type)
		if err != nil {
			return nil, err
		}
		if !assignable(t, to.Type) {
			return nil, helenus.Invalid("Cannot assign value %s to %s of type %s", c.text(e), to.Name, to.Type)
		}
		return c.term(e.X, ColumnSpec{Keyspace: to.Keyspace, Table: to.Table, Name: to.Name, Type: t})
	case *parse.Call, *parse.Binary, *parse.Negate, *parse.Cast:
		return c.computed(e, to)
	}
	return nil, helenus.Unsupported("this form of value")
}

// computed compiles a value whose type follows from its parts.
func (c *compiler) computed(e parse.Expr, to ColumnSpec) (expr, error) {
	got, t, err := c.typed(e, to.Type, nil)
	if err != nil {
		return nil, err
	}
	if !assignable(t, to.Type) {
		if call, ok := e.(*parse.Call); ok {
			return nil, helenus.Invalid("Type error: cannot assign result of function %s (type %s) to %s (type %s)",
				functionText(functionName(call.Name)), t, to.Name, to.Type)
		}
		return nil, helenus.Invalid("Type error: cannot assign result of type %s to %s (type %s)", t, to.Name, to.Type)
	}
	return got, nil
}

func (c *compiler) text(e parse.Expr) string { return parse.ExprString(e) }

func (c *compiler) constant(e *parse.Constant, to ColumnSpec) (expr, error) {
	if e.Kind == parse.Null {
		return constExpr(nil), nil
	}
	kind, ok := constantKinds[e.Kind]
	if !ok {
		return nil, helenus.Errorf(helenus.CodeSyntax, "unexpected %s", e.Text)
	}
	b, err := to.Type.ParseConstant(kind, e.Text)
	if err != nil {
		return nil, constantError(err, to)
	}
	return constExpr(b), nil
}

func constantError(err error, to ColumnSpec) error {
	var kind *types.ConstantError
	if errors.As(err, &kind) {
		return helenus.Invalid("%s", kind.For(to.Name))
	}
	return helenus.Invalid("%s", err.Error())
}

func (c *compiler) marker(e *parse.BindMarker, to ColumnSpec) expr {
	spec := to
	if e.Name != "" {
		spec.Name = e.Name
	}
	c.specs[e.Index] = spec
	return &markerExpr{index: e.Index, typ: to.Type}
}

// fits tells whether a literal may be of a type at all; of what is no literal
// its own compilation says so.
func fits(e parse.Expr, t *types.Type) bool {
	k, ok := e.(*parse.Constant)
	if !ok || k.Kind == parse.Null {
		return true
	}
	kind, ok := constantKinds[k.Kind]
	return ok && t.Accepts(kind)
}

func (c *compiler) listLiteral(e *parse.ListLit, to ColumnSpec) (expr, error) {
	if to.Type.Kind != types.List && to.Type.Kind != types.Vector {
		return nil, helenus.Invalid("Unexpected receiver type '%s'; only list and vector are expected", to.Type)
	}
	if to.Type.Kind == types.Vector && len(e.Elems) != to.Type.Dimension {
		return nil, helenus.Invalid("Invalid vector literal for %s of type %s; expected %d elements, but given %d",
			to.Name, to.Type, to.Type.Dimension, len(e.Elems))
	}
	return c.elements(e.Elems, to, part("value("+to.Name+")", to, to.Type.Elems[0]))
}

// part is the receiver of an element of a composite value.
func part(name string, of ColumnSpec, t *types.Type) ColumnSpec {
	return ColumnSpec{Keyspace: of.Keyspace, Table: of.Table, Name: name, Type: t}
}

func (c *compiler) elements(elems []parse.Expr, to, each ColumnSpec) (expr, error) {
	out := &collectionExpr{typ: to.Type}
	for _, el := range elems {
		if !fits(el, each.Type) {
			return nil, helenus.Invalid("Invalid %s literal for %s: value %s is not of type %s", kindWord(to.Type), to.Name, c.text(el), each.Type)
		}
		t, err := c.term(el, each)
		if err != nil {
			return nil, err
		}
		out.elems = append(out.elems, t)
	}
	return c.fold(out, out.elems)
}

func kindWord(t *types.Type) string {
	switch t.Kind {
	case types.Set:
		return "set"
	case types.Vector:
		return "vector"
	}
	return "list"
}

// fold evaluates a composite of constants once, at planning.
func (c *compiler) fold(e expr, parts []expr) (expr, error) {
	for _, p := range parts {
		if _, ok := p.(constExpr); !ok && p != nil {
			return e, nil
		}
	}
	v, err := e.eval(nil, nil)
	return constExpr(v.Bytes), err
}

func (c *compiler) setLiteral(e *parse.SetLit, to ColumnSpec) (expr, error) {
	if to.Type.Kind == types.Map && len(e.Elems) == 0 {
		return c.elements(nil, to, to)
	}
	if to.Type.Kind != types.Set {
		return nil, helenus.Invalid("Invalid set literal for %s of type %s", to.Name, to.Type)
	}
	return c.elements(e.Elems, to, part("value("+to.Name+")", to, to.Type.Elems[0]))
}

func (c *compiler) mapLiteral(e *parse.MapLit, to ColumnSpec) (expr, error) {
	if to.Type.Kind != types.Map {
		return nil, helenus.Invalid("Invalid map literal for %s of type %s", to.Name, to.Type)
	}
	out := &collectionExpr{typ: to.Type}
	for _, entry := range e.Entries {
		if !fits(entry.Key, to.Type.Elems[0]) {
			return nil, helenus.Invalid("Invalid map literal for %s: key %s is not of type %s", to.Name, c.text(entry.Key), to.Type.Elems[0])
		}
		if !fits(entry.Value, to.Type.Elems[1]) {
			return nil, helenus.Invalid("Invalid map literal for %s: value %s is not of type %s", to.Name, c.text(entry.Value), to.Type.Elems[1])
		}
		k, err := c.term(entry.Key, part("key("+to.Name+")", to, to.Type.Elems[0]))
		if err != nil {
			return nil, err
		}
		v, err := c.term(entry.Value, part("value("+to.Name+")", to, to.Type.Elems[1]))
		if err != nil {
			return nil, err
		}
		out.elems = append(out.elems, k, v)
	}
	return c.fold(out, out.elems)
}

func (c *compiler) tupleLiteral(e *parse.TupleLit, to ColumnSpec) (expr, error) {
	if to.Type.Kind != types.Tuple {
		return nil, helenus.Invalid("Invalid tuple type literal for %s of type %s", to.Name, to.Type)
	}
	if len(e.Elems) > len(to.Type.Elems) {
		return nil, helenus.Invalid("Invalid tuple literal for %s: too many elements. Type %s expects %d but got %d",
			to.Name, to.Type, len(to.Type.Elems), len(e.Elems))
	}
	out := &tupleExpr{}
	for i, el := range e.Elems {
		if !fits(el, to.Type.Elems[i]) {
			return nil, helenus.Invalid("Invalid tuple literal for %s: component %d is not of type %s", to.Name, i, to.Type.Elems[i])
		}
		t, err := c.term(el, part(to.Name, to, to.Type.Elems[i]))
		if err != nil {
			return nil, err
		}
		out.fields = append(out.fields, t)
	}
	return c.fold(out, out.fields)
}

func (c *compiler) udtLiteral(e *parse.UDTLit, to ColumnSpec) (expr, error) {
	if to.Type.Kind != types.UDT {
		return nil, helenus.Invalid("Invalid user type literal for %s of type %s", to.Name, to.Type)
	}
	out := &tupleExpr{fields: make([]expr, len(to.Type.Elems))}
	for _, f := range e.Fields {
		i := slices.Index(to.Type.FieldNames, f.Name)
		if i < 0 {
			return nil, helenus.Invalid("Unknown field '%s' in value of user defined type %s", f.Name, to.Type.Name)
		}
		if !fits(f.Value, to.Type.Elems[i]) {
			return nil, helenus.Invalid("Invalid user type literal for %s: field %s is not of type %s", to.Name, f.Name, to.Type.Elems[i])
		}
		t, err := c.term(f.Value, part(f.Name, to, to.Type.Elems[i]))
		if err != nil {
			return nil, err
		}
		out.fields[i] = t
	}
	return c.fold(out, out.fields)
}

// resolveType turns a type as written into a type, looking user types up in the
// keyspace in use.
func (c *compiler) resolveType(e parse.TypeExpr) (*types.Type, error) {
	return e.Resolve(func(ks, name string) (*types.Type, error) {
		if ks == "" {
			ks = c.keyspace
		}
		if k := c.state.Schema.Keyspaces[ks]; k != nil && k.Types[name] != nil {
			return k.Types[name], nil
		}
		return nil, helenus.Invalid("Unknown type %s.%s", ks, name)
	})
}

// assignable tells whether a value of type from may stand where to is wanted.
func assignable(from, to *types.Type) bool {
	if from.Equal(to) || thawed(from).Equal(thawed(to)) {
		return true
	}
	switch to.Kind {
	case types.Blob:
		return true
	case types.Text:
		return from.Kind == types.ASCII
	case types.UUID:
		return from.Kind == types.TimeUUID
	case types.Timestamp:
		return from.Kind == types.BigInt
	case types.BigInt:
		return from.Kind == types.Timestamp || from.Kind == types.Counter
	case types.VarInt:
		return from.Kind == types.Int || from.Kind == types.BigInt || from.Kind == types.Timestamp
	}
	return false
}

// thawed is the type without its outermost frozen, which values do not show.
func thawed(t *types.Type) *types.Type {
	if !t.Frozen {
		return t
	}
	c := *t
	c.Frozen = false
	return &c
}
