package row

import (
	"testing"

	"helenus/internal/token"
)

// TestBounds: keys against ends of ranges, in all three partitioners.
func TestBounds(t *testing.T) {
	for _, p := range []token.Partitioner{token.Murmur3Partitioner{}, token.RandomPartitioner{}, token.ByteOrderedPartitioner{}} {
		keys := []Key{}
		for _, s := range []string{"one long key, a", "one long key, b", "two"} {
			keys = append(keys, Key{Prefix: p.Prefix([]byte(s)), Bytes: []byte(s)})
		}
		for _, k := range keys {
			for _, at := range keys {
				d := CompareKeys(k, at, p.CompareTie)
				for _, inclusive := range []bool{false, true} {
					for name, b := range map[string]Bound{
						"key": KeyBound(at, inclusive), "token": TokenBound(p.Token(at.Bytes), inclusive),
					} {
						if got, want := b.AfterStart(k, p), d > 0 || (d == 0 && inclusive); got != want {
							t.Errorf("%s: %s after the start at the %s of %s: %v", p.Name(), k.Bytes, name, at.Bytes, got)
						}
						if got, want := b.BeforeEnd(k, p), d < 0 || (d == 0 && inclusive); got != want {
							t.Errorf("%s: %s before the end at the %s of %s: %v", p.Name(), k.Bytes, name, at.Bytes, got)
						}
					}
				}
			}
			open := Bound{Open: true}
			if !open.AfterStart(k, p) || !open.BeforeEnd(k, p) {
				t.Errorf("%s: an open bound shuts %s out", p.Name(), k.Bytes)
			}
		}
	}
}
