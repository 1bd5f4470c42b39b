package parse

// Expr is a value, a selector, or a part of either. The concrete types are
// *Constant, *BindMarker, *ListLit, *SetLit, *MapLit, *UDTLit, *TupleLit,
// *Call, *Cast, *TypeHint, *Binary, *Negate and, in SELECT and GROUP BY only,
// *Column, *Element, *Slice, *Field and *CellInfo.
type Expr interface {
	print(*printer)
}

// ConstantKind is the lexical kind of a literal.
type ConstantKind uint8

// The kinds of constants.
const (
	Null ConstantKind = iota
	String
	Integer // optional minus and digits
	Float   // decimal or exponent form, NaN, Infinity, -Infinity
	Boolean // true or false in any case
	UUID
	Hex      // 0x and digits, possibly an odd number or none
	Duration // 1h30m, P1DT2H, P1W, P0001-02-03T04:05:06
	Keyword  // a bare word as the value of a property; nowhere else
)

// Constant is a literal. Text is what was written, but a String without its
// quotes and with its escapes undone, and any spelling of not-a-number as NaN.
type Constant struct {
	Kind ConstantKind
	Text string
}

// BindMarker is `?` or `:name`; see Statement.Markers.
type BindMarker struct {
	Index int
	Name  string
}

// ListLit is [a, b]; it is also how vectors are written.
type ListLit struct{ Elems []Expr }

// SetLit is {a, b}. The empty one is also the empty map.
type SetLit struct{ Elems []Expr }

// MapLit is {k: v, ...} with at least one entry.
type MapLit struct{ Entries []MapEntry }

// MapEntry is one entry of a MapLit.
type MapEntry struct{ Key, Value Expr }

// UDTLit is {name: value, ...} with at least one field. In a selection the same
// text is a map keyed by columns if the wanted type is a map.
type UDTLit struct{ Fields []FieldValue }

// FieldValue is one field of a UDTLit.
type FieldValue struct {
	Name  string
	Value Expr
}

// TupleLit is (a, b). In a selection a single element in parentheses may also
// be just that element; in a term it is always a tuple of one.
type TupleLit struct{ Elems []Expr }

// Call is a function call. Star marks count(*), which has no Args; count(1) is a
// Call with one constant. Name.Keyspace is "" unless written.
type Call struct {
	Name QualifiedName
	Args []Expr
	Star bool
}

// Cast is CAST(X AS Type); Type is native.
type Cast struct {
	X    Expr
	Type TypeExpr
}

// TypeHint is (Type) X: it says what X is, it converts nothing.
type TypeHint struct {
	Type TypeExpr
	X    Expr
}

// Binary is X Op Y with Op one of + - * / %.
type Binary struct {
	Op   byte
	X, Y Expr
}

// Negate is -X. The minus of a numeric literal is part of the Constant.
type Negate struct{ X Expr }

// Column is a column by name.
type Column struct{ Name string }

// Element is X[Key]: the value of a map's key, or a set's element itself.
type Element struct{ X, Key Expr }

// Slice is X[From..To], both ends inclusive; nil is open. Never both nil.
type Slice struct{ X, From, To Expr }

// Field is X.Name, a field of a user-defined type.
type Field struct {
	X    Expr
	Name string
}

// CellInfoKind is what a CellInfo asks of a cell.
type CellInfoKind uint8

// The facts about a cell.
const (
	WriteTime CellInfoKind = iota
	MaxWriteTime
	TTL
)

// CellInfo is WRITETIME, MAXWRITETIME or TTL of a Column, Element, Slice or
// Field.
type CellInfo struct {
	Kind CellInfoKind
	X    Expr
}
