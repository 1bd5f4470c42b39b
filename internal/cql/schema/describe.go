package schema

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/cql/types"
)

// The texts below are those of Cassandra's DESCRIBE, spaces included: tools
// compare and replay them.

// FormatDouble renders a double as Java does.
func FormatDouble(f float64) string {
	if abs := max(f, -f); abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// String renders the usual form of the id.
func (id TableID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

func mapText(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, Literal(k)+": "+Literal(m[k]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// CreateStatement renders the keyspace itself, without tables and types.
func (k *Keyspace) CreateStatement() string {
	if k.Virtual {
		return fmt.Sprintf("/*\nWarning: Keyspace %s is a virtual keyspace and cannot be recreated with CQL.\n"+
			"Structure, for reference:\nVIRTUAL KEYSPACE %s;\n*/", types.QuoteName(k.Name), types.QuoteName(k.Name))
	}
	parts := []string{"'class': " + Literal(k.Replication.Class)}
	for _, o := range slices.Sorted(maps.Keys(k.Replication.Options)) {
		parts = append(parts, Literal(o)+": "+Literal(k.Replication.Options[o]))
	}
	return fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {%s}  AND durable_writes = %t;",
		types.QuoteName(k.Name), strings.Join(parts, ", "), k.DurableWrites)
}

// CreateTypeStatement renders a user type.
func CreateTypeStatement(t *types.Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TYPE %s.%s (\n", types.QuoteName(t.Keyspace), types.QuoteName(t.Name))
	for i, field := range t.FieldNames {
		comma := ","
		if i == len(t.FieldNames)-1 {
			comma = ""
		}
		fmt.Fprintf(&b, "    %s %s%s\n", types.QuoteName(field), t.Elems[i].String(), comma)
	}
	b.WriteString(");")
	return b.String()
}

// CreateStatement renders the table. With internals it can be recreated so
// that old files fit it: with its id and its dropped columns.
func (t *Table) CreateStatement(internals bool) string {
	var b strings.Builder
	if t.Virtual {
		fmt.Fprintf(&b, "/*\nWarning: Table %s is a virtual table and cannot be recreated with CQL.\n"+
			"Structure, for reference:\nVIRTUAL ", t.quotedName())
	} else {
		b.WriteString("CREATE ")
	}
	fmt.Fprintf(&b, "TABLE %s (\n", t.quotedName())
	dropped := t.Dropped
	if !internals {
		dropped = nil
	}
	b.WriteString(strings.Join(t.columnLines(dropped), ",\n"))
	b.WriteString("\n) WITH ")
	var with []string
	if internals {
		with = append(with, "ID = "+t.ID.String())
	}
	if len(t.Clustering) > 0 {
		with = append(with, "CLUSTERING ORDER BY ("+t.orderText()+")")
	}
	if t.Virtual {
		with = append(with, "comment = "+Literal(t.Options.Comment))
	} else {
		with = append(with, t.Options.lines()...)
	}
	b.WriteString(strings.Join(with, "\n    AND ") + ";")
	if t.Virtual {
		b.WriteString("\n*/")
		return b.String()
	}
	for _, d := range dropped {
		fmt.Fprintf(&b, "\nALTER TABLE %s DROP %s USING TIMESTAMP %d;", t.quotedName(), types.QuoteName(d.Name), d.DroppedMicros)
		if c := t.Column(d.Name); c != nil {
			fmt.Fprintf(&b, "\nALTER TABLE %s ADD %s;", t.quotedName(), columnText(c.Name, c.Type, c.Kind))
		}
	}
	return b.String()
}

func (t *Table) quotedName() string {
	return types.QuoteName(t.Keyspace) + "." + types.QuoteName(t.Name)
}

func columnText(name string, typ *types.Type, kind ColumnKind) string {
	s := types.QuoteName(name) + " " + typ.String()
	if kind == Static {
		s += " static"
	}
	return s
}

// columnLines lists the columns in the order of the files. A column that was
// dropped and added again appears as it was when it was dropped.
func (t *Table) columnLines(dropped []DroppedColumn) []string {
	gone := make(map[string]bool)
	for _, d := range dropped {
		gone[d.Name] = true
	}
	single := len(t.PartitionKey) == 1 && len(t.Clustering) == 0
	var lines []string
	for _, c := range slices.Concat(t.PartitionKey, t.Clustering, t.Statics, t.Regulars) {
		if gone[c.Name] {
			continue
		}
		line := "    " + columnText(c.Name, c.Type, c.Kind)
		if single && c.Kind == PartitionKey {
			line += " PRIMARY KEY"
		}
		lines = append(lines, line)
	}
	for _, d := range dropped {
		lines = append(lines, "    "+columnText(d.Name, d.Type, d.Kind))
	}
	if !single {
		lines = append(lines, "    PRIMARY KEY ("+t.keyText()+")")
	}
	return lines
}

func (t *Table) keyText() string {
	names := func(cs []*Column) string {
		var out []string
		for _, c := range cs {
			out = append(out, types.QuoteName(c.Name))
		}
		return strings.Join(out, ", ")
	}
	key := names(t.PartitionKey)
	if len(t.PartitionKey) > 1 {
		key = "(" + key + ")"
	}
	if len(t.Clustering) > 0 {
		key += ", " + names(t.Clustering)
	}
	return key
}

func (t *Table) orderText() string {
	var out []string
	for _, c := range t.Clustering {
		direction := " ASC"
		if c.Reversed {
			direction = " DESC"
		}
		out = append(out, types.QuoteName(c.Name)+direction)
	}
	return strings.Join(out, ", ")
}

func (o *Options) lines() []string {
	extensions := make([]string, 0, len(o.Extensions))
	for _, k := range slices.Sorted(maps.Keys(o.Extensions)) {
		extensions = append(extensions, Literal(k)+": 0x"+hex.EncodeToString(o.Extensions[k]))
	}
	return []string{
		"additional_write_policy = " + Literal(o.AdditionalWritePolicy),
		fmt.Sprintf("allow_auto_snapshot = %t", o.AllowAutoSnapshot),
		"bloom_filter_fp_chance = " + FormatDouble(o.BloomFilterFPChance),
		"caching = " + mapText(o.Caching),
		fmt.Sprintf("cdc = %t", o.CDC),
		"comment = " + Literal(o.Comment),
		"compaction = " + mapText(o.Compaction),
		"compression = " + mapText(o.Compression),
		"memtable = " + Literal(o.Memtable),
		"crc_check_chance = " + FormatDouble(o.CRCCheckChance),
		fmt.Sprintf("default_time_to_live = %d", o.DefaultTTLSeconds),
		"extensions = {" + strings.Join(extensions, ", ") + "}",
		fmt.Sprintf("gc_grace_seconds = %d", o.GCGraceSeconds),
		fmt.Sprintf("incremental_backups = %t", o.IncrementalBackups),
		fmt.Sprintf("max_index_interval = %d", o.MaxIndexInterval),
		fmt.Sprintf("memtable_flush_period_in_ms = %d", o.MemtableFlushPeriodMillis),
		fmt.Sprintf("min_index_interval = %d", o.MinIndexInterval),
		"read_repair = " + Literal(o.ReadRepair),
		"speculative_retry = " + Literal(o.SpeculativeRetry),
	}
}
