package meta

import (
	"maps"
	"reflect"
	"slices"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// Event is a change of the schema as drivers are told.
type Event struct {
	Change   string // CREATED, UPDATED, DROPPED
	Target   string // KEYSPACE, TABLE, TYPE
	Keyspace string
	Name     string // empty for a keyspace
}

// Diff lists what happened between two schemas, in the same order on every
// node: keyspaces by name; within one what was dropped first, then types, then
// tables. Of a keyspace that is new or gone all that is in it is listed, too, as
// Cassandra does: a driver that is told of a keyspace asks for that one alone.
func Diff(old, now *schema.Schema) []Event {
	var events []Event
	names := slices.Sorted(maps.Keys(union(old.Keyspaces, now.Keyspaces)))
	for _, name := range names {
		a, b := old.Keyspaces[name], now.Keyspaces[name]
		switch {
		case a == b:
		case a == nil:
			events = append(events, Event{"CREATED", "KEYSPACE", name, ""})
			events = append(events, diffIn(name, new(schema.Keyspace), b)...)
		case b == nil:
			events = append(events, diffIn(name, a, new(schema.Keyspace))...)
			events = append(events, Event{"DROPPED", "KEYSPACE", name, ""})
		default:
			if a.Replication.Key() != b.Replication.Key() || a.DurableWrites != b.DurableWrites {
				events = append(events, Event{"UPDATED", "KEYSPACE", name, ""})
			}
			events = append(events, diffIn(name, a, b)...)
		}
	}
	return events
}

// diffIn lists what happened to types and tables of a keyspace.
func diffIn(name string, a, b *schema.Keyspace) []Event {
	tables := diffOf(name, "TABLE", a.Tables, b.Tables, func(x, y *schema.Table) (same, other bool) {
		// A statement that changes nothing makes another value of the same content.
		return x == y || reflect.DeepEqual(x, y), x.ID != y.ID
	})
	kinds := diffOf(name, "TYPE", a.Types, b.Types, func(x, y *types.Type) (same, other bool) { return x.Equal(y), false })
	return inOrder(kinds, tables)
}

func union[V any](a, b map[string]V) map[string]bool {
	all := make(map[string]bool, len(b))
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

// diffOf compares by name; compare tells whether two of one name are the same,
// or others altogether, dropped and made again.
func diffOf[V any](keyspace, target string, old, new map[string]V, compare func(a, b V) (same, other bool)) []Event {
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(union(old, new))) {
		a, before := old[name]
		b, after := new[name]
		switch {
		case !before:
			events = append(events, Event{"CREATED", target, keyspace, name})
		case !after:
			events = append(events, Event{"DROPPED", target, keyspace, name})
		default:
			if same, other := compare(a, b); other {
				events = append(events, Event{"DROPPED", target, keyspace, name}, Event{"CREATED", target, keyspace, name})
			} else if !same {
				events = append(events, Event{"UPDATED", target, keyspace, name})
			}
		}
	}
	return events
}

// inOrder puts drops first (tables before the types they used), then types
// before tables.
func inOrder(kinds, tables []Event) []Event {
	var out []Event
	for _, dropped := range []bool{true, false} {
		groups := [][]Event{kinds, tables}
		if dropped {
			slices.Reverse(groups)
		}
		for _, group := range groups {
			for _, e := range group {
				if (e.Change == "DROPPED") == dropped {
					out = append(out, e)
				}
			}
		}
	}
	return out
}
