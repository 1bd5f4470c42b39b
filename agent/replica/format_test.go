package replica

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/agent/config"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// mutationOf encodes a small mutation.
func mutationOf(t testing.TB, text string) []byte {
	t.Helper()
	table, err := row.ParseTable("k int | c int | v text")
	if err != nil {
		t.Fatal(err)
	}
	var b row.Builder
	b.Reset()
	if err := row.ParseInto(&b, table, text); err != nil {
		t.Fatal(err)
	}
	return b.Finish(nil)
}

func messages(t testing.TB) []wire.Message {
	m := mutationOf(t, "partition 1\nrow 1 live=5 v=a@5")
	return []wire.Message{
		&Mutation{Epoch: 300, Bytes: m},
		&Mutation{Epoch: 1, AckTo: helenus.HostID{1, 15: 2}, ID: 3, Bytes: m},
		&Mutation{Epoch: 1, AckTo: helenus.HostID{1, 15: 2}, ID: 3, Forward: []helenus.HostID{{4}, {5}}, Bytes: m},
		&Ack{ID: 7},
		&Ack{ID: 7, Failed: true, Reason: ReasonSchema},
		&Truncation{Epoch: 9, Table: schema.TableID{1, 15: 9}},
		&Truncation{Epoch: 9, Table: schema.TableID{1, 15: 9}, Hints: true},
	}
}

// TestGolden keeps the bytes of version 1.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/v1.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for _, m := range messages(t) {
			if strings.EqualFold(fmt.Sprintf("*replica.%s", d.Cmd), fmt.Sprintf("%T", m)) {
				out.WriteString(hex.Dump(m.AppendTo(nil)))
			}
		}
		return out.String()
	})
}

// FuzzMessages: what is read is what was written, and nothing panics.
func FuzzMessages(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(m.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []wire.Message{new(Mutation), new(Ack), new(Truncation)} {
			if m.Decode(b) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(wire.Message)
			enc := m.AppendTo(nil)
			if err := again.Decode(enc); err != nil || !bytes.Equal(again.AppendTo(nil), enc) {
				t.Errorf("%T of % x: % x, %v", m, b, enc, err)
			}
		}
	})
}

// TestDecodeRefuses what no node writes.
func TestDecodeRefuses(t *testing.T) {
	good := mutationOf(t, "partition 1\nrow 1 live=5 v=a@5")
	for name, b := range map[string][]byte{
		"nothing": {}, "an epoch": {1}, "no mutation": {1, 0}, "unknown flags": append([]byte{1, 4}, good...),
		"forwarded without coordinator": append([]byte{1, 2, 1}, append(make([]byte, 16), good...)...),
		"acknowledged to nobody":        append([]byte{1, 1}, append(make([]byte, 24), good...)...),
		"too few replicas":              append([]byte{1, 3}, append(bytes.Repeat([]byte{1}, 24), 200, 1, 2, 3)...),
		"a cut mutation":                append([]byte{1, 0}, good[:len(good)-1]...),
	} {
		if err := new(Mutation).Decode(b); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestReasonOf(t *testing.T) {
	for want, err := range map[uint16]error{
		ReasonTombstones: &row.TombstonesError{},
		ReasonTimeout:    &wire.Error{Kind: wire.Timeout},
		ReasonNodeDown:   &wire.Error{Kind: wire.Unreachable},
		ReasonSchema:     helenus.Invalid("no such table"),
		ReasonReadSize:   &wire.Error{Kind: wire.Failed, Code: Failed(ReasonReadSize, "").Code},
		ReasonUnknown:    &wire.Error{Kind: wire.Overloaded, Code: helenus.CodeOverloaded},
	} {
		if got := ReasonOf(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: reason %d, want %d", err, got, want)
		}
	}
}

// TestLargestMutation: what query lets through fits into a frame, with the
// longest list of those that it is passed on to.
func TestLargestMutation(t *testing.T) {
	const frameBytesMax = 32 << 20 // of wire.Options
	m := Mutation{Epoch: 1<<63 - 1, AckTo: helenus.HostID{1}, ID: 1<<64 - 1, Forward: make([]helenus.HostID, 255), Bytes: make([]byte, config.MutationBytesLimit)}
	if n := len(m.AppendTo(nil)); n > frameBytesMax {
		t.Errorf("%d bytes", n)
	}
}
