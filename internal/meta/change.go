package meta

import (
	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// Change is one step of the metadata. The set is closed: Found, Register,
// Install, SetVoters, Recover, CreateKeyspace, AlterKeyspace, DropKeyspace, CreateTable,
// AddColumns, DropColumns, RenameColumns, AlterTableOptions, DropTable,
// CreateType, AddField, RenameFields, DropType.
//
// Types inside a Change are as written: a user-defined type has only Keyspace
// ("" for that of the table or type being made) and Name, its fields are looked
// up by Apply. Whoever makes a Change does not touch it afterwards.
type Change interface {
	// kind is the name in the encoded form.
	kind() string
	// apply returns the next State, without epoch, or s itself when there is
	// nothing to do.
	apply(s *State) (*State, error)
}

// Property is one `name = value` of WITH. Values are texts as Cassandra sees
// them: a string without its quotes, a number or a word as written.
type Property struct {
	Name  string
	Text  string
	IsMap bool
	Map   map[string]string
}

// Found begins a cluster; it is always the first Change. Install brings the
// system keyspaces that are replicated and so belong to the cluster.
type Found struct {
	ClusterID   ClusterID
	ClusterName string
	Partitioner string // full class name
}

// Install adds keyspaces and tables that come with the program, without the
// checks for names that users may not take. What is there already stays.
type Install struct {
	Keyspaces []*schema.Keyspace
}

// Register adds a member, or brings the addresses and release of one up to
// date. Place and tokens of a member never change this way.
type Register struct {
	Node Node
}

// SetVoters hands the right to decide to other members: nothing may be decided
// behind it by those who had it before.
type SetVoters struct {
	Voters []helenus.HostID // one, three or five members, sorted
	Group  GroupID          // made by the proposer
}

// Recover makes one member the only voter, in a new incarnation. It is decided by
// that member alone, from its own copy, when the voters are lost.
type Recover struct {
	Voter helenus.HostID
	Group GroupID // made by that member
}

// CreateKeyspace is CREATE KEYSPACE.
type CreateKeyspace struct {
	Name        string
	IfNotExists bool
	Properties  []Property
}

// AlterKeyspace is ALTER KEYSPACE.
type AlterKeyspace struct {
	Name       string
	IfExists   bool
	Properties []Property
}

// DropKeyspace is DROP KEYSPACE.
type DropKeyspace struct {
	Name     string
	IfExists bool
}

// ColumnDef is a column of CREATE TABLE and ALTER TABLE ADD.
type ColumnDef struct {
	Name   string
	Type   *types.Type
	Static bool
}

// Order is one term of CLUSTERING ORDER BY.
type Order struct {
	Column     string
	Descending bool
}

// CreateTable is CREATE TABLE. KeyClauses counts the PRIMARY KEYs in the text;
// anything but one is an error.
type CreateTable struct {
	Keyspace     string
	Name         string
	ID           schema.TableID // made by the proposer; the property `id` goes before it
	IfNotExists  bool
	Columns      []ColumnDef
	PartitionKey []string
	Clustering   []string
	KeyClauses   int
	Order        []Order
	Properties   []Property
}

// AddColumns is ALTER TABLE ADD.
type AddColumns struct {
	Keyspace    string
	Table       string
	IfExists    bool // the table
	IfNotExists bool // the columns
	Columns     []ColumnDef
}

// DropColumns is ALTER TABLE DROP.
type DropColumns struct {
	Keyspace       string
	Table          string
	IfExists       bool // the table
	IfColumnExists bool
	Names          []string
	Micros         int64 // USING TIMESTAMP, or the proposer's now
}

// Rename is one `from TO to`.
type Rename struct{ From, To string }

// RenameColumns is ALTER TABLE RENAME.
type RenameColumns struct {
	Keyspace       string
	Table          string
	IfExists       bool
	IfColumnExists bool
	Renames        []Rename
}

// AlterTableOptions is ALTER TABLE WITH.
type AlterTableOptions struct {
	Keyspace   string
	Table      string
	IfExists   bool
	Properties []Property
}

// DropTable is DROP TABLE.
type DropTable struct {
	Keyspace string
	Name     string
	IfExists bool
}

// CreateType is CREATE TYPE.
type CreateType struct {
	Keyspace    string
	Name        string
	IfNotExists bool
	Fields      []ColumnDef // Static is meaningless
}

// AddField is ALTER TYPE ADD.
type AddField struct {
	Keyspace    string
	Type        string
	IfExists    bool // the type
	IfNotExists bool // the field
	Field       ColumnDef
}

// RenameFields is ALTER TYPE RENAME.
type RenameFields struct {
	Keyspace      string
	Type          string
	IfExists      bool
	IfFieldExists bool
	Renames       []Rename
}

// DropType is DROP TYPE.
type DropType struct {
	Keyspace string
	Name     string
	IfExists bool
}

func (Found) kind() string             { return "found" }
func (Install) kind() string           { return "install" }
func (Register) kind() string          { return "register" }
func (SetVoters) kind() string         { return "set_voters" }
func (Recover) kind() string           { return "recover" }
func (CreateKeyspace) kind() string    { return "create_keyspace" }
func (AlterKeyspace) kind() string     { return "alter_keyspace" }
func (DropKeyspace) kind() string      { return "drop_keyspace" }
func (CreateTable) kind() string       { return "create_table" }
func (AddColumns) kind() string        { return "add_columns" }
func (DropColumns) kind() string       { return "drop_columns" }
func (RenameColumns) kind() string     { return "rename_columns" }
func (AlterTableOptions) kind() string { return "alter_table_options" }
func (DropTable) kind() string         { return "drop_table" }
func (CreateType) kind() string        { return "create_type" }
func (AddField) kind() string          { return "add_field" }
func (RenameFields) kind() string      { return "rename_fields" }
func (DropType) kind() string          { return "drop_type" }

// Apply takes s one step further. It returns s itself when the change, being
// conditional, has nothing to do; such a change is not logged. Errors are
// *helenus.Error with the codes and texts of Cassandra.
func Apply(s *State, c Change) (*State, error) {
	if need := levelOf(c); s.Level < need {
		return nil, helenus.Invalid("%s needs feature level %d, and some member is at %d: upgrade all members first", c.kind(), need, s.Level)
	}
	next, err := c.apply(s)
	if err != nil {
		return nil, err
	}
	if next == s {
		return s, nil
	}
	next.Epoch = s.Epoch + 1
	if _, ok := c.(Recover); ok {
		next.Epoch = s.Epoch.nextIncarnation()
	}
	next.finish(s)
	if next.Level >= SchemaLevel && (next.Schema != s.Schema || s.SchemaEpoch == 0) {
		next.SchemaEpoch = next.Epoch
	}
	return next, nil
}
