package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus"
)

// TestFilteringWithStaleReplicas is scenario 10: each replica has missed another
// part of what was acknowledged. A filter at QUORUM gives no row whose newest
// version does not match, though a stale one would, and misses none that does,
// with limits and in pages, too.
func TestFilteringWithStaleReplicas(t *testing.T) {
	rounds := 2
	if long() {
		rounds = 40
	}
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3, Settings: map[string]string{"hinted_handoff_enabled": "false"}}, func(r *ring) {
			for i := range rounds {
				f := &filtering{ring: r, rand: rand.New(rand.NewPCG(seed, uint64(i))), table: fmt.Sprintf("ks.f%d", i), rows: map[[2]int]*filteredRow{}, statics: map[int]int{}}
				f.round([]string{"NONE", "BLOCKING"}[i%2])
			}
		})
	}
}

// filtering knows what is in a table whose replicas have missed things.
type filtering struct {
	*ring
	rand    *rand.Rand
	table   string
	rows    map[[2]int]*filteredRow // by k and c
	statics map[int]int             // by k
}

// filteredRow has 0 where there is null.
type filteredRow struct {
	v, w   int
	marked bool // it was inserted and lives without values
}

const filteredKeys, filteredRows, filteredValues = 6, 5, 3

func (f *filtering) round(readRepair string) {
	f.define("CREATE TABLE " + f.table + " (k int, c int, s int static, v int, w int, PRIMARY KEY (k, c)) WITH read_repair = '" + readRepair + "'")
	f.change(nil, 60)
	for _, absent := range f.nodes {
		f.stop(absent)
		f.change(absent, 25)
		f.back(absent)
	}
	for _, absent := range f.nodes {
		f.stop(absent)
		for _, n := range f.nodes {
			if n != absent {
				f.check(n)
			}
		}
		f.back(absent)
	}
}

// change makes random changes that all replicas but one get.
func (f *filtering) change(absent *Node, count int) {
	f.do("writer", func(a *Actor) error {
		for range count {
			n := f.nodes[f.rand.IntN(len(f.nodes))]
			if n == absent {
				continue
			}
			text := f.one()
			if _, err := f.asked(a, n, helenus.Quorum, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	})
}

func (f *filtering) one() string {
	k, c := f.rand.IntN(filteredKeys), f.rand.IntN(filteredRows)
	v, w := 1+f.rand.IntN(filteredValues), 1+f.rand.IntN(filteredValues)
	at := [2]int{k, c}
	row := f.rows[at]
	if row == nil {
		row = &filteredRow{}
	}
	where := fmt.Sprintf(" WHERE k = %d", k)
	switch f.rand.IntN(12) {
	case 0:
		delete(f.rows, at)
		return "DELETE FROM " + f.table + where + fmt.Sprintf(" AND c = %d", c)
	case 1:
		for i := c; i < filteredRows; i++ {
			delete(f.rows, [2]int{k, i})
		}
		return "DELETE FROM " + f.table + where + fmt.Sprintf(" AND c >= %d", c)
	case 2:
		if row.v = 0; row.w == 0 && !row.marked {
			delete(f.rows, at)
		}
		return "DELETE v FROM " + f.table + where + fmt.Sprintf(" AND c = %d", c)
	case 3:
		f.statics[k] = v
		return fmt.Sprintf("UPDATE %s SET s = %d", f.table, v) + where
	case 4:
		delete(f.statics, k)
		return "DELETE s FROM " + f.table + where
	case 5:
		if f.rand.IntN(3) == 0 {
			delete(f.statics, k)
			for i := range filteredRows {
				delete(f.rows, [2]int{k, i})
			}
			return "DELETE FROM " + f.table + where
		}
	case 6, 7, 8:
		row.v = v
		f.rows[at] = row
		return fmt.Sprintf("UPDATE %s SET v = %d", f.table, v) + where + fmt.Sprintf(" AND c = %d", c)
	}
	row.v, row.w, row.marked = v, w, true
	f.rows[at] = row
	return fmt.Sprintf("INSERT INTO %s (k, c, v, w) VALUES (%d, %d, %d, %d)", f.table, k, c, v, w)
}

// matching are the keys of the rows that match, sorted; with one partition only.
// A static row without any others is like a row without values.
func (f *filtering) matching(only int, match func(s int, row *filteredRow) bool) (out []string) {
	for k, s := range f.statics {
		alone := only < 0 || k == only
		for at := range f.rows {
			alone = alone && at[0] != k
		}
		if alone && match(s, &filteredRow{}) {
			out = append(out, fmt.Sprint(k, " null"))
		}
	}
	for at, row := range f.rows {
		if (only < 0 || at[0] == only) && match(f.statics[at[0]], row) {
			out = append(out, fmt.Sprint(at[0], at[1]))
		}
	}
	slices.Sort(out)
	return out
}

// check asks one node, which is stale in its own way, all kinds of filters.
func (f *filtering) check(n *Node) {
	k, x, y := f.rand.IntN(filteredKeys), 1+f.rand.IntN(filteredValues), 1+f.rand.IntN(filteredValues)
	for _, q := range []struct {
		where string
		only  int
		match func(s int, row *filteredRow) bool
	}{
		{fmt.Sprintf("v = %d", x), -1, func(_ int, row *filteredRow) bool { return row.v == x }},
		{fmt.Sprintf("v > %d", x), -1, func(_ int, row *filteredRow) bool { return row.v > x }},
		{fmt.Sprintf("v = %d AND w = %d", x, y), -1, func(_ int, row *filteredRow) bool { return row.v == x && row.w == y }},
		{fmt.Sprintf("v IN (%d, %d)", x, y), -1, func(_ int, row *filteredRow) bool { return row.v == x || row.v == y }},
		{fmt.Sprintf("s = %d", x), -1, func(s int, _ *filteredRow) bool { return s == x }},
		{fmt.Sprintf("s = %d AND v = %d", x, y), -1, func(s int, row *filteredRow) bool { return s == x && row.v == y }},
		{fmt.Sprintf("k = %d AND v = %d", k, x), k, func(_ int, row *filteredRow) bool { return row.v == x }},
		{fmt.Sprintf("k = %d AND w = %d", k, y), k, func(_ int, row *filteredRow) bool { return row.w == y }},
	} {
		want := f.matching(q.only, q.match)
		text := "SELECT k, c FROM " + f.table + " WHERE " + q.where
		got := f.answer(n, text+" ALLOW FILTERING")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			f.Errorf("%s by %s: %q, want %q", text, n.name, got, want)
			return
		}
		for _, limit := range []int{1, 2, 4} {
			some := f.answer(n, fmt.Sprintf("%s LIMIT %d ALLOW FILTERING", text, limit))
			if len(some) != min(limit, len(want)) || slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(want, s) }) {
				f.Errorf("%s LIMIT %d by %s: %q, of %q", text, limit, n.name, some, want)
				return
			}
		}
		each := map[string]int{}
		for _, row := range want {
			each[row[:1]]++
		}
		first := f.answer(n, text+" PER PARTITION LIMIT 1 ALLOW FILTERING")
		if len(first) != len(each) || slices.ContainsFunc(first, func(s string) bool { return !slices.Contains(want, s) }) {
			f.Errorf("%s PER PARTITION LIMIT 1 by %s: %q, of %q", text, n.name, first, want)
			return
		}
		paged := f.paged(n, text+" ALLOW FILTERING", 2)
		slices.Sort(paged)
		if !slices.Equal(paged, want) {
			f.Errorf("%s by %s in pages: %q, want %q", text, n.name, paged, want)
			return
		}
	}
}

func (f *filtering) answer(n *Node, text string) []string {
	got, err := f.ask(n, helenus.Quorum, text)
	if err != nil {
		f.Errorf("%s by %s: %v", text, n.name, err)
	}
	if got == "" {
		return nil
	}
	return strings.Split(got, "\n")
}

func (f *filtering) paged(n *Node, text string, size int32) (out []string) {
	f.do("reader", func(a *Actor) error {
		var state []byte
		for {
			page, next, err := f.page(a, n, text, size, state)
			if err != nil {
				return err
			}
			out = append(out, page...)
			if state = next; state == nil {
				return nil
			}
		}
	})
	return out
}
