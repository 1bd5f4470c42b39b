package parse

// Property is one `name = value` of WITH: a Constant, or a map when IsMap.
// Names keep the case they were written in, as Cassandra's do once quoted, and
// are lower case otherwise.
type Property struct {
	Name  string
	Value Constant // kind Keyword for a bare word
	IsMap bool
	Map   []PropertyEntry
}

// PropertyEntry is one entry of a property's map.
type PropertyEntry struct {
	Key   Constant
	Value Constant
}

// CreateKeyspace is CREATE KEYSPACE (or SCHEMA).
type CreateKeyspace struct {
	noMarkers
	Name        string
	IfNotExists bool
	Properties  []Property
}

// AlterKeyspace is ALTER KEYSPACE.
type AlterKeyspace struct {
	noMarkers
	Name       string
	IfExists   bool
	Properties []Property
}

// DropKeyspace is DROP KEYSPACE.
type DropKeyspace struct {
	noMarkers
	Name     string
	IfExists bool
}

// ColumnDef is one column of CREATE TABLE or ALTER TABLE ADD. Masked tells that
// the text asked for MASKED WITH; Mask is the function, nil for DEFAULT.
type ColumnDef struct {
	Name       string
	Type       TypeExpr
	Static     bool
	PrimaryKey bool // `PRIMARY KEY` stood behind the column itself
	Masked     bool
	Mask       *Call
}

// ClusteringOrder is one term of WITH CLUSTERING ORDER BY.
type ClusteringOrder struct {
	Column     string
	Descending bool
}

// CreateTable is CREATE TABLE (or COLUMNFAMILY).
type CreateTable struct {
	noMarkers
	Table       QualifiedName
	IfNotExists bool
	Columns     []ColumnDef
	// PartitionKey and Clustering come from the PRIMARY KEY (...) clauses; they
	// are empty when a column carries PRIMARY KEY itself. KeyClauses counts
	// both ways of saying it: anything but 1 is an error for the planner.
	PartitionKey    []string
	Clustering      []string
	KeyClauses      int
	ClusteringOrder []ClusteringOrder
	CompactStorage  bool
	Properties      []Property
}

// AlterTableOp is what ALTER TABLE does.
type AlterTableOp uint8

// The alterations of a table.
const (
	AlterColumnType AlterTableOp = iota // ALTER c TYPE t: Columns[0]
	AlterColumnMask                     // ALTER c MASKED WITH f / DROP MASKED: Columns[0]
	AddColumns                          // ADD (c t, ...): Columns
	DropColumns                         // DROP (c, ...): Names, Timestamp
	RenameColumns                       // RENAME a TO b AND ...: Renames
	DropCompactStorage
	AlterTableProperties // WITH ...: Properties
)

// Rename is one `from TO to`.
type Rename struct{ From, To string }

// AlterTable is ALTER TABLE. IfColumn is the IF [NOT] EXISTS behind ADD, DROP,
// RENAME or ALTER.
type AlterTable struct {
	noMarkers
	Table      QualifiedName
	IfExists   bool
	Op         AlterTableOp
	IfColumn   bool
	Columns    []ColumnDef
	Names      []string
	Timestamp  *Constant // DROP ... USING TIMESTAMP
	Renames    []Rename
	Properties []Property
}

// DropTable is DROP TABLE.
type DropTable struct {
	noMarkers
	Table    QualifiedName
	IfExists bool
}

// FieldDef is a field of a user-defined type.
type FieldDef struct {
	Name string
	Type TypeExpr
}

// CreateType is CREATE TYPE.
type CreateType struct {
	noMarkers
	Name        QualifiedName
	IfNotExists bool
	Fields      []FieldDef
}

// AlterTypeOp is what ALTER TYPE does.
type AlterTypeOp uint8

// The alterations of a type.
const (
	AlterFieldType AlterTypeOp = iota // ALTER f TYPE t: Field
	AddField                          // ADD f t: Field
	RenameFields                      // RENAME a TO b AND ...: Renames
)

// AlterType is ALTER TYPE. IfField is the IF [NOT] EXISTS behind ADD or RENAME.
type AlterType struct {
	noMarkers
	Name     QualifiedName
	IfExists bool
	Op       AlterTypeOp
	IfField  bool
	Field    FieldDef
	Renames  []Rename
}

// DropType is DROP TYPE.
type DropType struct {
	noMarkers
	Name     QualifiedName
	IfExists bool
}

// IndexTargetKind is the part of a column that an index covers.
type IndexTargetKind uint8

// The targets of an index.
const (
	IndexSimple IndexTargetKind = iota // (c)
	IndexValues
	IndexKeys
	IndexEntries
	IndexFull
)

// IndexTarget is one indexed column.
type IndexTarget struct {
	Kind   IndexTargetKind
	Column string
}

// CreateIndex is CREATE [CUSTOM] INDEX. Name is "" when none was given.
type CreateIndex struct {
	noMarkers
	Custom      bool
	IfNotExists bool
	Name        string
	Table       QualifiedName
	Targets     []IndexTarget
	Using       string // class or short name; "" when absent
	Properties  []Property
}

// DropIndex is DROP INDEX.
type DropIndex struct {
	noMarkers
	Name     QualifiedName
	IfExists bool
}

// Role is CREATE or ALTER ROLE or USER.
type Role struct {
	noMarkers
	Alter    bool
	User     bool // the USER spelling: LOGIN is implied by CREATE USER
	IfExists bool // IF NOT EXISTS of CREATE, IF EXISTS of ALTER
	Name     string
	Options  []RoleOption
}

// RoleOptionKind is what a role option sets.
type RoleOptionKind uint8

// The options of a role.
const (
	RolePassword       RoleOptionKind = iota // Text
	RoleHashedPassword                       // Text
	RoleCustom                               // OPTIONS = {..}: Map
	RoleSuperuser                            // Bool
	RoleLogin                                // Bool
	RoleAllDatacenters                       // ACCESS TO ALL DATACENTERS
	RoleDatacenters                          // ACCESS TO DATACENTERS {..}: List
	RoleAllCIDRs                             // ACCESS FROM ALL CIDRS
	RoleCIDRs                                // ACCESS FROM CIDRS {..}: List
)

// RoleOption is one option of a role; the kind says which field counts.
type RoleOption struct {
	Kind RoleOptionKind
	Text string
	Bool bool
	List []string
	Map  []PropertyEntry
}

// DropRole is DROP ROLE or USER.
type DropRole struct {
	noMarkers
	User     bool
	IfExists bool
	Name     string
}

// GrantRole is GRANT role TO role or, with Revoke, REVOKE role FROM role.
type GrantRole struct {
	noMarkers
	Revoke  bool
	Role    string
	Grantee string
}

// GrantPermission is GRANT ... ON ... TO or, with Revoke, REVOKE ... FROM.
type GrantPermission struct {
	noMarkers
	Revoke      bool
	Permissions []string // upper case; nil is ALL
	Resource    Resource
	Grantee     string
}

// ResourceKind is what a permission is about.
type ResourceKind uint8

// The resources.
const (
	NoResource ResourceKind = iota
	AllKeyspaces
	KeyspaceResource
	AllTables // ALL TABLES IN KEYSPACE
	TableResource
	AllRoles
	RoleResource
	AllFunctions
	KeyspaceFunctions
	FunctionResource
	AllMBeans
	MBeanResource
	MBeansResource
)

// Resource names what a permission is about. A keyspace stands in
// Name.Keyspace, a role or MBean in Name.Name.
type Resource struct {
	Kind ResourceKind
	Name QualifiedName
	Args []TypeExpr // FunctionResource
}

// ListRoles is LIST ROLES or LIST USERS.
type ListRoles struct {
	noMarkers
	Users       bool
	Of          string // "" is everybody
	NoRecursive bool
}

// ListPermissions is LIST permission ON resource OF role.
type ListPermissions struct {
	noMarkers
	Permissions []string // nil is ALL
	Resource    Resource
	Of          string
	NoRecursive bool
}
