package query

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"

	"gopkg.in/inf.v0"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// aggregateSpec is one aggregate of a SELECT: its function and its argument,
// nil for count(*).
type aggregateSpec struct {
	name string
	arg  expr
	typ  *types.Type // of the argument
}

// aggregateState is an aggregate under way.
type aggregateState struct {
	count int64
	value []byte   // min, max
	sum   *big.Int // sum and avg of whole numbers
	dec   *inf.Dec // sum of decimals, or their running average
	float float64  // of floats
}

func isAggregate(name string) bool {
	switch name {
	case "count", "min", "max", "sum", "avg":
		return true
	}
	return false
}

// aggregateExpr is an aggregate's result, known when all rows have been seen.
type aggregateExpr struct{ index int }

func (e *aggregateExpr) eval(x *execution, _ *rowView) (Value, error) {
	r := &x.sel
	return Value{Bytes: r.aggregates[e.index].result(&r.plan.aggregates[e.index])}, nil
}

func (c *compiler) aggregate(e *parse.Call, name string, s *scope) (expr, *types.Type, error) {
	if s == nil || s.plan == nil {
		return nil, nil, helenus.Invalid("Aggregate functions are not supported here: %s", name)
	}
	spec := aggregateSpec{name: name}
	result := types.Native(types.BigInt)
	if !(name == "count" && (e.Star || isConstant(e.Args))) {
		if len(e.Args) != 1 {
			return nil, nil, helenus.Invalid("Invalid number of arguments for function %s(any)", functionText(name))
		}
		x, t, err := c.typed(e.Args[0], nil, s)
		if err != nil {
			return nil, nil, err
		}
		if _, nested := x.(*aggregateExpr); nested {
			return nil, nil, helenus.Invalid("aggregate functions cannot be used as arguments of aggregate functions")
		}
		spec.arg, spec.typ = x, t
		if name != "count" {
			result = t
		}
		if (name == "sum" || name == "avg") && !isNumber(t) {
			return nil, nil, helenus.Invalid("Invalid call to function %s, none of its type signatures match", functionText(name))
		}
	}
	s.plan.aggregates = append(s.plan.aggregates, spec)
	return &aggregateExpr{index: len(s.plan.aggregates) - 1}, result, nil
}

func isNumber(t *types.Type) bool {
	switch t.Kind {
	case types.TinyInt, types.SmallInt, types.Int, types.BigInt, types.VarInt, types.Counter,
		types.Float, types.Double, types.Decimal:
		return true
	}
	return false
}

func newAggregates(specs []aggregateSpec) []aggregateState {
	if specs == nil {
		return nil
	}
	out := make([]aggregateState, len(specs))
	for i := range out {
		out[i].sum, out[i].dec = new(big.Int), new(inf.Dec)
	}
	return out
}

// aggregate adds the row at hand to all aggregates.
func (r *selectRun) aggregate(x *execution) error {
	if r.rows == 0 {
		// Outputs that are no aggregates show the first row.
		r.firstRow = make([][]byte, len(r.view.values))
		for i, v := range r.view.values {
			r.firstRow[i] = bytes.Clone(v)
		}
		if err := r.keep(x); err != nil {
			return err
		}
	}
	r.rows++
	r.inPartition++
	for i := range r.aggregates {
		a, spec := &r.aggregates[i], &r.plan.aggregates[i]
		if spec.arg == nil {
			a.count++
			continue
		}
		v, err := spec.arg.eval(x, &r.view)
		if err != nil {
			return err
		}
		if v.Bytes != nil {
			a.add(spec, v.Bytes)
		}
	}
	return nil
}

func (a *aggregateState) add(spec *aggregateSpec, v []byte) {
	a.count++
	switch spec.name {
	case "min", "max":
		if a.value != nil {
			if c := spec.typ.Compare(v, a.value); c == 0 || (c < 0) != (spec.name == "min") {
				return
			}
		}
		a.value = bytes.Clone(v)
	case "sum", "avg":
		switch n, _ := types.Decode(spec.typ, v); n := n.(type) {
		case *big.Int:
			a.sum.Add(a.sum, n)
		case *inf.Dec:
			if spec.name == "avg" {
				// Step by step, each rounded to the places of its operand.
				n = new(inf.Dec).Sub(n, a.dec)
				n.QuoRound(n, inf.NewDec(a.count, 0), n.Scale(), inf.RoundHalfEven)
			}
			a.dec.Add(a.dec, n)
		case float32:
			a.float += float64(n)
		case float64:
			a.float += n
		default:
			a.sum.Add(a.sum, big.NewInt(signed(v)))
		}
	}
}

// signed reads a big-endian two's complement number of up to 8 bytes.
func signed(v []byte) int64 {
	if len(v) == 0 || len(v) > 8 {
		return 0
	}
	var b [8]byte
	if v[0]&0x80 != 0 {
		b = [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
	}
	copy(b[8-len(v):], v)
	return int64(binary.BigEndian.Uint64(b[:]))
}

// result is the aggregate's value; of no rows it is 0 for count, sum and avg
// and null otherwise.
func (a *aggregateState) result(spec *aggregateSpec) []byte {
	switch spec.name {
	case "count":
		return binary.BigEndian.AppendUint64(nil, uint64(a.count))
	case "min", "max":
		return a.value
	}
	divide := spec.name == "avg" && a.count > 0
	switch spec.typ.Kind {
	case types.Float, types.Double:
		f := a.float
		if divide {
			f /= float64(a.count)
		}
		return encodeFloat(spec.typ, f)
	case types.Decimal:
		b, _ := types.Encode(spec.typ, a.dec)
		return b
	}
	n := a.sum
	if divide {
		n = new(big.Int).Quo(n, big.NewInt(a.count))
	}
	if spec.typ.Kind == types.VarInt {
		b, _ := types.Encode(spec.typ, n)
		return b
	}
	return wrapped(spec.typ, n)
}

// wrapped gives the low bytes of a sum: sums overflow as Cassandra's do.
func wrapped(t *types.Type, n *big.Int) []byte {
	low := new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1)).Uint64()
	b := binary.BigEndian.AppendUint64(nil, low)
	switch t.Kind {
	case types.TinyInt:
		return b[7:]
	case types.SmallInt:
		return b[6:]
	case types.Int:
		return b[4:]
	}
	return b
}

func encodeFloat(t *types.Type, f float64) []byte {
	if t.Kind == types.Float {
		b, _ := types.Encode(t, float32(f))
		return b
	}
	b, _ := types.Encode(t, f)
	return b
}

// giveAggregates writes the one row of an aggregation.
func (r *selectRun) giveAggregates(x *execution) error {
	if r.aggregates == nil {
		r.begin(x)
	}
	// The iterators have ended and what the view held with them.
	r.view.row, r.view.static = nil, nil
	if r.view.values = r.firstRow; r.view.values == nil {
		r.view.values = make([][]byte, len(r.plan.columns))
	}
	for i, out := range r.plan.outputs {
		var v Value
		var err error
		if r.plan.aggregated[i] {
			v, err = out.eval(x, &r.view)
		} else if len(r.sorted) > 0 {
			v.Bytes = r.sorted[0].cells[i]
		}
		if err != nil {
			return err
		}
		x.req.Out.Cell(v.Bytes)
	}
	x.req.Out.EndRow()
	r.sorted = nil
	switch w := r.plan.where; {
	case r.plan.several:
		x.warn("Aggregation query used on multiple partition keys (IN restriction)")
	case w.keySet == 0 && w.token == nil && !slices.ContainsFunc(w.filters, func(f filter) bool { return f.column.Kind == schema.PartitionKey }):
		x.warn("Aggregation query used without partition key")
	}
	return nil
}
