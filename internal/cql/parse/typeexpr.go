package parse

import (
	"strconv"

	"helenus"
	"helenus/internal/cql/types"
)

// TypeKind is the form of a TypeExpr.
type TypeKind uint8

// The forms of types.
const (
	NativeType TypeKind = iota // Native
	ListType                   // Params[0]
	SetType                    // Params[0]
	MapType                    // Params[0], Params[1]
	TupleType                  // Params, one or more
	VectorType                 // Params[0], Dimension
	NamedType                  // Name: a user-defined type
	CustomType                 // Name.Name: a marshal class in quotes
)

// TypeExpr is a type as written. User-defined types are names until Resolve.
type TypeExpr struct {
	Kind      TypeKind
	Frozen    bool // frozen<...> stood around it
	Native    types.Kind
	Params    []TypeExpr
	Dimension int
	Name      QualifiedName
}

var natives = [kindCount]types.Kind{kwAscii: types.ASCII, kwBigint: types.BigInt, kwBlob: types.Blob,
	kwBoolean: types.Boolean, kwCounter: types.Counter, kwDate: types.Date, kwDecimal: types.Decimal,
	kwDouble: types.Double, kwDuration: types.Duration, kwFloat: types.Float, kwInet: types.Inet, kwInt: types.Int,
	kwSmallint: types.SmallInt, kwText: types.Text, kwTime: types.Time, kwTimestamp: types.Timestamp,
	kwTimeuuid: types.TimeUUID, kwTinyint: types.TinyInt, kwUuid: types.UUID, kwVarchar: types.Text,
	kwVarint: types.VarInt}

var nativeNames = [types.Custom]string{types.ASCII: "ascii", types.BigInt: "bigint", types.Blob: "blob",
	types.Boolean: "boolean", types.Counter: "counter", types.Date: "date", types.Decimal: "decimal",
	types.Double: "double", types.Duration: "duration", types.Float: "float", types.Inet: "inet", types.Int: "int",
	types.SmallInt: "smallint", types.Text: "text", types.Time: "time", types.Timestamp: "timestamp",
	types.TimeUUID: "timeuuid", types.TinyInt: "tinyint", types.UUID: "uuid", types.VarInt: "varint"}

// nativeType takes a native type, the only ones that CAST knows.
func (p *parser) nativeType() TypeExpr {
	k := p.tok.kind
	if !isNative(k) {
		p.noViable()
		return TypeExpr{}
	}
	p.advance()
	return TypeExpr{Kind: NativeType, Native: natives[k]}
}

// typeExpr takes any type.
func (p *parser) typeExpr() TypeExpr {
	defer p.leave()
	if !p.enter() {
		return TypeExpr{}
	}
	k := p.tok.kind
	if (isNative(k) || k == kwFrozen || k == kwList || k == kwMap || k == kwTuple || k == kwVector) &&
		p.peek() == tokDot {
		return p.namedType()
	}
	if isNative(k) {
		return p.nativeType()
	}
	if k == tokString {
		return TypeExpr{Kind: CustomType, Name: QualifiedName{Name: p.expectText(tokString)}}
	}
	parametric := k == kwSet || p.peek() == tokLt
	switch {
	case !parametric:
	case k == kwFrozen:
		return p.frozen()
	case k == kwList:
		return p.parameters(ListType, 1)
	case k == kwSet:
		return p.parameters(SetType, 1)
	case k == kwMap:
		return p.parameters(MapType, 2)
	case k == kwTuple:
		return p.parameters(TupleType, 0)
	case k == kwVector:
		return p.vector()
	}
	return p.namedType()
}

func (p *parser) frozen() TypeExpr {
	p.advance()
	p.expect(tokLt)
	t := p.typeExpr()
	p.expect(tokGt)
	if t.Kind == NativeType || t.Kind == CustomType {
		p.plain("frozen<> is only allowed on collections, tuples, and user-defined types (got " + t.String() + ")")
	}
	t.Frozen = true
	return t
}

// parameters takes <type, ...>: count of them, or any number when count is 0.
func (p *parser) parameters(k TypeKind, count int) TypeExpr {
	p.advance()
	p.expect(tokLt)
	t := TypeExpr{Kind: k, Params: []TypeExpr{p.typeExpr()}}
	for i := 1; i < count; i++ {
		p.expect(tokComma)
		t.Params = append(t.Params, p.typeExpr())
	}
	for count == 0 && p.accept(tokComma) {
		t.Params = append(t.Params, p.typeExpr())
	}
	p.expect(tokGt)
	return t
}

func (p *parser) vector() TypeExpr {
	p.advance()
	p.expect(tokLt)
	t := TypeExpr{Kind: VectorType, Params: []TypeExpr{p.typeExpr()}}
	p.expect(tokComma)
	text := p.expectText(tokInteger)
	p.expect(tokGt)
	if p.failed {
		return t
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		p.plain("vector dimension " + text + " is out of range")
	}
	t.Dimension = int(n)
	return t
}

// namedType takes [keyspace.]type.
func (p *parser) namedType() TypeExpr { return TypeExpr{Kind: NamedType, Name: p.typeName()} }

// typeName takes the name of a user-defined type, which cannot be that of a native
// type unless quoted.
func (p *parser) typeName() QualifiedName {
	first := p.tok
	var n QualifiedName
	if isName(first.kind) && p.peek() == tokDot {
		n.Keyspace = p.name()
		p.advance()
		first = p.tok
	}
	switch k := first.kind; {
	case (isNative(k) || isSpecial(k) && k != kwKey) && n.Keyspace == "":
		p.advance()
		p.mismatch(tokDot)
	case !isName(k) || isNative(k) || isSpecial(k) && k != kwKey:
		p.noViable()
	default:
		n.Name = p.name()
		if k == tokIdent && reservedTypeName(n.Name) {
			p.plain("Invalid (reserved) user type name " + n.Name)
		}
	}
	return n
}

func reservedTypeName(s string) bool {
	switch s {
	case "byte", "complex", "enum", "date", "interval", "macaddr", "bitstring":
		return true
	}
	return false
}

// Resolve makes the type, asking udt for user-defined ones (ks is "" when the
// text did not say). What udt returns is frozen here as the text demands.
// Errors are *helenus.Error with CodeInvalid, or what udt returned.
func (t *TypeExpr) Resolve(udt func(ks, name string) (*types.Type, error)) (*types.Type, error) {
	return t.resolve(udt, t.Frozen)
}

func (t *TypeExpr) resolve(udt func(ks, name string) (*types.Type, error), frozen bool) (*types.Type, error) {
	switch t.Kind {
	case NativeType:
		return types.Native(t.Native), nil
	case CustomType:
		return &types.Type{Kind: types.Custom, Name: t.Name.Name}, nil
	case NamedType:
		u, err := udt(t.Name.Keyspace, t.Name.Name)
		if err == nil && frozen {
			u = freeze(u)
		}
		return u, err
	}
	// Frozen reaches everything inside; tuples and vectors are always frozen.
	frozen = frozen || t.Kind == TupleType || t.Kind == VectorType
	elems := make([]*types.Type, len(t.Params))
	for i := range t.Params {
		if err := t.checkParameter(i, frozen); err != nil {
			return nil, err
		}
		e, err := t.Params[i].resolve(udt, frozen || t.Params[i].Frozen)
		if err != nil {
			return nil, err
		}
		elems[i] = e
	}
	switch t.Kind {
	case ListType:
		return types.ListOf(elems[0], frozen), nil
	case SetType:
		return types.SetOf(elems[0], frozen), nil
	case MapType:
		return types.MapOf(elems[0], elems[1], frozen), nil
	case VectorType:
		if t.Dimension <= 0 {
			return nil, helenus.Invalid("vectors may only have positive dimensions; given %d", t.Dimension)
		}
		return types.VectorOf(elems[0], t.Dimension), nil
	}
	return types.TupleOf(elems...), nil
}

// checkParameter refuses what Cassandra refuses inside a type, which is less
// inside tuples and nothing inside vectors.
func (t *TypeExpr) checkParameter(i int, frozen bool) error {
	e := &t.Params[i]
	counter := e.Kind == NativeType && e.Native == types.Counter
	duration := e.Kind == NativeType && e.Native == types.Duration
	switch {
	case t.Kind == VectorType:
	case t.Kind == TupleType:
		if counter {
			return helenus.Invalid("Counters are not allowed inside tuples")
		}
	case counter:
		return helenus.Invalid("Counters are not allowed inside collections: %s", t)
	case duration && t.Kind == SetType:
		return helenus.Invalid("Durations are not allowed inside sets: %s", t)
	case duration && t.Kind == MapType && i == 0:
		return helenus.Invalid("Durations are not allowed as map keys: %s", t)
	case frozen || e.Frozen:
	case e.Kind == NamedType:
		return helenus.Invalid("Non-frozen UDTs are not allowed inside collections: %s", t)
	case e.Kind == ListType || e.Kind == SetType || e.Kind == MapType:
		return helenus.Invalid("Non-frozen collections are not allowed inside collections: %s", t)
	}
	return nil
}

// freeze makes the frozen form of t and of everything inside.
func freeze(t *types.Type) *types.Type {
	if !t.IsCollection() && t.Kind != types.UDT && t.Kind != types.Tuple && t.Kind != types.Vector {
		return t
	}
	f := *t
	f.Frozen = t.IsCollection() || t.Kind == types.UDT
	f.Elems = make([]*types.Type, len(t.Elems))
	for i, e := range t.Elems {
		f.Elems[i] = freeze(e)
	}
	return &f
}
