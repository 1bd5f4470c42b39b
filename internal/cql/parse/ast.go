package parse

// Statement is one parsed CQL statement. The concrete types are *Use, *Select,
// *Insert, *Update, *Delete, *Batch, *Truncate, the Create*, Alter* and Drop*
// structs, *Describe, *Role, *DropRole, *GrantRole, *GrantPermission,
// *ListRoles, *ListPermissions and *Unsupported.
//
// A statement never changes after Parse returned it and may be shared.
type Statement interface {
	// Markers lists the bind markers in the order of the text. BindMarker.Index
	// is the place in this list. A statement inside a batch lists its own
	// markers only, with the indexes they have in the whole batch.
	Markers() []Marker
	// String renders canonical CQL that parses to an equal tree.
	String() string
	print(*printer)
}

// Marker is one bind marker: `?` has no name, `:x` is named "x".
type Marker struct {
	Index int // in the statement; in the whole batch for a statement in a batch
	Name  string
}

// markers is embedded in each statement that can bind values.
type markers struct{ list []Marker }

// Markers implements Statement.
func (m *markers) Markers() []Marker { return m.list }

// noMarkers is embedded in statements whose grammar has no place for a marker.
type noMarkers struct{}

// Markers implements Statement.
func (noMarkers) Markers() []Marker { return nil }

// QualifiedName is the name of a table, type, index or function. Keyspace is
// "" when the text did not say one.
type QualifiedName struct {
	Keyspace string
	Name     string
}

// Use is USE keyspace.
type Use struct {
	noMarkers
	Keyspace string
}

// Operator is a comparison in WHERE or IF.
type Operator uint8

// The operators.
const (
	Eq Operator = iota
	Neq
	Lt
	Le
	Gt
	Ge
	In
	Contains
	ContainsKey
	Like
	IsNotNull
)

// RelationKind says what stands on the left of a relation.
type RelationKind uint8

// The kinds of relations.
const (
	ColumnRelation  RelationKind = iota // a = 1
	TokenRelation                       // token(a, b) > 1
	TupleRelation                       // (a, b) > (1, 2)
	ElementRelation                     // a['k'] = 1
	CustomRelation                      // expr(index, 'text')
)

// Relation is one condition of a WHERE clause; the clause is their conjunction.
type Relation struct {
	Kind    RelationKind
	Op      Operator
	Columns []string // one for column and element; one or more for token and tuple
	Key     Expr     // element: what stands in the brackets
	// Value is the right side. It is nil for IS NOT NULL and for IN with a
	// list in parentheses, whose members are Values; `IN ?` has its BindMarker
	// here. A tuple relation has a *TupleLit or a *BindMarker.
	Value  Expr
	Values []Expr        // IN (...): possibly empty
	Index  QualifiedName // custom
}

// Select is SELECT.
type Select struct {
	markers
	JSON              bool
	Distinct          bool
	Columns           []Selector // nil for *
	From              QualifiedName
	Where             []Relation
	GroupBy           []Expr
	OrderBy           []Ordering
	PerPartitionLimit Expr // *Constant (Integer), *BindMarker or nil
	Limit             Expr // likewise
	AllowFiltering    bool
}

// Selector is one column of a result. Alias is "" when there is none.
type Selector struct {
	Expr  Expr
	Alias string
}

// Ordering is one term of ORDER BY. ANN is the vector of ANN OF, or nil.
type Ordering struct {
	Column     string
	Descending bool
	ANN        Expr
}

// Using holds USING TIMESTAMP and TTL; nil where absent. Each is an integer
// *Constant or a *BindMarker.
type Using struct {
	Timestamp Expr
	TTL       Expr
	TTLFirst  bool // the text says TTL before TIMESTAMP, and so numbers their markers
}

// Insert is INSERT INTO, with columns and values or with JSON.
type Insert struct {
	markers
	Into    QualifiedName
	Columns []string
	Values  []Expr // not necessarily as many as Columns: the planner refuses
	// JSON is the document (string *Constant or *BindMarker) and excludes
	// Columns and Values. JSONDefaultUnset leaves columns alone that the
	// document does not name, instead of writing null.
	JSON             Expr
	JSONDefaultUnset bool
	IfNotExists      bool
	Using            Using
}

// AssignOp is what an assignment does.
type AssignOp uint8

// The assignments.
const (
	Set        AssignOp = iota // c = v
	Add                        // c = c + v, c += v
	Subtract                   // c = c - v, c -= v
	Prepend                    // c = v + c
	SetElement                 // c[key] = v
	SetField                   // c.field = v
)

// Assignment is one term of SET.
type Assignment struct {
	Column string
	Op     AssignOp
	Key    Expr   // SetElement
	Field  string // SetField
	Value  Expr
}

// Condition is one term of IF: column, column[key] or column.field compared.
type Condition struct {
	Column string
	Key    Expr   // nil, or what stands in the brackets
	Field  string // "" when the whole column or an element is meant
	Op     Operator
	Value  Expr   // as in Relation
	Values []Expr // IN (...)
}

// Update is UPDATE.
type Update struct {
	markers
	Table       QualifiedName
	Using       Using
	Assignments []Assignment
	Where       []Relation
	IfExists    bool
	Conditions  []Condition
}

// Deletion is what DELETE removes from a row: a column, an element or a field.
type Deletion struct {
	Column string
	Key    Expr   // column[key]
	Field  string // column.field
}

// Delete is DELETE. Without Columns it removes rows, ranges or partitions.
type Delete struct {
	markers
	Columns    []Deletion
	From       QualifiedName
	Using      Using // never a TTL
	Where      []Relation
	IfExists   bool
	Conditions []Condition
}

// BatchKind is the kind of a batch.
type BatchKind uint8

// The kinds of batches.
const (
	Logged BatchKind = iota
	Unlogged
	CounterBatch
)

// Batch is BEGIN BATCH ... APPLY BATCH. Statements are *Insert, *Update and
// *Delete.
type Batch struct {
	markers
	Kind       BatchKind
	Using      Using
	Statements []Statement
}

// Truncate is TRUNCATE [TABLE].
type Truncate struct {
	noMarkers
	Table QualifiedName
}

// Describe is DESCRIBE or DESC.
type Describe struct {
	noMarkers
	What      DescribeKind
	Name      QualifiedName // where What names something; a keyspace in Name.Name, "" for the current one
	Only      bool          // ONLY KEYSPACE
	Full      bool          // FULL SCHEMA
	Internals bool          // WITH INTERNALS
}

// DescribeKind is what DESCRIBE is asked for.
type DescribeKind uint8

// What can be described. DescribeGeneric is a bare name: a keyspace, a table, an
// index or a view, in this order.
const (
	DescribeCluster DescribeKind = iota
	DescribeSchema
	DescribeKeyspaces
	DescribeKeyspace
	DescribeTables
	DescribeTable
	DescribeIndex
	DescribeView
	DescribeTypes
	DescribeType
	DescribeFunctions
	DescribeFunction
	DescribeAggregates
	DescribeAggregate
	DescribeGeneric
)

// Unsupported is a statement of CQL that Helenus only recognises. Feature names
// it for the client ("CREATE MATERIALIZED VIEW"); Text is the statement.
type Unsupported struct {
	noMarkers
	Feature string
	Text    string
}
