package row

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

var murmur = token.Murmur3Partitioner{}

// randomCommand reads some of the model's partition.
func randomCommand(r *rand.Rand, t *schema.Table) *Command {
	k := int32Bytes(1)
	c := &Command{Table: t, Now: 99 + r.Int64N(4), Keys: []Key{{Prefix: murmur.Prefix(k), Bytes: k}}}
	c.Filter = Filter{Slices: AllRows(), Reversed: r.IntN(2) == 0}
	if r.IntN(3) > 0 {
		c.Filter.Slices = randomSlices(r, t)
	}
	return c
}

func randomSlices(r *rand.Rand, t *schema.Table) []Slice {
	type edge struct {
		at   Clustering
		size int
	}
	var edges []edge
	for range 2 * (1 + r.IntN(3)) {
		prefix := randomClustering(r)[:1+r.IntN(2)]
		_, at := AppendBound(nil, t, prefix, r.IntN(2) == 0)
		edges = append(edges, edge{at, len(prefix)})
	}
	slices.SortFunc(edges, func(a, b edge) int { return bytes.Compare(a.at.Order, b.at.Order) })
	edges = slices.CompactFunc(edges, func(a, b edge) bool { return bytes.Equal(a.at.Order, b.at.Order) })
	var out []Slice
	for i := 0; i+1 < len(edges); i += 2 {
		a, b := edges[i], edges[i+1]
		out = append(out, Slice{Start: a.at.Order, StartValues: a.at.Values, StartSize: a.size, End: b.at.Order, EndValues: b.at.Values, EndSize: b.size})
	}
	if len(out) > 0 && r.IntN(4) == 0 {
		out[0].Start, out[0].StartValues, out[0].StartSize = nil, nil, 0
	}
	if n := len(out); n > 0 && r.IntN(4) == 0 {
		out[n-1].End, out[n-1].EndValues, out[n-1].EndSize = nil, nil, 0
	}
	return out
}

func randomMask(r *rand.Rand, n int) []bool {
	mask := make([]bool, n)
	for i := range mask {
		mask[i] = r.IntN(2) == 0
	}
	return mask
}

func randomWrites(r *rand.Rand, t *schema.Table, n int) []write {
	writes := make([]write, n)
	for i := range writes {
		writes[i] = randomWrite(r, t)
		// Replicas show what has expired as a tombstone, so of two cells that differ
		// only in their expiry they may find another to win than who sees both.
		if c := writes[i].cell; c != nil && c.Flags&Expiring != 0 {
			c.TTL, c.LocalTime = int32(10+c.Timestamp%2), 100+c.Timestamp%3
		}
	}
	return writes
}

// kept is what writes make; nothing for none.
func kept(t testing.TB, table *schema.Table, writes []write) []*Kept {
	if len(writes) == 0 {
		return nil
	}
	return []*Kept{keepOne(t, decode(t, table, build(t, table, writes)), false)}
}

func answer(t testing.TB, ps Partitions, c *Command, o AnswerOptions) *Answer {
	t.Helper()
	o.Data, o.Digest = true, true
	a := new(Answer)
	if err := a.Write(ps, c, o); err != nil {
		t.Fatal(err)
	}
	return a
}

func answersOf(a *Answer, c *Command) *Answers {
	out := new(Answers)
	out.Reset(a.Data, c, murmur)
	return out
}

// visibleText is what a reader sees, timestamps included.
func visibleText(t testing.TB, ps Partitions, c *Command) string {
	t.Helper()
	out, err := PrintAll(nil, c.Table, Visible(ps, c, true, nil))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func allText(t testing.TB, ps Partitions, table *schema.Table) string {
	t.Helper()
	out, err := PrintAll(nil, table, ps)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestAnswers: a reader of an answer sees what a reader of the store would; an
// answer of an answer is the same one; and answers that were cut short go on
// until nothing is missing.
func TestAnswers(t *testing.T) {
	table := modelTable(t)
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 11))
		store := kept(t, table, randomWrites(r, table, 1+r.IntN(25)))
		c := randomCommand(r, table)
		if r.IntN(2) == 0 {
			c.Filter.Regulars, c.Filter.Statics = randomMask(r, len(table.Regulars)), randomMask(r, len(table.Statics))
		}
		source := func() Partitions { return KeptPartitions(c.Filter.Reversed, store...) }
		want := visibleText(t, source(), c)
		o := AnswerOptions{GCBefore: 90 + r.Int64N(20)}
		whole := answer(t, source(), c, o)
		if got := visibleText(t, answersOf(whole, c), c); got != want {
			t.Fatalf("seed %d: answered\n%swant\n%s", seed, got, want)
		}
		if again := answer(t, answersOf(whole, c), c, o); again.Digest != whole.Digest {
			t.Fatalf("seed %d: an answer of an answer is another", seed)
		}
		c.Limits.Rows = r.IntN(3)
		c.Limits.PerPartition = r.IntN(3)
		if r.IntN(2) == 0 {
			o.BytesMax = 1 + r.IntN(100)
		}
		if got := readOn(t, source, c, o); got != want {
			t.Fatalf("seed %d: limits %+v, %d bytes: piece by piece\n%swant\n%s", seed, c.Limits, o.BytesMax, got, want)
		}
	}
}

// readOn goes on behind each answer until one was not cut, through the codec of
// commands, and shows all that they hold as one partition.
func readOn(t *testing.T, source func() Partitions, c *Command, o AnswerOptions) string {
	t.Helper()
	at := *c
	unlimited := *c
	unlimited.Limits = Limits{}
	var all Kept
	for n := 0; ; n++ {
		if n > 1000 {
			t.Fatal("no end")
		}
		var reader CommandReader
		sent, err := reader.Read(AppendCommand(nil, &at), func(schema.TableID) *schema.Table { return c.Table }, murmur)
		if err != nil {
			t.Fatal(err)
		}
		as := answersOf(answer(t, source(), sent, o), sent)
		p, err := as.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			break
		}
		k, err := Keep(p)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			all = *k
		} else {
			all.Rows = append(all.Rows, k.Rows...)
		}
		after, values, cut := as.Cut()
		if !cut {
			break
		}
		at.After, at.AfterValues = bytes.Clone(after), bytes.Clone(values)
	}
	if all.PartitionKey.Bytes == nil {
		return ""
	}
	if c.Filter.Reversed {
		slices.Reverse(all.Rows)
	}
	return visibleText(t, KeptPartitions(c.Filter.Reversed, &all), &unlimited)
}

// TestDigests: equal digests mean that one answer shows what both together show,
// and what replicas need not have in common is not in them.
func TestDigests(t *testing.T) {
	table := modelTable(t)
	equal := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 12))
		writes := randomWrites(r, table, 1+r.IntN(12))
		c := randomCommand(r, table)
		if r.IntN(2) == 0 {
			c.Filter.Regulars, c.Filter.Statics = randomMask(r, len(table.Regulars)), randomMask(r, len(table.Statics))
		}
		a := kept(t, table, writes)
		b := kept(t, table, append(slices.Clone(writes), randomWrites(r, table, 1+r.IntN(3))...))
		o := AnswerOptions{GCBefore: 95 + r.Int64N(10)}
		x := answer(t, KeptPartitions(c.Filter.Reversed, a...), c, o)
		y := answer(t, KeptPartitions(c.Filter.Reversed, b...), c, o)
		if x.Digest != y.Digest {
			continue
		}
		equal++
		both := visibleText(t, MergePartitions(murmur.CompareTie, c.Filter.Reversed, answersOf(x, c), answersOf(y, c)), c)
		if one := visibleText(t, answersOf(x, c), c); one != both {
			t.Fatalf("seed %d: equal digests, but alone\n%sand together\n%s", seed, one, both)
		}
	}
	if equal == 0 {
		t.Error("no two digests were equal")
	}
}

// TestDigestsLeaveOut: differences that do not matter.
func TestDigestsLeaveOut(t *testing.T) {
	table := modelTable(t)
	_, start := AppendBound(nil, table, [][]byte{[]byte("a"), int32Bytes(1)}, false)
	_, end := AppendBound(nil, table, [][]byte{[]byte("a"), int32Bytes(1)}, true)
	one := []Slice{{Start: start.Order, End: end.Order, StartValues: start.Values, EndValues: end.Values, StartSize: 2, EndSize: 2}}
	row := "row a,1 live=10 v=7@10 w=x@10 m[1]=x@9\n"
	v := make([]bool, len(table.Regulars))
	v[table.Column("v").Position] = true
	none := make([]bool, len(table.Statics))
	for name, c := range map[string]struct {
		a, b     string
		f        Filter
		gcBefore int64
		differ   bool
	}{
		"a tombstone that may go":           {a: "partition 1 del=5/50\n" + row, b: "partition 1\n" + row, f: Filter{Slices: AllRows()}, gcBefore: 60},
		"one that may not":                  {a: "partition 1 del=5/50\n" + row, b: "partition 1\n" + row, f: Filter{Slices: AllRows()}, gcBefore: 50, differ: true},
		"a row beside the slice":            {a: "partition 1\n" + row + "row b,1 live=5\n", b: "partition 1\n" + row, f: Filter{Slices: one}},
		"where a range begins and ends":     {a: "partition 1\nrange >=a <=a del=5/50", b: "partition 1\nrange >=a,2 <=a,0 del=5/50", f: Filter{Slices: one}},
		"a column that is not asked for":    {a: "partition 1\n" + row, b: "partition 1\nrow a,1 live=10 v=7@10 w=y@9", f: Filter{Slices: AllRows(), Regulars: v}},
		"unless the row lives by it":        {a: "partition 1\nrow a,1 v=7@10 w=x@10", b: "partition 1\nrow a,1 v=7@10", f: Filter{Slices: AllRows(), Regulars: v}, differ: true},
		"what a whole row makes old":        {a: "partition 1 del=2/99\nrange >=a <=a del=3/99\n" + row, b: "partition 1\n" + row, f: Filter{Slices: one, Regulars: v, Statics: none}},
		"but not in more rows than one":     {a: "partition 1 del=2/99\n" + row, b: "partition 1\n" + row, f: Filter{Slices: AllRows(), Regulars: v, Statics: none}, differ: true},
		"and not what the row does not say": {a: "partition 1 del=2/99\nrow a,1 live=10", b: "partition 1\nrow a,1 live=10", f: Filter{Slices: one, Regulars: v, Statics: none}, differ: true},
	} {
		var sums [2][16]byte
		for i, text := range []string{c.a, c.b} {
			ks, err := Parse(table, murmur, text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			cmd := &Command{Table: table, Now: 100, Keys: []Key{ks[0].PartitionKey}, Filter: c.f}
			sums[i] = answer(t, KeptPartitions(false, ks...), cmd, AnswerOptions{GCBefore: c.gcBefore}).Digest
		}
		if (sums[0] != sums[1]) != c.differ {
			t.Errorf("%s: digests differ: %v, want %v", name, !c.differ, c.differ)
		}
	}
}

// TestLacks: what sources lack makes them all answer what they answer together,
// and never adds anything that none of them has.
func TestLacks(t *testing.T) {
	table := modelTable(t)
	for seed := range uint64(2500) {
		r := rand.New(rand.NewPCG(seed, 13))
		c := randomCommand(r, table)
		masked := r.IntN(3) == 0
		if masked {
			c.Filter.Regulars, c.Filter.Statics = randomMask(r, len(table.Regulars)), randomMask(r, len(table.Statics))
		}
		all := randomWrites(r, table, 1+r.IntN(20))
		parts := make([][]write, 2+r.IntN(2))
		for i := range parts {
			for _, w := range all {
				if r.IntN(4) > 0 {
					parts[i] = append(parts[i], w)
				}
			}
		}
		var heard []write // by any
		for _, w := range parts {
			heard = append(heard, w...)
		}
		checkLacks(t, r, fmt.Sprintf("seed %d", seed), c, parts, heard, masked)
	}
}

func checkLacks(t *testing.T, r *rand.Rand, name string, c *Command, parts [][]write, heard []write, masked bool) {
	t.Helper()
	table, reversed := c.Table, c.Filter.Reversed
	var sources []Partitions
	for _, w := range parts {
		a := answer(t, KeptPartitions(reversed, kept(t, table, w)...), c, AnswerOptions{})
		sources = append(sources, answersOf(a, c))
	}
	var lacks Lacks
	lacks.Reset(table, &c.Filter, len(parts))
	ps := Resolve(murmur.CompareTie, reversed, &lacks, sources...)
	early := r.IntN(4) == 0
	if early {
		if p, err := ps.Next(); p != nil {
			for range r.IntN(4) {
				_, err = p.Next()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	} else {
		want := visibleText(t, KeptPartitions(reversed, kept(t, table, heard)...), c)
		if got := visibleText(t, ps, c); got != want {
			t.Fatalf("%s: resolved\n%swant\n%s", name, got, want)
		}
	}
	if err := ps.Close(); err != nil {
		t.Fatal(err)
	}
	together := kept(t, table, heard)
	union := answer(t, KeptPartitions(reversed, together...), c, AnswerOptions{})
	for i, w := range parts {
		mutation, some := lacks.Take(nil, i)
		repaired := kept(t, table, w)
		if some {
			m := ReadMutation(mutation)
			update, _ := m.Next()
			lacked := keepOne(t, decode(t, table, update), false)
			// What has expired comes back as a tombstone, so this looks at answers.
			plain := &Command{Table: table, Now: c.Now, Keys: c.Keys, Filter: Filter{Slices: AllRows()}}
			without := answer(t, KeptPartitions(false, together...), plain, AnswerOptions{})
			with := answer(t, MergePartitions(murmur.CompareTie, false, KeptPartitions(false, together...), KeptPartitions(false, lacked)), plain, AnswerOptions{})
			if with.Digest != without.Digest {
				t.Fatalf("%s: repairing source %d adds\n%sto\n%smaking\n%s", name, i, allText(t, KeptPartitions(false, lacked), table),
					allText(t, answersOf(without, plain), table), allText(t, answersOf(with, plain), table))
			}
			one := MergePartitions(murmur.CompareTie, false, KeptPartitions(false, repaired...), KeptPartitions(false, lacked))
			p, err := one.Next()
			if err != nil {
				t.Fatal(err)
			}
			repaired = []*Kept{keepOne(t, p, false)}
		}
		if early || masked {
			continue
		}
		if got := answer(t, KeptPartitions(reversed, repaired...), c, AnswerOptions{}); got.Digest != union.Digest {
			t.Fatalf("%s: source %d repaired has\n%swant\n%s(%v)", name, i, allText(t, answersOf(got, c), table), allText(t, answersOf(union, c), table), c.Filter)
		}
	}
}

// FuzzReadCommand: whatever the bytes, reading ends with a command or an error,
// and a command is written to bytes that say the same for ever after.
func FuzzReadCommand(f *testing.F) {
	table := modelTable(f)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 14))
		c := randomCommand(r, table)
		c.Limits = Limits{Rows: r.IntN(3), PerPartition: r.IntN(3)}
		if r.IntN(2) == 0 {
			c.Keys, c.Start, c.End = nil, TokenBound(token.FromInt64(5), true), KeyBound(Key{Bytes: []byte("k")}, false)
			c.Filter.Regulars = randomMask(r, len(table.Regulars))
		} else {
			_, at := AppendClustering(nil, table, randomClustering(r))
			c.After, c.AfterValues = at.Order, at.Values
		}
		f.Add(AppendCommand(nil, c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		find := func(id schema.TableID) *schema.Table {
			if id != table.ID {
				return nil
			}
			return table
		}
		var r, s CommandReader
		c, err := r.Read(b, find, murmur)
		if err != nil {
			return
		}
		once := AppendCommand(nil, c)
		again, err := s.Read(once, find, murmur)
		if err != nil {
			t.Fatalf("%x became %x: %v", b, once, err)
		}
		if twice := AppendCommand(nil, again); !bytes.Equal(once, twice) {
			t.Fatalf("%x\nbecame\n%x\nbecame\n%x", b, once, twice)
		}
	})
}

// FuzzReadAnswer: whatever the bytes, reading ends; it never holds more than a
// multiple of them.
func FuzzReadAnswer(f *testing.F) {
	table := modelTable(f)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 15))
		c := randomCommand(r, table)
		ks := kept(f, table, randomWrites(r, table, 10))
		f.Add(answer(f, KeptPartitions(c.Filter.Reversed, ks...), c, AnswerOptions{}).Data, c.Filter.Reversed)
	}
	f.Fuzz(func(t *testing.T, b []byte, reversed bool) {
		k := int32Bytes(1)
		c := &Command{Table: table, Now: 100, Keys: []Key{{Prefix: murmur.Prefix(k), Bytes: k}}, Filter: Filter{Slices: AllRows(), Reversed: reversed}}
		var a Answers
		a.Reset(b, c, murmur)
		lacks := new(Lacks)
		lacks.Reset(table, &c.Filter, 2)
		ps := Resolve(murmur.CompareTie, reversed, lacks, &a, NoPartitions())
		if _, err := PrintAll(nil, table, ps); err != nil {
			return
		}
		if err := ps.Close(); err != nil {
			t.Fatal(err)
		}
		_, _ = lacks.Take(nil, 1)
	})
}
