package store

import (
	"strings"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// TestReplayInLittleMemory: what a node with less memory than its log has cannot
// hold is written to files while the log is read; what the limit allows to be
// unflushed is left to the time after the start.
func TestReplayInLittleMemory(t *testing.T) {
	const rows = 6000
	mem := vfs.NewMem()
	roomy := func(o *Options) { o.MemtableBytes, o.LogBytesMax = 64<<20, 1<<30 }
	s, def := openTiny(t, mem, roomy)
	var all []*writing
	for k := range rows {
		all = append(all, apply(s, mutate(t, []*schema.Table{def}, putText(k, k))))
	}
	for _, w := range all {
		must(t, <-w.done)
	}
	needed := s.MemoryBytes()
	must(t, s.Close())

	for _, limit := range []int64{needed / 6, needed * 2 / 3} {
		var peak, files int64
		var memory *budget.Budget
		fs := vfs.NewFaulty(mem.Kill(), func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpCreate && strings.HasSuffix(op.Name, "-Data.db") {
				files++
				peak = max(peak, memory.Used())
			}
			return vfs.Fault{}
		})
		s, def := openTiny(t, fs, func(o *Options) { roomy(o); o.MemtableBytes, memory = limit, o.Budget })
		relieved := s.table(def.ID).relieved != commitlog.Position{}
		if want := needed > 2*limit; relieved != want {
			t.Errorf("%d bytes in a limit of %d: relieved %v, want %v", needed, limit, relieved, want)
		}
		if relieved && (files < 2 || peak > 4*limit) { // slabs double, so that the last may be half of all
			t.Errorf("%d bytes in a limit of %d: %d files, %d bytes in use at most", needed, limit, files, peak)
		}
		if got := values(t, s, def); len(got) != rows || got["77"] != "77" {
			t.Errorf("%d bytes in a limit of %d: %d rows, v=%s", needed, limit, len(got), got["77"])
		}
		must(t, s.Close())
	}
}

// What settling takes beside what was replayed is written before the store
// opens: writers would wait for it.
func TestReplayLeavesRoom(t *testing.T) {
	const keys, rounds = 1500, 4
	mem := vfs.NewMem()
	roomy := func(o *Options) { o.MemtableBytes, o.LogBytesMax = 64<<20, 1<<30 }
	s, def := openTiny(t, mem, roomy)
	var all []*writing
	for i := range keys * rounds {
		all = append(all, apply(s, mutate(t, []*schema.Table{def}, putText(i%keys, i))))
	}
	for _, w := range all {
		must(t, <-w.done)
	}
	needed := s.MemoryBytes()
	must(t, s.Close())
	for part := int64(1); part <= 12; part++ {
		s, def := openTiny(t, mem.Kill(), func(o *Options) { roomy(o); o.MemtableBytes = needed * part / 12 })
		if s.memory.crowded() {
			t.Errorf("%d bytes in a limit of %d: writers would have to wait", s.MemoryBytes(), needed*part/12)
		}
		if got := values(t, s, def); len(got) != keys {
			t.Errorf("%d bytes in a limit of %d: %d rows", needed, needed*part/12, len(got))
		}
		must(t, s.Close())
	}
}
