package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"helenus"
)

// fakeReplicas is a store of registers on some replicas, of which each request
// reaches as many as its level needs, by chance. Bugs can be planted in it.
type fakeReplicas struct {
	r      *rand.Rand
	copies []map[string]fakeCell
	bug    string
}

type fakeCell struct {
	number int64
	gone   bool
}

// Bugs of the kinds that databases of this sort have had.
const (
	ackEarly      = "a write is acknowledged by one replica too few"
	readFew       = "a read asks one replica too few"
	noRepair      = "a read does not repair what it found to be old"
	resurrect     = "a tombstone is dropped by a replica"
	oldWins       = "of two values the older wins"
	losesOnCrash  = "a replica forgets what it acknowledged"
	wrongKey      = "an answer is of another key"
	inventsValues = "a read returns what nobody wrote"
	refusesLate   = "a write that was refused happens"
)

func (f *fakeReplicas) some(count int) []int { return f.r.Perm(len(f.copies))[:count] }

func (f *fakeReplicas) put(i int, key string, c fakeCell) {
	old := f.copies[i][key]
	if newer := c.number > old.number; newer != (f.bug == oldWins && old.number > 0) {
		f.copies[i][key] = c
	}
}

// write applies to what the level needs or, if cut short, to fewer.
func (f *fakeReplicas) write(w *Write, need int) Outcome {
	reached := need
	short := f.r.IntN(5) == 0
	if short {
		reached = f.r.IntN(need)
	}
	if f.bug == ackEarly && f.r.IntN(4) == 0 {
		reached, short = need-1, false
	}
	if reached == 0 && f.r.IntN(2) == 0 {
		if f.bug == refusesLate {
			f.put(0, w.Key, fakeCell{w.Number, w.Delete})
		}
		return Refused
	}
	for _, i := range f.some(reached) {
		f.put(i, w.Key, fakeCell{w.Number, w.Delete})
	}
	if f.bug == losesOnCrash && f.r.IntN(20) == 0 {
		delete(f.copies[f.r.IntN(len(f.copies))], w.Key)
	}
	if short {
		return Unknown
	}
	return Acknowledged
}

func (f *fakeReplicas) read(key string, need int) int64 {
	if f.bug == readFew && need > 1 {
		need--
	}
	asked := f.some(need)
	var newest fakeCell
	for _, i := range asked {
		if c := f.copies[i][key]; c.number > newest.number {
			newest = c
		}
	}
	if f.bug != noRepair {
		for _, i := range asked {
			f.put(i, key, newest)
		}
	}
	for _, c := range f.copies {
		if f.bug == resurrect && c[key].gone && f.r.IntN(4) == 0 {
			delete(c, key)
		}
	}
	switch {
	case f.bug == inventsValues && f.r.IntN(50) == 0:
		return newest.number + 1_000_000
	case newest.gone:
		return 0
	}
	return newest.number
}

// judge runs clients at QUORUM against fake replicas and tells the first
// complaint.
func judge(seed uint64, bug string) error {
	f := &fakeReplicas{r: rand.New(rand.NewPCG(seed, 0)), bug: bug}
	for range 3 {
		f.copies = append(f.copies, map[string]fakeCell{})
	}
	regs := NewRegisters(map[helenus.Datacenter]int{"dc": 3})
	levels := []struct {
		Level
		need int
	}{{Level{helenus.Quorum, "dc"}, 2}, {Level{helenus.One, "dc"}, 1}, {Level{helenus.All, "dc"}, 3}, {Level{helenus.LocalQuorum, "dc"}, 2}}
	for range 800 {
		key := fmt.Sprint("k", f.r.IntN(3))
		l := levels[f.r.IntN(len(levels))]
		if f.r.IntN(2) == 0 {
			w := regs.Write(key, f.r.IntN(5) == 0, l.Level)
			w.Ended(f.write(w, l.need))
			continue
		}
		d := regs.Read(key, l.Level)
		if bug == wrongKey && f.r.IntN(50) == 0 {
			key = "k0"
		}
		if err := d.Ended(f.read(key, l.need)); err != nil {
			return err
		}
	}
	return nil
}

// TestRegistersFindBugs: right replicas are never accused, and every planted bug
// is found.
func TestRegistersFindBugs(t *testing.T) {
	for seed := range uint64(60) {
		if err := judge(seed, ""); err != nil {
			t.Fatalf("seed %d, no bug: %v", seed, err)
		}
	}
	for bug, complaint := range map[string]string{
		ackEarly: "acknowledged", readFew: "acknowledged", noRepair: "had been read", resurrect: "", oldWins: "acknowledged", losesOnCrash: "",
		wrongKey: "nobody wrote", inventsValues: "nobody wrote", refusesLate: "told that it did not happen",
	} {
		found, said := 0, ""
		for seed := range uint64(50) {
			if err := judge(seed, bug); err != nil {
				found++
				said += err.Error() + "\n"
			}
		}
		if found < 25 || !strings.Contains(said, complaint) {
			t.Errorf("%s: found with %d of 50 seeds:\n%s", bug, found, said)
		}
	}
}

// TestOverlap compares with trying all sets of replicas.
func TestOverlap(t *testing.T) {
	for _, dcs := range []map[helenus.Datacenter]int{{"a": 1}, {"a": 2}, {"a": 3}, {"a": 5}, {"a": 3, "b": 3}, {"a": 3, "b": 2}, {"a": 1, "b": 4}} {
		for _, x := range allLevels(dcs) {
			for _, y := range allLevels(dcs) {
				if got, want := Overlap(dcs, x, y), overlapSlow(dcs, x, y); got != want {
					t.Errorf("%v: %s and %s: %v, want %v", dcs, x, y, got, want)
				}
			}
		}
	}
}

func allLevels(dcs map[helenus.Datacenter]int) (out []Level) {
	for c := helenus.Any; c.Valid(); c++ {
		for dc := range dcs {
			out = append(out, Level{c, dc})
		}
	}
	return out
}

// overlapSlow looks for two disjoint sets that satisfy the levels.
func overlapSlow(dcs map[helenus.Datacenter]int, a, b Level) bool {
	var at []helenus.Datacenter
	for dc, n := range dcs {
		for range n {
			at = append(at, dc)
		}
	}
	satisfies := func(set int, l Level) bool {
		count, total := map[helenus.Datacenter]int{}, 0
		for i, dc := range at {
			if set>>i&1 == 1 {
				count[dc]++
				total++
			}
		}
		switch l.Consistency {
		case helenus.Any:
			return true
		case helenus.One:
			return total >= 1
		case helenus.Two:
			return total >= min(2, len(at)+1)
		case helenus.Three:
			return total >= 3
		case helenus.Quorum, helenus.Serial:
			return total >= len(at)/2+1
		case helenus.All:
			return total == len(at)
		case helenus.LocalOne:
			return count[l.Datacenter] >= 1
		case helenus.LocalQuorum, helenus.LocalSerial:
			return count[l.Datacenter] >= dcs[l.Datacenter]/2+1
		}
		for dc, n := range dcs {
			if count[dc] < n/2+1 {
				return false
			}
		}
		return true
	}
	for x := range 1 << len(at) {
		if !satisfies(x, a) {
			continue
		}
		for y := range 1 << len(at) {
			if x&y == 0 && satisfies(y, b) {
				return false
			}
		}
	}
	return true
}
