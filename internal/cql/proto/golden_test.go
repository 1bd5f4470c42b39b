package proto

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCassandra reads what a real Cassandra answered and writes it again: the
// bytes must be the same.
func TestCassandra(t *testing.T) {
	text, err := os.ReadFile("testdata/cassandra.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		data, what, _ := strings.Cut(line, "#")
		var h Header
		var hexBody string
		if _, err := fmt.Sscan(data, &h.Version, &h.Flags, &h.Op, &hexBody); err != nil {
			continue // the head of the file
		}
		n++
		h.Response = true
		want := unhex(t, hexBody)
		var p Response
		if err := p.Decode(Envelope{Header: h, Body: want}); err != nil {
			t.Errorf("%s %s: %v", h.Version, what, err)
			continue
		}
		w := NewWriter()
		begin := h
		begin.Flags = 0
		w.End(rebuild(t, w.Begin(begin), &p), &p.Extras)
		got := w.Take(nil)
		if back := parseHeader(got); back.Flags != h.Flags || !bytes.Equal(got[HeaderSize:], want) {
			t.Errorf("%s%s (flags %x):\nwant %x\ngot  %x", h.Version, what, back.Flags, want, got[HeaderSize:])
		}
	}
	if n < 30 {
		t.Errorf("only %d answers", n)
	}
}

// rebuild appends the body of a decoded ERROR or RESULT.
func rebuild(t *testing.T, dst []byte, p *Response) []byte {
	t.Helper()
	if p.Op == OpError {
		return AppendError(dst, p.Version, p.Err)
	}
	switch p.Kind {
	case ResultVoid:
		return AppendVoid(dst)
	case ResultSetKeyspace:
		return AppendSetKeyspace(dst, p.Keyspace)
	case ResultSchemaChange:
		return AppendSchemaChange(dst, p.Version, &p.Change)
	case ResultPrepared:
		r := &p.Prepared
		again := Prepared{ID: r.ID, ResultID: r.ResultID, Params: EncodeColumns(p.Version, r.Params), KeyIndexes: r.KeyIndexes}
		if r.Result != nil {
			again.Result = EncodeColumns(p.Version, r.Result)
		}
		return AppendPrepared(dst, p.Version, &again)
	}
	var w RowsWriter
	w.Begin(dst, RowsHead{Columns: EncodeColumns(p.Version, p.Rows.Columns), NewID: p.Rows.NewID})
	cells := make([][]byte, p.Rows.Width)
	for p.Rows.NextRow(cells) {
		for _, c := range cells {
			w.Cell(c)
		}
		w.EndRow()
	}
	if p.Rows.Err() != nil {
		t.Error(p.Rows.Err())
	}
	return w.End(p.Rows.PagingState)
}
