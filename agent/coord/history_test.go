package coord

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/token"
	"helenus/store/row"
)

// TestReadHistories: random writes, deletions and range tombstones that each
// reach some replicas only. Whatever is read at a level that overlaps with the
// writes' is what all writes together make; and after a read of the whole
// partition the replicas that were asked agree.
func TestReadHistories(t *testing.T) {
	for seed := range uint64(4) {
		runServing(t, spec{places: "dc1/r1 dc1/r2 dc1/r3 dc1/r1", keyspaces: map[string]string{"ks": "3"}}, func(c *nodes) {
			h := &history{nodes: c, r: rand.New(rand.NewPCG(seed, 21)), said: map[int][]string{}}
			for round := range 120 {
				h.round = fmt.Sprintf("seed %d, round %d", seed, round)
				h.step(round % 7)
				if c.Failed() {
					return
				}
			}
		})
	}
}

type history struct {
	*nodes
	r     *rand.Rand
	round string
	said  map[int][]string // of each partition: what was written
}

// step writes something about a partition, and reads.
func (h *history) step(k int) {
	for range 1 + h.r.IntN(6) {
		line := h.line()
		h.said[k] = append(h.said[k], line)
		text := fmt.Sprintf("partition %d\n%s", k, line)
		if line == "" {
			text = fmt.Sprintf("partition %d del=%d/999", k, 1+h.r.IntN(3))
			h.said[k][len(h.said[k])-1] = text
		}
		replicas := h.replicas(k)
		missing := h.r.IntN(len(replicas) + 1) // the number of all: none misses it
		for i, n := range replicas {
			if i != missing {
				h.applyAt(n, "ks", text)
			}
		}
	}
	if h.r.IntN(3) == 0 { // some of it lies in files, more than one
		n := h.all[h.r.IntN(len(h.all))]
		if err := n.store.Flush(context.Background(), h.table("ks").ID); err != nil {
			h.Fatal(err)
		}
	}
	cl := []helenus.Consistency{helenus.Quorum, helenus.All, helenus.Two, helenus.LocalQuorum}[h.r.IntN(4)]
	switch h.r.IntN(4) {
	case 0:
		h.readAll(k, cl)
	case 1:
		h.readRange(cl)
	default:
		h.readSome(k, cl)
	}
}

func (h *history) line() string {
	ts := 1 + h.r.IntN(20)
	switch n := h.r.IntN(20); {
	case n == 0:
		return "" // the partition
	case n < 4:
		a, b := h.r.IntN(8), h.r.IntN(8)
		return fmt.Sprintf("range >=%d <=%d del=%d/999", min(a, b), max(a, b), ts)
	case n < 6:
		return fmt.Sprintf("row %d del=%d/999", h.r.IntN(8), ts)
	case n < 8:
		return fmt.Sprintf("row %d v=~@%d/999", h.r.IntN(8), ts)
	case n < 12:
		return fmt.Sprintf("row %d v=%c@%d", h.r.IntN(8), 'a'+rune(h.r.IntN(4)), ts)
	}
	return fmt.Sprintf("row %d live=%d v=%c@%[2]d", h.r.IntN(8), ts, 'a'+rune(h.r.IntN(4)))
}

// replicas are the numbers of the nodes that have a partition.
func (h *history) replicas(k int) (out []int) {
	for _, n := range h.state.Placement("ks").Replicas(token.Murmur3Partitioner{}.Token(keyBytes(k))) {
		out = append(out, int(n.HostID[15])-1)
	}
	return out
}

// model is what all writes make, as a client sees it.
func (h *history) model(cmd *row.Command, keys ...int) string {
	var all []*row.Kept
	for _, k := range keys {
		var text strings.Builder
		for _, line := range h.said[k] {
			if !strings.HasPrefix(line, "partition") {
				fmt.Fprintf(&text, "partition %d\n", k)
			}
			fmt.Fprintln(&text, line)
		}
		ks, err := row.Parse(cmd.Table, token.Murmur3Partitioner{}, text.String())
		if err != nil {
			h.Fatal(err)
		}
		all = append(all, ks...)
	}
	if cmd.Keys == nil {
		slices.SortFunc(all, func(a, b *row.Kept) int {
			return row.CompareKeys(a.PartitionKey, b.PartitionKey, token.Murmur3Partitioner{}.CompareTie)
		})
	}
	out, err := row.PrintAll(nil, cmd.Table, row.Visible(row.KeptPartitions(cmd.Filter.Reversed, all...), cmd, true, nil))
	if err != nil {
		h.Fatal(err)
	}
	return string(out)
}

func (h *history) check(cmd *row.Command, cl helenus.Consistency, keys ...int) {
	by := h.r.IntN(len(h.all))
	got, err := h.read(by, cl, cmd)
	if want := h.model(cmd, keys...); err != nil || got != want {
		h.Errorf("%s: read by node %d at %s, %+v, %+v:\n%s%v, want\n%s", h.round, by, cl, cmd.Filter, cmd.Limits, got, err, want)
	}
}

// readAll reads a whole partition, by one of its replicas, and compares what the
// replicas asked have then.
func (h *history) readAll(k int, cl helenus.Consistency) {
	cmd := h.command("ks", k)
	cmd.Filter.Reversed = h.r.IntN(2) == 0
	replicas := h.replicas(k)
	by := replicas[h.r.IntN(len(replicas))]
	got, err := h.read(by, cl, cmd)
	if want := h.model(cmd, k); err != nil || got != want {
		h.Errorf("%s: read by node %d at %s, reversed %v:\n%s%v, want\n%s", h.round, by, cl, cmd.Filter.Reversed, got, err, want)
	}
	slices.Sort(replicas)
	asked := []int{by} // this node, and others by host id
	for _, n := range replicas {
		if n != by && len(asked) < 2 || n != by && cl == helenus.All {
			asked = append(asked, n)
		}
	}
	for _, n := range asked[1:] {
		if a, b := h.stored(by, "ks", k), h.stored(n, "ks", k); a != b {
			h.Errorf("%s: after a read at %s of nodes %v, node %d has\n%snode %d has\n%s", h.round, cl, asked, by, a, n, b)
		}
	}
	if cl == helenus.All {
		h.agree(k, by)
	}
}

// agree: replicas that have the same find nothing to repair, whatever part of it
// is read and wherever it lies.
func (h *history) agree(k, by int) {
	before := h.all[by].coord.Stats().Mismatches.Load()
	for range 3 {
		cmd := h.command("ks", k)
		h.narrow(cmd)
		if h.r.IntN(2) == 0 { // one row
			c := keyBytes(h.r.IntN(8))
			_, from := row.AppendBound(nil, cmd.Table, [][]byte{c}, false)
			_, to := row.AppendBound(nil, cmd.Table, [][]byte{c}, true)
			cmd.Filter.Slices = []row.Slice{{Start: from.Order, StartValues: from.Values, StartSize: 1, End: to.Order, EndValues: to.Values, EndSize: 1}}
		}
		if h.r.IntN(2) == 0 {
			cmd.Filter.Regulars = []bool{false}
		}
		if _, err := h.read(by, helenus.All, cmd); err != nil {
			h.Errorf("%s: %v", h.round, err)
		}
		if after := h.all[by].coord.Stats().Mismatches.Load(); after != before {
			h.Errorf("%s: equal replicas of partition %d have different digests of %+v, %+v", h.round, k, cmd.Filter, cmd.Limits)
			before = after
		}
	}
}

func (h *history) readSome(k int, cl helenus.Consistency) {
	keys := []int{k}
	if h.r.IntN(3) == 0 {
		keys = append(keys, (k+3)%7, (k+1)%7)
	}
	cmd := h.command("ks", keys...)
	h.narrow(cmd)
	h.check(cmd, cl, keys...)
}

func (h *history) readRange(cl helenus.Consistency) {
	cmd := h.command("ks")
	h.narrow(cmd)
	h.check(cmd, cl, 0, 1, 2, 3, 4, 5, 6)
}

// narrow makes a command read less.
func (h *history) narrow(cmd *row.Command) {
	cmd.Filter.Reversed = h.r.IntN(2) == 0
	if h.r.IntN(2) == 0 {
		cmd.Filter.Slices = h.slices(cmd)
	}
	cmd.Limits.Rows = h.r.IntN(5)
	if h.r.IntN(3) == 0 {
		cmd.Limits.PerPartition = 1 + h.r.IntN(2)
	}
}

func (h *history) slices(cmd *row.Command) []row.Slice {
	var bounds []row.Clustering
	for range 2 * (1 + h.r.IntN(2)) {
		_, at := row.AppendBound(nil, cmd.Table, [][]byte{keyBytes(h.r.IntN(8))}, h.r.IntN(2) == 0)
		bounds = append(bounds, at)
	}
	slices.SortFunc(bounds, func(a, b row.Clustering) int { return bytes.Compare(a.Order, b.Order) })
	bounds = slices.CompactFunc(bounds, func(a, b row.Clustering) bool { return bytes.Equal(a.Order, b.Order) })
	var out []row.Slice
	for i := 0; i+1 < len(bounds); i += 2 {
		a, b := bounds[i], bounds[i+1]
		out = append(out, row.Slice{Start: a.Order, StartValues: a.Values, StartSize: 1, End: b.Order, EndValues: b.Values, EndSize: 1})
	}
	return out
}
