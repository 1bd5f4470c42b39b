package query

import (
	"bytes"
	"math"
	"testing"
)

// FuzzPagingState reads states that clients may have made up. One that is taken
// has only one form.
func FuzzPagingState(f *testing.F) {
	for _, s := range []pagingState{
		{key: []byte("k"), after: []byte{1, 2, 3}, remaining: math.MaxInt32, inPartition: 7},
		{key: []byte("k"), remaining: 1, partitionDone: true},
	} {
		f.Add(s.encode())
	}
	f.Add([]byte{})
	f.Add([]byte{pagingVersion, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again pagingState
		if s.decode(b) != nil {
			return
		}
		if len(s.key) == 0 || s.remaining <= 0 || s.inPartition < 0 {
			t.Fatalf("%x was read as %+v", b, s)
		}
		if err := again.decode(s.encode()); err != nil || !bytes.Equal(again.key, s.key) || !bytes.Equal(again.after, s.after) ||
			again.remaining != s.remaining || again.inPartition != s.inPartition || again.partitionDone != s.partitionDone {
			t.Fatalf("%+v came back as %+v, %v", s, again, err)
		}
	})
}
