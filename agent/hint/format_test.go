package hint

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

func smallMutation(t testing.TB) []byte {
	t.Helper()
	table, err := row.ParseTable("k int | | v text")
	if err != nil {
		t.Fatal(err)
	}
	var b row.Builder
	b.Reset()
	if err := row.ParseInto(&b, table, "partition 1\nrow live=5 v=a@5"); err != nil {
		t.Fatal(err)
	}
	return b.Finish(nil)
}

func goldenNotes() *Hints {
	h := &Hints{truncated: map[schema.TableID]int64{{7}: 70}}
	h.queues = []*queue{
		{host: helenus.HostID{1}, downSince: 5, segments: []*segment{{number: 3}, {number: 4}}, number: 4, offset: 99},
		{host: helenus.HostID{2}, number: 8, offset: segmentHeader, missed: map[schema.TableID]int64{{9}: 6, {}: 4}},
	}
	return h
}

// TestGolden keeps the bytes of version 1.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/v1.txt", func(t *testing.T, d *datadriven.TestData) string {
		m := smallMutation(t)
		switch d.Cmd {
		case "segment":
			return segmentName(helenus.HostID{1, 15: 2}, 255) + "\n" + hex.Dump(appendRecord(appendHeader(nil, helenus.HostID{1, 15: 2}), record{created: 1000, grace: 864000, mutation: m}))
		case "notes":
			return hex.Dump(goldenNotes().appendNotesLocked(nil))
		case "batch":
			return hex.Dump((&batch{Epoch: 300, Need: 7, Want: 1 << 18, Hints: [][]byte{m, m}}).AppendTo(nil))
		case "grant":
			return hex.Dump((&grant{Bytes: 1 << 18}).AppendTo(nil))
		}
		return "unknown command"
	})
}

// TestEveryFlippedBit: a bit turned over in a segment or in the notes is found.
func TestEveryFlippedBit(t *testing.T) {
	host := helenus.HostID{1, 15: 2}
	good := appendRecord(appendHeader(nil, host), record{created: 1000, grace: 864000, mutation: smallMutation(t)})
	for bit := range len(good) * 8 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		err := checkHeader(b, host)
		if err == nil {
			_, _, _, err = parseRecord(b[segmentHeader:])
		}
		if err == nil || errors.Is(err, errShort) {
			t.Errorf("bit %d of a segment: %v", bit, err)
		}
	}
	notes := goldenNotes().appendNotesLocked(nil)
	for bit := range len(notes) * 8 {
		b := bytes.Clone(notes)
		b[bit/8] ^= 1 << (bit % 8)
		if new(Hints).parseNotesLocked(b) == nil {
			t.Errorf("bit %d of the notes", bit)
		}
	}
}

// FuzzSegment: what is read is what was written, and nothing panics.
func FuzzSegment(f *testing.F) {
	f.Add(appendRecord(nil, record{created: 1000, grace: 864000, mutation: smallMutation(f)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = checkHeader(b, helenus.HostID{})
		r, size, need, err := parseRecord(b)
		if err == nil && !bytes.Equal(appendRecord(nil, r), b[:size]) || errors.Is(err, errShort) && need <= len(b) {
			t.Errorf("% x: %+v, %d, %d, %v", b, r, size, need, err)
		}
	})
}

// FuzzNotes likewise.
func FuzzNotes(f *testing.F) {
	f.Add(goldenNotes().appendNotesLocked(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4 { // chance does not find the sum
			b = append(bytes.Clone(b[:len(b)-4]), 0, 0, 0, 0)
			sum := crc(b[:len(b)-4])
			b[len(b)-4], b[len(b)-3], b[len(b)-2], b[len(b)-1] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		h := new(Hints)
		if h.parseNotesLocked(b) != nil {
			return
		}
		again := new(Hints)
		if err := again.parseNotesLocked(h.appendNotesLocked(nil)); err != nil || len(again.queues) != len(h.queues) || len(again.truncated) != len(h.truncated) {
			t.Errorf("% x: %v", b, err)
		}
	})
}

// FuzzMessages likewise.
func FuzzMessages(f *testing.F) {
	f.Add((&batch{Epoch: 300, Need: 7, Want: 8, Hints: [][]byte{smallMutation(f)}}).AppendTo(nil))
	f.Add((&grant{Bytes: 5}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again batch
		if m.Decode(b) == nil {
			if err := again.Decode(m.AppendTo(nil)); err != nil || !reflect.DeepEqual(m.size(), again.size()) {
				t.Errorf("% x: %v", b, err)
			}
		}
		_ = new(grant).Decode(b)
	})
}

// TestSegmentName: only our own names are read.
func TestSegmentName(t *testing.T) {
	host := helenus.HostID{1, 2, 3, 15: 4}
	name := segmentName(host, 77)
	if h, n, ok := parseSegmentName(name); !ok || h != host || n != 77 {
		t.Errorf("%s: %v %d %v", name, h, n, ok)
	}
	for _, bad := range []string{"notes", "notes.tmp", name + "x", strings.ToUpper(name), "x" + name, name[1:], ".hints", "-0000000000000001.hints"} {
		if _, _, ok := parseSegmentName(bad); ok {
			t.Errorf("%s is read", bad)
		}
	}
}

// TestCredits: never is more given than there is, but for one hint that is
// larger than all of it; and everything comes back.
func TestCredits(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	c := credits{limit: 1000}
	now := time.Unix(0, 0)
	for range 20000 {
		now = now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
		to := helenus.HostID{byte(rng.IntN(5))}
		if rng.IntN(2) == 0 {
			c.take(to, now)
		} else {
			need, want := rng.IntN(300), rng.IntN(1500)
			if rng.IntN(50) == 0 {
				need = 2000
			}
			alone := len(c.given) == 0
			got := c.give(to, need, max(need, want), now)
			if got != 0 && got < need || got > max(need, want) || got > c.limit && (!alone && len(c.given) > 1) {
				t.Fatalf("%d of %d to %d given", got, need, want)
			}
		}
		sum := 0
		for _, g := range c.given {
			sum += g.bytes
		}
		if sum != c.used || c.used > c.limit && len(c.given) > 1 {
			t.Fatalf("%d used of %d, given %+v", c.used, c.limit, c.given)
		}
	}
	c.take(helenus.HostID{9}, now.Add(time.Hour))
	if c.used != 0 || len(c.given) != 0 {
		t.Errorf("left: %+v", c)
	}
}
