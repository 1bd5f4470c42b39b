package system

import (
	"maps"
	"slices"
	"time"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

const locatorPackage = "org.apache.cassandra.locator."

// each calls f for every keyspace that is virtual or not.
func (t *Tables) each(virtual bool, f func(ks *schema.Keyspace)) {
	for _, ks := range t.env.State().Schema.Sorted() {
		if ks.Virtual == virtual {
			f(ks)
		}
	}
}

func (t *Tables) keyspaces() (out []Record) {
	t.each(false, func(ks *schema.Keyspace) {
		replication := maps.Clone(ks.Replication.Options)
		if replication == nil {
			replication = make(map[string]string)
		}
		replication["class"] = locatorPackage + ks.Replication.Class
		out = append(out, Record{"keyspace_name": ks.Name, "durable_writes": ks.DurableWrites, "replication": replication})
	})
	return out
}

func (t *Tables) virtualKeyspaces() (out []Record) {
	t.each(true, func(ks *schema.Keyspace) { out = append(out, Record{"keyspace_name": ks.Name}) })
	return out
}

func (t *Tables) virtualTables() (out []Record) {
	t.each(true, func(ks *schema.Keyspace) {
		for _, table := range ks.SortedTables() {
			out = append(out, Record{"keyspace_name": ks.Name, "table_name": table.Name, "comment": table.Options.Comment})
		}
	})
	return out
}

func (t *Tables) tables() (out []Record) {
	t.each(false, func(ks *schema.Keyspace) {
		for _, table := range ks.SortedTables() {
			out = append(out, tableRecord(table))
		}
	})
	return out
}

// tableRecord leaves null what Cassandra leaves null: cdc and memtable always,
// two flags when they are as by default.
func tableRecord(t *schema.Table) Record {
	o := &t.Options
	flags := []string{"compound"}
	if slices.ContainsFunc(slices.Concat(t.Statics, t.Regulars), func(c *schema.Column) bool { return c.Type.Kind == types.Counter }) {
		flags = append(flags, "counter")
	}
	rec := Record{
		"keyspace_name": t.Keyspace, "table_name": t.Name, "id": [16]byte(t.ID), "flags": flags,
		"additional_write_policy": o.AdditionalWritePolicy, "bloom_filter_fp_chance": o.BloomFilterFPChance,
		"caching": o.Caching, "comment": o.Comment, "compaction": o.Compaction, "compression": o.Compression,
		"crc_check_chance": o.CRCCheckChance, "dclocal_read_repair_chance": 0.0, "read_repair_chance": 0.0,
		"default_time_to_live": o.DefaultTTLSeconds, "extensions": map[string]string{}, "gc_grace_seconds": o.GCGraceSeconds,
		"max_index_interval": o.MaxIndexInterval, "memtable_flush_period_in_ms": o.MemtableFlushPeriodMillis,
		"min_index_interval": o.MinIndexInterval, "read_repair": o.ReadRepair, "speculative_retry": o.SpeculativeRetry,
	}
	if !o.AllowAutoSnapshot {
		rec["allow_auto_snapshot"] = false
	}
	if !o.IncrementalBackups {
		rec["incremental_backups"] = false
	}
	return rec
}

func (t *Tables) columns(virtual bool) (out []Record) {
	t.each(virtual, func(ks *schema.Keyspace) {
		for _, table := range ks.SortedTables() {
			for _, c := range table.AllColumns() {
				position, order := -1, "none"
				switch {
				case c.Kind == schema.PartitionKey:
					position = c.Position
				case c.Kind == schema.Clustering && c.Reversed:
					position, order = c.Position, "desc"
				case c.Kind == schema.Clustering:
					position, order = c.Position, "asc"
				}
				out = append(out, Record{"keyspace_name": ks.Name, "table_name": table.Name, "column_name": c.Name,
					"clustering_order": order, "column_name_bytes": []byte(c.Name), "kind": c.Kind.String(),
					"position": position, "type": c.Type.String()})
			}
		}
	})
	return out
}

func (t *Tables) droppedColumns() (out []Record) {
	t.each(false, func(ks *schema.Keyspace) {
		for _, table := range ks.SortedTables() {
			for _, d := range table.Dropped {
				out = append(out, Record{"keyspace_name": ks.Name, "table_name": table.Name, "column_name": d.Name,
					"dropped_time": time.UnixMicro(d.DroppedMicros), "kind": d.Kind.String(), "type": d.Type.String()})
			}
		}
	})
	return out
}

func (t *Tables) types() (out []Record) {
	t.each(false, func(ks *schema.Keyspace) {
		for _, u := range ks.SortedTypes() {
			fields := make([]string, len(u.Elems))
			for i, e := range u.Elems {
				fields[i] = e.String()
			}
			out = append(out, Record{"keyspace_name": ks.Name, "type_name": u.Name, "field_names": u.FieldNames, "field_types": fields})
		}
	})
	return out
}
