package coord

import (
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"helenus/internal/cql/schema"
	"helenus/internal/meta"
)

// speculation is a table's speculative_retry: when to ask one more replica than
// the level wants.
type speculation struct {
	always, never bool
	percentile    float64 // of the table's latencies; 0: none
	fixed         time.Duration
	max           bool // the greater of both, not the less
}

// parseSpeculation reads the canonical spelling that meta keeps.
func parseSpeculation(s string) speculation {
	u := strings.ToUpper(s)
	switch u {
	case "ALWAYS":
		return speculation{always: true}
	case "NEVER", "NONE", "":
		return speculation{never: true}
	}
	var out speculation
	terms := u
	if inner, ok := strings.CutPrefix(u, "MIN("); ok {
		terms = strings.TrimSuffix(inner, ")")
	} else if inner, ok := strings.CutPrefix(u, "MAX("); ok {
		terms, out.max = strings.TrimSuffix(inner, ")"), true
	}
	for _, term := range strings.Split(terms, ",") {
		term = strings.TrimSpace(term)
		if n, ok := strings.CutSuffix(term, "MS"); ok {
			ms, _ := strconv.ParseFloat(n, 64) // meta has checked it
			out.fixed = time.Duration(ms * float64(time.Millisecond))
			continue
		}
		n := strings.TrimSuffix(strings.TrimSuffix(term, "ERCENTILE"), "P")
		out.percentile, _ = strconv.ParseFloat(n, 64)
	}
	out.never = out.percentile == 0 && out.fixed == 0
	return out
}

// after is how long to wait for the first replicas; 0: not at all, negative:
// for ever.
func (s *speculation) after(percentile func(float64) time.Duration) time.Duration {
	switch {
	case s.always:
		return 0
	case s.never:
		return -1
	case s.percentile == 0:
		return s.fixed
	case s.fixed == 0:
		return percentile(s.percentile)
	case s.max:
		return max(s.fixed, percentile(s.percentile))
	}
	return min(s.fixed, percentile(s.percentile))
}

// latencies is a histogram of how long reads of one table took; four buckets
// for each doubling of microseconds.
type latencies struct {
	policy    speculation
	text      string // what policy was read from
	buckets   [4 * 40]atomic.Uint32
	refreshed atomic.Int64 // nanoseconds since 1970
	threshold atomic.Int64 // of policy, as of then
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 1))
	e := bits.Len64(us) - 1
	sub := 0
	if e >= 2 {
		sub = int(us>>(e-2)) & 3
	}
	return min(4*e+sub, 4*40-1)
}

// top is the greatest duration of a bucket.
func top(bucket int) time.Duration {
	e, sub := bucket/4, bucket%4
	return time.Duration((uint64(5+sub)<<e)>>2) * time.Microsecond
}

func (l *latencies) record(d time.Duration) { l.buckets[bucketOf(d)].Add(1) }

// percentile is the latency that so many of a hundred reads stay below; without
// reads it is otherwise.
func (l *latencies) percentile(p float64, otherwise time.Duration) time.Duration {
	total := 0.0
	for i := range l.buckets {
		total += float64(l.buckets[i].Load())
	}
	if total == 0 {
		return otherwise
	}
	seen := 0.0
	for i := range l.buckets {
		if seen += float64(l.buckets[i].Load()); seen*100 >= p*total {
			return top(i)
		}
	}
	return otherwise
}

// decay halves what was counted, so that the latest reads count most.
func (l *latencies) decay() {
	for i := range l.buckets {
		b := &l.buckets[i]
		for {
			n := b.Load()
			if n == 0 || b.CompareAndSwap(n, n/2) {
				break
			}
		}
	}
}

const (
	refreshInterval = time.Second
	// decayFrom is how many reads a histogram counts before old ones weigh less.
	decayFrom = 4096
)

// wait is how long to wait at now for the first replicas of a read that may
// take timeout; see speculation.after.
func (l *latencies) wait(now time.Time, timeout time.Duration) time.Duration {
	last := l.refreshed.Load()
	if now.UnixNano()-last < int64(refreshInterval) || !l.refreshed.CompareAndSwap(last, now.UnixNano()) {
		return time.Duration(l.threshold.Load())
	}
	d := l.policy.after(func(p float64) time.Duration { return l.percentile(p, timeout/2) })
	l.threshold.Store(int64(d))
	total := uint64(0)
	for i := range l.buckets {
		total += uint64(l.buckets[i].Load())
	}
	if total > decayFrom {
		l.decay()
	}
	return d
}

// latencyTables are the histograms of all tables that were read over several
// nodes.
type latencyTables struct {
	all atomic.Pointer[map[schema.TableID]*latencies]
	mu  sync.Mutex // for changing all
}

// of finds or makes a table's histogram. A change of its policy begins a new one.
func (t *latencyTables) of(table *schema.Table, state *meta.State) *latencies {
	if m := t.all.Load(); m != nil {
		if l := (*m)[table.ID]; l != nil && l.text == table.Options.SpeculativeRetry {
			return l
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[schema.TableID]*latencies{}
	if m := t.all.Load(); m != nil {
		for id, l := range *m {
			if state.Schema.Table(id) != nil {
				next[id] = l
			}
		}
	}
	l := next[table.ID]
	if l == nil || l.text != table.Options.SpeculativeRetry {
		l = &latencies{text: table.Options.SpeculativeRetry, policy: parseSpeculation(table.Options.SpeculativeRetry)}
		next[table.ID] = l
	}
	t.all.Store(&next)
	return l
}
