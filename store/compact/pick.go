package compact

import (
	"bytes"
	"slices"
	"sort"

	"helenus/store/row"
	"helenus/store/sstable"
)

// Pick chooses by the rules of Cassandra's size-tiered strategy; nil when there
// is nothing to do. Repaired and unrepaired tables, and those of each repair
// session, never meet.
func Pick(tables []Info, s Situation, o Options) *Task {
	if !o.Enabled {
		return nil
	}
	tables = slices.Clone(tables)
	sort.Slice(tables, func(i, j int) bool { return less(&tables[i], &tables[j]) })
	for _, group := range groups(tables) {
		if t := pickIn(group, tables, s, o); t != nil {
			return t
		}
	}
	return nil
}

// PickAll is a major compaction: everything of the first group that has more
// than one table, or one with something to gain.
func PickAll(tables []Info, s Situation, o Options) *Task {
	for _, group := range groups(tables) {
		idle := slices.DeleteFunc(slices.Clone(group), func(t Info) bool { return t.Busy })
		if len(idle) == 0 {
			continue
		}
		expired := fullyExpired(idle, tables, s, o)
		t := &Task{Reason: "all tables", Expired: ids(expired)}
		t.Inputs = ids(without(idle, expired))
		return t
	}
	return nil
}

// less orders by size, then by name, so that equal input gives equal output.
func less(a, b *Info) bool {
	if a.Bytes != b.Bytes {
		return a.Bytes < b.Bytes
	}
	return a.ID.String() < b.ID.String()
}

// groups splits tables by their state of repair, the unrepaired first.
func groups(tables []Info) [][]Info {
	type state struct {
		repaired bool
		pending  [16]byte
	}
	by := map[state][]Info{}
	var states []state
	for _, t := range tables {
		s := state{t.RepairedAt > 0, t.Pending}
		if by[s] == nil {
			states = append(states, s)
		}
		by[s] = append(by[s], t)
	}
	sort.Slice(states, func(i, j int) bool {
		a, b := states[i], states[j]
		if a.repaired != b.repaired {
			return !a.repaired
		}
		return bytes.Compare(a.pending[:], b.pending[:]) < 0
	})
	var out [][]Info
	for _, s := range states {
		out = append(out, by[s])
	}
	return out
}

func pickIn(group, all []Info, s Situation, o Options) *Task {
	idle := slices.DeleteFunc(slices.Clone(group), func(t Info) bool { return t.Busy })
	expired := fullyExpired(idle, all, s, o)
	rest := without(idle, expired)
	bucket := hottest(buckets(rest, o), o)
	if len(bucket) > 0 || len(expired) > 0 {
		t := &Task{Reason: "similar sizes", Inputs: ids(bucket), Expired: ids(expired)}
		if len(bucket) == 0 {
			t.Reason = "expired"
		}
		return t
	}
	for i := len(rest) - 1; i >= 0; i-- {
		if worthRewriting(&rest[i], all, s, o) {
			return &Task{Reason: "tombstones", Inputs: ids(rest[i : i+1])}
		}
	}
	return nil
}

func ids(tables []Info) (out []sstable.Descriptor) {
	for i := range tables {
		out = append(out, tables[i].ID)
	}
	return out
}

func without(tables, some []Info) []Info {
	return slices.DeleteFunc(slices.Clone(tables), func(t Info) bool {
		return slices.ContainsFunc(some, func(e Info) bool { return e.ID == t.ID })
	})
}

// buckets groups tables of similar size; tables ascend by size.
func buckets(tables []Info, o Options) [][]Info {
	type bucket struct {
		average int64
		tables  []Info
	}
	var all []*bucket
next:
	for _, t := range tables {
		for _, b := range all {
			low, high := float64(b.average)*o.BucketLow, float64(b.average)*o.BucketHigh
			if (low < float64(t.Bytes) && float64(t.Bytes) < high) || (t.Bytes < o.MinTableBytes && b.average < o.MinTableBytes) {
				n := int64(len(b.tables))
				b.average = (b.average*n + t.Bytes) / (n + 1)
				b.tables = append(b.tables, t)
				continue next
			}
		}
		all = append(all, &bucket{t.Bytes, []Info{t}})
	}
	var out [][]Info
	for _, b := range all {
		out = append(out, b.tables)
	}
	return out
}

// hottest chooses a bucket: each is cut to its hottest tables; the one with
// the most heat wins, and of equally hot ones that with the larger tables.
func hottest(buckets [][]Info, o Options) (best []Info) {
	var bestHeat float64
	var bestAverage int64
	for _, b := range buckets {
		b = slices.Clone(b)
		sort.SliceStable(b, func(i, j int) bool { return b[i].Hotness > b[j].Hotness })
		b = b[:min(len(b), o.MaxThreshold)]
		if len(b) < o.MinThreshold {
			continue
		}
		var heat float64
		var size int64
		for i := range b {
			heat += b[i].Hotness
			size += b[i].Bytes
		}
		average := size / int64(len(b))
		if best == nil || heat > bestHeat || (heat == bestHeat && average > bestAverage) {
			best, bestHeat, bestAverage = b, heat, average
		}
	}
	return best
}

// overlap tells whether the key ranges of two tables meet.
func overlap(a, b *Info, s Situation) bool {
	return row.CompareKeys(a.First, b.Last, s.Compare) <= 0 && row.CompareKeys(b.First, a.Last, s.Compare) <= 0
}

// fullyExpired finds tables in which nothing lives and no tombstone is needed:
// all is older than the grace period, and all that it could cover, in tables
// that stay and in memory, is newer.
func fullyExpired(candidates, all []Info, s Situation, o Options) []Info {
	out := slices.DeleteFunc(slices.Clone(candidates), func(t Info) bool {
		return !t.mayPurge(o) || t.MaxLocalTime >= s.GCBefore || t.MaxTimestamp >= s.MemtableMinTimestamp
	})
	for {
		n := len(out)
		stay := without(all, out)
		out = slices.DeleteFunc(out, func(t Info) bool {
			return slices.ContainsFunc(stay, func(o Info) bool {
				return overlap(&t, &o, s) && t.MaxTimestamp >= o.MinTimestamp
			})
		})
		if len(out) == n {
			return out
		}
	}
}

// mayPurge tells whether tombstones of a table may go at all: not in a repair
// session, and with only_purge_repaired_tombstones not before one.
func (t *Info) mayPurge(o Options) bool {
	return t.Pending == [16]byte{} && (!o.OnlyRepaired || t.RepairedAt > 0)
}

// worthRewriting tells whether a table should be rewritten alone to get rid of
// its tombstones.
func worthRewriting(t *Info, all []Info, s Situation, o Options) bool {
	if s.Now-t.Created <= o.TombstoneInterval || t.Droppable <= o.TombstoneThreshold {
		return false
	}
	if !t.mayPurge(o) {
		return false
	}
	if o.Unchecked {
		return true
	}
	var others []Info
	for i := range all {
		if all[i].ID != t.ID && overlap(t, &all[i], s) {
			others = append(others, all[i])
		}
	}
	if len(others) == 0 {
		return true
	}
	if len(t.Samples) < 2 {
		return false
	}
	return outsideShare(t, others)*t.Droppable > o.TombstoneThreshold
}

// outsideShare estimates which part of a table's keys lies in no other's range.
func outsideShare(t *Info, others []Info) float64 {
	outside := 0
	for _, p := range t.Samples {
		if !slices.ContainsFunc(others, func(o Info) bool { return o.First.Prefix <= p && p <= o.Last.Prefix }) {
			outside++
		}
	}
	return float64(outside) / float64(len(t.Samples))
}
