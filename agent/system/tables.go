package system

import (
	"crypto/md5" //nolint:gosec // names ids, guards nothing
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/ring"
)

//go:embed tables.txt
var tablesText string

// Keyspaces parses the definitions of the system's keyspaces: local ones,
// virtual ones among them, are part of every node; replicated ones belong to
// the cluster and are installed when it is founded.
func Keyspaces() (local, replicated []*schema.Keyspace, err error) {
	var ks *schema.Keyspace
	var t *schema.Table
	var all []*schema.Keyspace
	for i, line := range strings.Split(tablesText, "\n") {
		line, comment, _ := strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "keyspace", "virtual":
			ks, err = parseKeyspace(f)
			all = append(all, ks)
		case "table":
			if t, err = parseTable(ks, f[1], f[2:]); err == nil {
				t.Options.Comment = strings.TrimSpace(comment)
				ks.Tables[t.Name] = t
			}
		default:
			err = addColumn(t, f[0], f[1], strings.Join(f[2:], " "))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("system: tables.txt line %d: %w", i+1, err)
		}
	}
	for _, ks := range all {
		for _, t := range ks.Tables {
			t.Finish()
		}
		if ks.Virtual || ks.Replication.Class == ring.LocalName {
			local = append(local, ks)
		} else {
			replicated = append(replicated, ks)
		}
	}
	return local, replicated, nil
}

func parseKeyspace(f []string) (*schema.Keyspace, error) {
	ks := &schema.Keyspace{Name: f[1], DurableWrites: true, Tables: map[string]*schema.Table{}, Types: map[string]*types.Type{},
		Replication: schema.Replication{Options: map[string]string{}}}
	if f[0] == "virtual" {
		ks.Virtual = true
		return ks, nil
	}
	ks.Replication.Class = f[2]
	for _, o := range f[3:] {
		k, v, _ := strings.Cut(o, "=")
		ks.Replication.Options[k] = v
	}
	return ks, nil
}

// tableID is the id that a system table has in Cassandra: a name-based UUID of
// keyspace and table, the same on every node.
func tableID(keyspace, name string) (id schema.TableID) {
	id = md5.Sum([]byte(keyspace + name)) //nolint:gosec // see the import
	id[6], id[8] = id[6]&0x0f|0x30, id[8]&0x3f|0x80
	return id
}

// parseTable makes a table without columns.
func parseTable(ks *schema.Keyspace, name string, options []string) (*schema.Table, error) {
	t := &schema.Table{Keyspace: ks.Name, Name: name, Options: schema.DefaultOptions(), Virtual: ks.Virtual}
	t.ID = tableID(ks.Name, name)
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		if err := setOption(&t.Options, k, v); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func setOption(o *schema.Options, name, value string) error {
	if sub, ok := strings.CutPrefix(name, "compaction."); ok {
		o.Compaction[sub] = value
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	switch name {
	case "gc_grace_seconds":
		o.GCGraceSeconds = int32(n)
	case "default_time_to_live":
		o.DefaultTTLSeconds = int32(n)
	case "memtable_flush_period_in_ms":
		o.MemtableFlushPeriodMillis = int32(n)
	default:
		return fmt.Errorf("unknown option %q", name)
	}
	return err
}

func addColumn(t *schema.Table, kind, name, typeText string) error {
	typ, rest, err := parseType(typeText)
	if err != nil {
		return fmt.Errorf("column %s: type %q: %w", name, typeText, err)
	}
	if rest != "" || t == nil {
		return fmt.Errorf("column %s: %q behind its type, or no table before it", name, rest)
	}
	c := &schema.Column{ID: t.NextColumnID, Name: name, Type: typ}
	t.NextColumnID++
	switch kind {
	case "key":
		c.Kind = schema.PartitionKey
		t.PartitionKey = append(t.PartitionKey, c)
	case "clustering", "clustering-desc":
		c.Kind, c.Reversed = schema.Clustering, kind == "clustering-desc"
		t.Clustering = append(t.Clustering, c)
	case "static":
		c.Kind = schema.Static
		t.Statics = append(t.Statics, c)
	case "regular":
		c.Kind = schema.Regular
		t.Regulars = append(t.Regulars, c)
	default:
		return fmt.Errorf("column %s: unknown role %q", name, kind)
	}
	return nil
}

// parseType reads one type of the few shapes that system tables have.
func parseType(s string) (t *types.Type, rest string, err error) {
	end := strings.IndexAny(s, "<>,")
	if end < 0 || s[end] != '<' {
		if end < 0 {
			end = len(s)
		}
		k, ok := types.KindByName(s[:end])
		if !ok {
			return nil, "", fmt.Errorf("unknown type %q", s[:end])
		}
		return types.Native(k), s[end:], nil
	}
	name, rest := s[:end], s[end+1:]
	var elems []*types.Type
	for {
		var e *types.Type
		if e, rest, err = parseType(strings.TrimSpace(rest)); err != nil {
			return nil, "", err
		}
		elems = append(elems, e)
		if rest == "" {
			return nil, "", fmt.Errorf("unclosed %q", s)
		}
		more := rest[0] == ','
		if rest = rest[1:]; !more {
			break
		}
	}
	switch name + strconv.Itoa(len(elems)) {
	case "list1":
		return types.ListOf(elems[0], false), rest, nil
	case "set1":
		return types.SetOf(elems[0], false), rest, nil
	case "map2":
		return types.MapOf(elems[0], elems[1], false), rest, nil
	case "frozen1":
		return elems[0].Freeze(), rest, nil
	}
	if name == "tuple" {
		return types.TupleOf(elems...), rest, nil
	}
	return nil, "", fmt.Errorf("unknown type %q", name)
}
