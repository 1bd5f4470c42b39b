// Package types holds CQL's data types: their names in CQL and in Cassandra's
// files, the bytes of their values, the order of those bytes, and literals.
//
// Nouns: Type (an immutable description), Kind (the family of a type). Values
// are always []byte in the encoding of the native protocol; nil is null, and
// an empty non-nil slice is the empty value that most types allow.
//
// Everybody above floor 1 uses it. It never knows tables, rows or the wire.
package types

// Kind is the family of a type.
type Kind uint8

// The kinds. Native scalars come first.
const (
	Invalid Kind = iota
	ASCII
	BigInt
	Blob
	Boolean
	Counter
	Date
	Decimal
	Double
	Duration
	Float
	Inet
	Int
	SmallInt
	Text // varchar is the same type
	Time
	Timestamp
	TimeUUID
	TinyInt
	UUID
	VarInt
	Empty // EmptyType: no value but the empty one
	List
	Set
	Map
	Tuple
	UDT
	Vector
	Custom // a marshal class this build does not know
)

// Type is one CQL type; it never changes after it is made, so pointers may be
// shared and compared after interning only by Equal.
type Type struct {
	Kind  Kind
	Elems []*Type // list and set: 1; map: key, value; tuple and UDT: fields; vector: 1
	// Frozen is true for a collection or UDT stored as one cell. It is
	// meaningless (false) for scalars, tuples and vectors, which always are.
	Frozen     bool
	Keyspace   string   // UDT
	Name       string   // UDT: name; Custom: marshal class
	FieldNames []string // UDT
	Dimension  int      // vector
}

// IsCollection tells whether t is a list, set or map.
func (t *Type) IsCollection() bool { return t.Kind == List || t.Kind == Set || t.Kind == Map }

// IsMultiCell tells whether values of t are stored as several cells of a
// complex column: a non-frozen collection or UDT.
func (t *Type) IsMultiCell() bool {
	return !t.Frozen && (t.IsCollection() || t.Kind == UDT)
}

// Native returns the shared Type of a scalar kind.
func Native(k Kind) *Type { return &natives[k] }

var natives = func() (n [Custom + 1]Type) {
	for k := range n {
		n[k].Kind = Kind(k)
	}
	return n
}()

// ListOf, SetOf, MapOf, TupleOf and VectorOf make composite types.
func ListOf(elem *Type, frozen bool) *Type {
	return &Type{Kind: List, Elems: []*Type{elem}, Frozen: frozen}
}

// SetOf makes set<elem>.
func SetOf(elem *Type, frozen bool) *Type {
	return &Type{Kind: Set, Elems: []*Type{elem}, Frozen: frozen}
}

// MapOf makes map<key, value>.
func MapOf(key, value *Type, frozen bool) *Type {
	return &Type{Kind: Map, Elems: []*Type{key, value}, Frozen: frozen}
}

// TupleOf makes tuple<elems...>.
func TupleOf(elems ...*Type) *Type { return &Type{Kind: Tuple, Elems: elems} }

// VectorOf makes vector<elem, dimension>.
func VectorOf(elem *Type, dimension int) *Type {
	return &Type{Kind: Vector, Elems: []*Type{elem}, Dimension: dimension}
}

// Equal tells whether two types are the same, field names of UDTs included.
func (t *Type) Equal(u *Type) bool {
	if t == u {
		return true
	}
	if t.Kind != u.Kind || t.Frozen != u.Frozen || t.Dimension != u.Dimension || t.Keyspace != u.Keyspace ||
		t.Name != u.Name || len(t.Elems) != len(u.Elems) || len(t.FieldNames) != len(u.FieldNames) {
		return false
	}
	for i := range t.FieldNames {
		if t.FieldNames[i] != u.FieldNames[i] {
			return false
		}
	}
	for i := range t.Elems {
		if !t.Elems[i].Equal(u.Elems[i]) {
			return false
		}
	}
	return true
}
