package coord

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// slowDecide says the rules one by one.
func slowDecide(votes []vote, blockFor int, full bool) verdict {
	counts := func(v vote) bool { return v.data || !full && v.summed }
	comes := func(v vote) bool { return v.waiting && (v.asksData || !full) }
	n, more := 0, 0
	data, dataComes := false, false
	var sums [][16]byte
	for _, v := range votes {
		if counts(v) {
			n++
			data = data || v.data
			if v.summed && !slices.Contains(sums, v.sum) {
				sums = append(sums, v.sum)
			}
		}
		if comes(v) {
			more++
			dataComes = dataComes || v.asksData
		}
	}
	if n+more < blockFor {
		return short
	}
	if n < blockFor {
		return undecided
	}
	if full {
		return agreed
	}
	if len(sums) > 1 || !data && !dataComes {
		return differing
	}
	if data {
		return agreed
	}
	return undecided
}

func TestDecide(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[verdict]int{}
	for range 100000 {
		votes := make([]vote, 1+r.IntN(5))
		for i := range votes {
			v := &votes[i]
			switch v.asksData = r.IntN(2) == 0; r.IntN(4) {
			case 0:
				v.waiting = true
			case 1:
				v.failed = true
			default:
				v.data = v.asksData
				if v.summed = !v.data || r.IntN(2) == 0; v.summed {
					v.sum[0] = byte(r.IntN(2))
				}
			}
		}
		blockFor, full := 1+r.IntN(len(votes)), r.IntN(2) == 0
		got, one := decide(votes, blockFor, full)
		seen[got]++
		if want := slowDecide(votes, blockFor, full); got != want {
			t.Fatalf("%+v, block for %d, full %v: %d, want %d", votes, blockFor, full, got, want)
		}
		if (one >= 0) != (got == agreed && !full) || one >= 0 && !votes[one].data {
			t.Fatalf("%+v: verdict %d by %d", votes, got, one)
		}
	}
	if len(seen) != 4 {
		t.Errorf("verdicts %v", seen)
	}
}

func TestConcurrency(t *testing.T) {
	for _, c := range []struct{ rows, parts, wanted, left, want int }{
		{0, 0, 100, 50, 1},  // nothing is known yet
		{0, 1, 100, 50, 32}, // one part had nothing
		{0, 1, 100, 5, 5},   // no more than there are
		{10, 1, 100, 50, 9}, // nine more of the same
		{50, 10, 100, 50, 10},
		{99, 1, 100, 50, 1},
		{0, 0, 0, 50, 4}, // all rows are wanted
		{1000, 10, 0, 2, 2},
	} {
		if got := concurrency(c.rows, c.parts, c.wanted, c.left); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestSpeculationPolicies(t *testing.T) {
	percentile := func(p float64) time.Duration { return time.Duration(p) * time.Millisecond }
	for text, want := range map[string]time.Duration{
		"NEVER": -1, "ALWAYS": 0, "50ms": 50 * time.Millisecond, "99p": 99 * time.Millisecond, "99.9p": 99 * time.Millisecond,
		"MIN(99p,50ms)": 50 * time.Millisecond, "MAX(99p,50ms)": 99 * time.Millisecond, "MIN(10p,50ms)": 10 * time.Millisecond,
	} {
		s := parseSpeculation(text)
		if got := s.after(percentile); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	if got := l.percentile(99, time.Second); got != time.Second {
		t.Errorf("without reads: %v", got)
	}
	for i := range 1000 {
		l.record(time.Duration(i+1) * time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{50: 500 * time.Millisecond, 99: 990 * time.Millisecond} {
		if got := l.percentile(p, 0); got < want || got > want*5/4 {
			t.Errorf("percentile %v: %v, want about %v", p, got, want)
		}
	}
	for d := 4 * time.Microsecond; d < time.Minute; d = d*9/8 + 1 {
		if at := top(bucketOf(d)); at < d.Truncate(time.Microsecond) || at > d*3/2 {
			t.Fatalf("%v is counted as %v", d, at)
		}
	}
}
