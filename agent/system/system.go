// Package system is what clients see of the system itself: the tables of
// system, system_schema, system_virtual_schema, system_views and system_traces,
// and the answers of DESCRIBE.
//
// Nouns: Tables (all of them, as rows for the read path), Record (one row as
// column names and Go values), Env (where the facts come from), Traces (what
// traced requests did), Describe.
//
// query reads Tables through the coordinator like any table and asks Describe;
// agent hands in the facts. Nothing is stored here but traces: rows are rendered
// from meta.State and facts when they are asked for. It never writes tables.
package system

import (
	"fmt"
	"strings"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/store/row"
)

// Record is one row: a value for each column that is not null, by name. Values
// are string, bool, int, int32, int64, float64, []byte, [16]byte, netip.Addr,
// time.Time, []string and map[string]string, as encode understands them.
type Record map[string]any

// Env is where the facts come from.
type Env struct {
	State func() *meta.State
	Self  helenus.HostID
	// Generation is the second at which this node started, for system.local.
	Generation int32
	// PeerSchema is the version of the schema that another node follows, as far as
	// is known; may be nil.
	PeerSchema func(helenus.HostID) (version [16]byte, known bool)
	// Snitch is its class name, for DESCRIBE CLUSTER.
	Snitch string
	// Views are the rows of tables in system and system_views that are not
	// rendered here, by qualified name, such as "system_views.clients". A table
	// without an entry is empty.
	Views map[string]func() []Record
	// TruncatedAt is system.local's column of that name, by table id; may be nil.
	TruncatedAt func() map[[16]byte][]byte
	// Traces may be nil.
	Traces *Traces
}

// Tables renders the system's tables.
type Tables struct {
	env     Env
	sources map[string]func() []Record
	owned   map[schema.TableID]bool // beside the virtual ones
}

// NewTables makes the Tables of a node, which may be in no cluster yet.
func NewTables(env Env) *Tables {
	t := &Tables{env: env, sources: make(map[string]func() []Record)}
	for name, f := range env.Views {
		t.sources[name] = f
	}
	for name, f := range map[string]func() []Record{
		"system.local":                    t.local,
		"system.peers":                    t.peers,
		"system.peers_v2":                 t.peersV2,
		"system_schema.keyspaces":         t.keyspaces,
		"system_schema.tables":            t.tables,
		"system_schema.columns":           func() []Record { return t.columns(false) },
		"system_schema.dropped_columns":   t.droppedColumns,
		"system_schema.types":             t.types,
		"system_virtual_schema.keyspaces": t.virtualKeyspaces,
		"system_virtual_schema.tables":    t.virtualTables,
		"system_virtual_schema.columns":   func() []Record { return t.columns(true) },
	} {
		t.sources[name] = f
	}
	if env.Traces != nil {
		t.sources["system_traces.sessions"] = env.Traces.sessions
		t.sources["system_traces.events"] = env.Traces.events
	}
	t.owned = make(map[schema.TableID]bool)
	for name := range t.sources {
		keyspace, table, _ := strings.Cut(name, ".")
		t.owned[tableID(keyspace, table)] = true
	}
	for _, ks := range env.State().LocalKeyspaces() {
		for _, table := range ks.Tables {
			t.owned[table.ID] = true
		}
	}
	return t
}

// Owns tells whether reads of a table come here and not to the store. System
// tables keep their ids for ever, so it is asked without a look at the schema.
func (t *Tables) Owns(table *schema.Table) bool { return table.Virtual || t.owned[table.ID] }

// Read answers a command of a table that is owned here. All rows of the
// partitions and slices asked for come, whole and live; limits are the
// caller's.
func (t *Tables) Read(cmd *row.Command) (row.Partitions, error) {
	var records []Record
	if f := t.sources[cmd.Table.QualifiedName()]; f != nil {
		records = f()
	}
	p := t.env.State().Partitioner
	if p == nil {
		return nil, fmt.Errorf("system: read %s: the cluster is not founded yet", cmd.Table.QualifiedName())
	}
	return render(cmd, records, p)
}
