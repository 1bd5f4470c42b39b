package query

import (
	"fmt"
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// scope is where the columns of a selector come from; nil where only terms are
// allowed.
type scope struct {
	table *schema.Table
	plan  *selectPlan
}

// typed compiles an expression whose type is not given from outside but follows
// from its parts; want is a hint for literals and markers, or nil.
func (c *compiler) typed(e parse.Expr, want *types.Type, s *scope) (expr, *types.Type, error) {
	switch e := e.(type) {
	case *parse.Column:
		return c.columnExpr(e, s)
	case *parse.CellInfo:
		return c.cellInfo(e, s)
	case *parse.Call:
		return c.call(e, want, s)
	case *parse.Cast:
		return c.cast(e, s)
	case *parse.Binary:
		return c.binary(e, want, s)
	case *parse.Negate:
		return c.negate(e, want, s)
	case *parse.Element, *parse.Slice, *parse.Field:
		return c.partOf(e, s)
	case *parse.TypeHint:
		t, err := c.resolveType(e.Type)
		if err != nil {
			return nil, nil, err
		}
		x, err := c.term(e.X, ColumnSpec{Name: c.text(e.X), Type: t})
		return x, t, err
	}
	if tuple, ok := e.(*parse.TupleLit); ok && len(tuple.Elems) == 1 && s != nil {
		return c.typed(tuple.Elems[0], want, s)
	}
	t := want
	if t == nil {
		return nil, nil, helenus.Invalid("Cannot infer type for term %s in selection clause (try using a cast to force a type)", c.text(e))
	}
	x, err := c.term(e, ColumnSpec{Name: c.text(e), Type: t})
	return x, t, err
}

func (c *compiler) columnExpr(e *parse.Column, s *scope) (expr, *types.Type, error) {
	if s == nil {
		return nil, nil, helenus.Invalid("Columns are not allowed here: %s", e.Name)
	}
	col, err := c.column(s.table, e.Name)
	if err != nil {
		return nil, nil, err
	}
	return &columnExpr{slot: s.plan.slot(col)}, col.Type, nil
}

// cellInfo compiles WRITETIME and TTL of a column.
func (c *compiler) cellInfo(e *parse.CellInfo, s *scope) (expr, *types.Type, error) {
	name := [...]string{"writetime", "maxwritetime", "ttl"}[e.Kind]
	ref, ok := e.X.(*parse.Column)
	if s == nil || !ok {
		return nil, nil, helenus.Unsupported(name + " of an element, slice or field")
	}
	col, err := c.column(s.table, ref.Name)
	if err != nil {
		return nil, nil, err
	}
	if col.Kind == schema.PartitionKey || col.Kind == schema.Clustering {
		return nil, nil, helenus.Invalid("Cannot use selection function %s on PRIMARY KEY part %s", name, col.Name)
	}
	t := types.Native(types.BigInt)
	if e.Kind == parse.TTL {
		t = types.Native(types.Int)
	}
	if col.IsComplex() && e.Kind != parse.MaxWriteTime {
		t = types.ListOf(t, false)
	}
	return &cellInfoExpr{slot: s.plan.slot(col), kind: e.Kind, complex: col.IsComplex()}, t, nil
}

func functionName(n parse.QualifiedName) string {
	if n.Keyspace == "" || n.Keyspace == "system" {
		return n.Name
	}
	return n.Keyspace + "." + n.Name
}

// call compiles a function call: an aggregate over the rows, or a scalar one.
func (c *compiler) call(e *parse.Call, want *types.Type, s *scope) (expr, *types.Type, error) {
	name := strings.ToLower(e.Name.Name)
	if e.Name.Keyspace != "" && e.Name.Keyspace != "system" {
		return nil, nil, helenus.Invalid("Unknown function '%s'", functionName(e.Name))
	}
	if isAggregate(name) {
		return c.aggregate(e, name, s)
	}
	if name == "token" {
		return c.tokenCall(e, s)
	}
	candidates := scalarFunctions[name]
	if len(candidates) == 0 {
		if f := blobConversion(name); f != nil {
			candidates = []*function{f}
		}
	}
	if len(candidates) == 0 && slices.Contains(functionsToCome, name) {
		return nil, nil, helenus.Unsupported("the function " + name)
	}
	if len(candidates) == 0 && s == nil {
		return nil, nil, helenus.Invalid("Unknown function %s called", functionName(e.Name))
	}
	if len(candidates) == 0 {
		return nil, nil, helenus.Invalid("Unknown function '%s'", functionName(e.Name))
	}
	return c.overload(e, name, candidates, want, s)
}

// overload picks the candidate whose parameters take the arguments and whose
// result is wanted.
func (c *compiler) overload(e *parse.Call, name string, candidates []*function, want *types.Type, s *scope) (expr, *types.Type, error) {
	if len(candidates) == 1 {
		f := candidates[0]
		if len(f.args) != len(e.Args) {
			return nil, nil, helenus.Invalid("Invalid number of arguments in call to function %s: %d required but %d provided",
				functionText(name), len(f.args), len(e.Args))
		}
		args, err := c.arguments(e, f, name, s)
		return &callExpr{fn: f, args: args}, f.ret, err
	}
	var fit []*function
	var found *callExpr
	for _, f := range candidates {
		if len(f.args) != len(e.Args) || (want != nil && !assignable(f.ret, want)) {
			continue
		}
		if args, err := c.arguments(e, f, name, s); err == nil {
			fit = append(fit, f)
			found = &callExpr{fn: f, args: args}
		}
	}
	switch {
	case len(fit) == 0:
		return nil, nil, helenus.Invalid("Invalid call to function %s, none of its type signatures match (known type signatures: %s)",
			name, strings.Join(signatures(candidates, name), ", "))
	case len(fit) > 1:
		texts := signatures(fit, name)
		slices.Sort(texts)
		return nil, nil, helenus.Invalid("Ambiguous call to function %s (can be matched by following signatures: %s): use type casts to disambiguate",
			name, strings.Join(texts, ", "))
	}
	return found, found.fn.ret, nil
}

func functionText(name string) string { return "system." + name }

func signatures(candidates []*function, name string) []string {
	var all []string
	for _, f := range candidates {
		var args []string
		for _, a := range f.args {
			args = append(args, typeText(a))
		}
		all = append(all, functionText(name)+" : ("+strings.Join(args, ", ")+") -> "+typeText(f.ret))
	}
	return all
}

func typeText(t *types.Type) string {
	if t == nil {
		return "any"
	}
	return t.String()
}

func (c *compiler) arguments(e *parse.Call, f *function, name string, s *scope) ([]expr, error) {
	var args []expr
	for i, a := range e.Args {
		if m, ok := a.(*parse.BindMarker); ok && f.args[i] != nil {
			args = append(args, c.marker(m, c.argument(i, name, f.args[i])))
			continue
		}
		x, t, err := c.typed(a, f.args[i], s)
		if err != nil {
			return nil, err
		}
		if f.args[i] != nil && !assignable(t, f.args[i]) {
			return nil, helenus.Invalid("Type error: %s cannot be passed as argument %d of function %s of type %s",
				c.text(a), i, functionText(name), f.args[i])
		}
		args = append(args, x)
	}
	return args, nil
}

// argument is the receiver of the i-th argument of a function.
func (c *compiler) argument(i int, name string, t *types.Type) ColumnSpec {
	spec := ColumnSpec{Name: fmt.Sprintf("arg%d(%s)", i, functionText(name)), Type: t}
	if c.target != nil {
		spec.Keyspace, spec.Table = c.target.Keyspace, c.target.Name
	}
	return spec
}

// tokenCall compiles token(...): of the partition key's columns in a selection,
// of terms of their types elsewhere.
func (c *compiler) tokenCall(e *parse.Call, s *scope) (expr, *types.Type, error) {
	if s == nil {
		return nil, nil, helenus.Invalid("token() is only allowed in selections and relations on the token of the partition key")
	}
	key := s.table.PartitionKey
	if len(e.Args) != len(key) {
		return nil, nil, helenus.Invalid("Invalid number of arguments in call to function system.token: %d required but %d provided",
			len(key), len(e.Args))
	}
	out := &tokenExpr{table: s.table}
	for i, a := range e.Args {
		if m, ok := a.(*parse.BindMarker); ok {
			out.args = append(out.args, c.marker(m, c.argument(i, "token", key[i].Type)))
			continue
		}
		x, t, err := c.typed(a, key[i].Type, s)
		if err != nil {
			return nil, nil, err
		}
		if !assignable(t, key[i].Type) {
			return nil, nil, helenus.Invalid("Type error: %s cannot be passed as argument %d of function system.token of type %s",
				c.text(a), i, key[i].Type)
		}
		out.args = append(out.args, x)
	}
	return out, c.engine.tokenType(), nil
}

// tokenExpr is token(...).
type tokenExpr struct {
	table interface{ QualifiedName() string }
	args  []expr
}

func (e *tokenExpr) eval(x *execution, r *rowView) (Value, error) {
	parts := make([][]byte, len(e.args))
	for i, a := range e.args {
		v, err := a.eval(x, r)
		if err != nil || v.Bytes == nil {
			return Value{}, err
		}
		parts[i] = v.Bytes
	}
	p := x.engine.opts.Partitioner
	return Value{Bytes: p.Value(p.Token(composeKey(nil, parts)))}, nil
}

func (e *Engine) tokenType() *types.Type {
	t, err := types.ParseName(e.opts.Partitioner.TypeName(), nil)
	if err != nil {
		return types.Native(types.Blob)
	}
	return t
}
