package row

import (
	"math/rand/v2"
	"slices"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

// build makes an encoded update of writes to the model's partition.
func build(t testing.TB, table *schema.Table, writes []write) []byte {
	t.Helper()
	var b Builder
	b.Reset()
	b.Begin(table, int32Bytes(1))
	for i := range writes {
		var next *write
		if i+1 < len(writes) {
			next = &writes[i+1]
		}
		writes[i].sayTo(&b, next)
	}
	m := ReadMutation(b.Finish(nil))
	update, ok := m.Next()
	if !ok {
		t.Fatal(m.Err())
	}
	return update
}

func decode(t testing.TB, table *schema.Table, update []byte) *Update {
	t.Helper()
	u := new(Update)
	if err := u.Reset(update, table, token.Murmur3Partitioner{}); err != nil {
		t.Fatal(err)
	}
	return u
}

func text(t testing.TB, table *schema.Table, p Partition) string {
	t.Helper()
	b, err := Print(nil, table, p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keepOne(t testing.TB, p Partition, reversed bool) *Kept {
	t.Helper()
	f := Keep
	if reversed {
		f = KeepReversed
	}
	k, err := f(p)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestMergeLaw: however writes are spread over sources, and however those are
// merged, the result is the model's.
func TestMergeLaw(t *testing.T) {
	table := modelTable(t)
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 1))
		writes := make([]write, 1+r.IntN(30))
		for i := range writes {
			writes[i] = randomWrite(r, table)
		}
		want := text(t, table, model(table, writes).Partition(false))

		sources := make([][]write, 1+r.IntN(5))
		for _, i := range r.Perm(len(writes)) {
			s := r.IntN(len(sources))
			sources[s] = append(sources[s], writes[i])
		}
		for _, reversed := range []bool{false, true} {
			var ps []Partition
			for _, s := range sources {
				k := keepOne(t, decode(t, table, build(t, table, s)), false)
				ps = append(ps, k.Partition(reversed))
			}
			flat := keepOne(t, Merge(reversed, ps...), reversed)
			if got := text(t, table, flat.Partition(false)); got != want {
				t.Fatalf("seed %d, reversed %v, %d sources:\n%s\nwant\n%s", seed, reversed, len(sources), got, want)
			}
			again := keepOne(t, Normalize(reversed, flat.Partition(reversed)), reversed)
			if got := text(t, table, again.Partition(false)); got != want {
				t.Fatalf("seed %d, reversed %v, normalized:\n%s\nwant\n%s", seed, reversed, got, want)
			}
		}
		checkTree(t, r, table, sources, want)
	}
}

// checkTree merges two by two in any order.
func checkTree(t *testing.T, r *rand.Rand, table *schema.Table, sources [][]write, want string) {
	t.Helper()
	var ks []*Kept
	for _, s := range sources {
		ks = append(ks, keepOne(t, decode(t, table, build(t, table, s)), false))
	}
	for len(ks) > 1 {
		i := r.IntN(len(ks) - 1)
		reversed := r.IntN(2) == 0
		ks[i] = keepOne(t, Merge(reversed, ks[i].Partition(reversed), ks[i+1].Partition(reversed)), reversed)
		ks = append(ks[:i+1], ks[i+2:]...)
	}
	if got := text(t, table, ks[0].Partition(false)); got != want {
		t.Fatalf("as a tree:\n%s\nwant\n%s", got, want)
	}
}

// TestNormalize: what a new deletion of the partition covers goes.
func TestNormalize(t *testing.T) {
	table := modelTable(t)
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		writes := make([]write, 1+r.IntN(20))
		for i := range writes {
			writes[i] = randomWrite(r, table)
		}
		k := model(table, writes)
		d := Deletion{Timestamp: r.Int64N(6), LocalTime: 103}
		want := text(t, table, model(table, slices.Concat(writes, []write{{deletion: &d}})).Partition(false))
		k.Deleted = later(k.Deleted, d)
		if got := text(t, table, Normalize(false, k.Partition(false))); got != want {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// TestNormalizeRow: so does what a row's own deletions cover, and a row of which
// nothing is left.
func TestNormalizeRow(t *testing.T) {
	table := modelTable(t)
	k := keepOne(t, decode(t, table, encodeText(t, table, "partition 1\nrow a,2 live=5 v=1@5\nrow a,1 v=1@5 w=x@6 m[1]=x@5 m[2]=y@7")), false)
	k.Rows[0].Row.Deletion = Deletion{5, 100}
	k.Rows[1].Row.Deletion = Deletion{5, 100}
	k.Rows[1].Row.Complex = []ComplexDeletion{{2, Deletion{6, 100}}}
	want := "partition 1\nrow a,2 del=5/100\nrow a,1 del=5/100 w=x@6 m[]=~@6/100 m[2]=y@7\n"
	if got := text(t, table, Normalize(false, k.Partition(false))); got != want {
		t.Fatalf("got\n%s", got)
	}
}
