package query

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"helenus"
)

// An answer that is asked for in one piece has an end; the same rows come in
// pages, and a LIMIT that fits is answered.
func TestUnpagedAnswersAreBounded(t *testing.T) {
	to := session(t)
	to.engine.opts.Limits.UnpagedBytesMax = 1000
	mustRun(t, to, "CREATE TABLE p (k int, c int, v text, PRIMARY KEY (k, c))")
	for i := range 20 {
		mustRun(t, to, fmt.Sprintf("INSERT INTO p (k, c, v) VALUES (%d, %d, '%s')", i%2, i, strings.Repeat("x", 100)))
	}
	for _, tt := range []struct {
		text     string
		pageSize int
		rows     int // -1: refused
	}{
		{"SELECT v FROM p", 0, -1},
		{"SELECT v FROM p", 100, 20},
		{"SELECT v FROM p LIMIT 9", 0, 9},
		{"SELECT v FROM p LIMIT 10", 0, -1},
		{"SELECT count(v) FROM p", 0, 1},
		{"SELECT v FROM p WHERE k IN (0, 1) ORDER BY c", 0, -1},
		{"SELECT c FROM p WHERE k IN (0, 1) ORDER BY c", 0, 20},
	} {
		r := &Request{Session: &to.session, Verb: VerbQuery, Text: tt.text, Params: Params{Consistency: helenus.One, PageSize: tt.pageSize}}
		out, res := to.execute(r)
		if tt.rows >= 0 && (res.Err != nil || len(out.rows) != tt.rows) {
			t.Errorf("%s in pages of %d: %d rows, error %v", tt.text, tt.pageSize, len(out.rows), res.Err)
		}
		if tt.rows < 0 && (res.Err == nil || res.Err.Code != helenus.CodeInvalid || !strings.Contains(res.Err.Message, "set a page size")) {
			t.Errorf("%s in pages of %d: %d rows, error %v", tt.text, tt.pageSize, len(out.rows), res.Err)
		}
	}
}

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
