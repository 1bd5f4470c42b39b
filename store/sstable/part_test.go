package sstable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"helenus/internal/token"
	"helenus/store/row"
)

// coarse is a partitioner whose prefixes tell few keys apart.
type coarse struct {
	token.Murmur3Partitioner
	prefixes uint64
}

func (c coarse) Prefix(key []byte) uint64 { return c.Murmur3Partitioner.Prefix(key) % c.prefixes }

func (coarse) CompareTie(a, b []byte) int { return bytes.Compare(a, b) }

// TestGetFindsEveryKeyAndNoOther: small partitions and large ones, which have an
// index of their own, with few and many keys to a prefix.
func TestGetFindsEveryKeyAndNoOther(t *testing.T) {
	for _, prefixes := range []uint64{1, 3, 50, 600, 1 << 40} {
		w := newWorld(t, "k int | c int | v int, w text")
		w.by, w.index = coarse{prefixes: prefixes}, 256
		r := rand.New(rand.NewPCG(1, prefixes))
		var b strings.Builder
		for k := range 700 {
			fmt.Fprintf(&b, "partition %d\n", 2*k)
			rows := 1
			if r.IntN(5) == 0 {
				rows = 10 // several blocks
			}
			for c := range rows {
				fmt.Fprintf(&b, "row %d v=%d@1 w=%s@1\n", c, k, strings.Repeat("x", 60))
			}
		}
		ks := w.parse(b.String())
		o := w.options(NB)
		o.Keys = 1 // a filter that keeps little back
		if _, err := Write(o, row.KeptPartitions(false, ks...)); err != nil {
			t.Fatal(err)
		}
		tab := w.open(o.Descriptor)
		for round := range 2 { // the second finds all in the cache
			for _, i := range r.Perm(len(ks)) {
				p, err := tab.Get(ks[i].PartitionKey, allRows(), ReadOptions{NonBlocking: round == 1})
				if err != nil || p == nil {
					t.Fatalf("%d prefixes: key %x: %v, %v", prefixes, ks[i].PartitionKey.Bytes, p, err)
				}
				got, err := row.Keep(p)
				if err != nil {
					t.Fatal(err)
				}
				p.Close()
				if a, b := printKept(t, w, got), printKept(t, w, ks[i]); a != b {
					t.Fatal(difference(a, b))
				}
			}
		}
		for k := range 700 {
			key := []byte{0, 0, byte((2*k + 1) >> 8), byte(2*k + 1)}
			if p, err := tab.Get(row.Key{Prefix: w.by.Prefix(key), Bytes: key}, allRows(), ReadOptions{}); err != nil || p != nil {
				t.Fatalf("%d prefixes: key %x, which is not there: %v, %v", prefixes, key, p, err)
			}
		}
	}
}

func printKept(t *testing.T, w *world, k *row.Kept) string {
	return printAll(t, w.table, row.KeptPartitions(false, k))
}

func TestPartFind(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for n := range 300 {
		m := partMaker{}
		var at uint64
		for range n {
			at += r.Uint64N(3)
			m.prefixes, m.places = append(m.prefixes, at), append(m.places, r.Uint64())
		}
		p := make(part, n*partEntrySize)
		m.encode(p)
		for x := range at + 2 {
			want := 0
			for want < n && m.prefixes[want] < x {
				want++
			}
			if got := p.find(x); got != want {
				t.Fatalf("%d of %v: %d, want %d", x, m.prefixes, got, want)
			}
		}
	}
}
