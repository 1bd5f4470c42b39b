package row

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

// FuzzDecodeUpdate: whatever the bytes, decoding ends with an update or an
// error, holds no more than a multiple of them, and what is decoded is encoded
// to bytes that mean the same for ever after.
func FuzzDecodeUpdate(f *testing.F) {
	table := modelTable(f)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		writes := make([]write, 1+r.IntN(20))
		for i := range writes {
			writes[i] = randomWrite(r, table)
		}
		f.Add(build(f, table, writes), false)
	}
	wide, err := ParseTable("k blob | a varint, b decimal desc, c date, d inet, e timeuuid, f frozen<map<text,varint>>, g double, h smallint desc | v duration, m map<decimal,int>, s set<varint>, l list<int>")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeText(f, wide, `partition 0x01
row 0x01,0x0000000105,0x80000000,0x7f000001,5cb04fa0-0000-11ee-8080-808080808080,0x00000000,0x3ff0000000000000,-1 m[0x0000000105]=1@1 s[0x05]=0x@2
range >=0x01 <0x02,"" del=5/100`), true)
	f.Fuzz(func(t *testing.T, b []byte, other bool) {
		table := table
		if other {
			table = wide
		}
		var u Update
		if err := u.Reset(b, table, token.Murmur3Partitioner{}); err != nil {
			return
		}
		if err := u.Check(); err != nil {
			return
		}
		if n := cap(u.scratch.row.Cells); n > len(b)+16 {
			t.Fatalf("room for %d cells of %d bytes", n, len(b))
		}
		checkAppendRow(t, table, &u)
		once, err := AppendUpdate(nil, table, &u)
		if err != nil {
			t.Fatal(err)
		}
		var v Update
		if err := v.Reset(once, table, token.Murmur3Partitioner{}); err != nil {
			t.Fatal(err)
		}
		twice, err := AppendUpdate(nil, table, &v)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x\nbecame\n%x\nbecame\n%x: %v", b, once, twice, err)
		}
		u.Rewind()
		v.Rewind()
		if a, b := text(t, table, &u), text(t, table, &v); a != b {
			t.Fatalf("said\n%s\nnow says\n%s", a, b)
		}
	})
}

// checkAppendRow: the rows of an update, copied into the forms of memory, say
// what they said.
func checkAppendRow(t *testing.T, table *schema.Table, u *Update) {
	t.Helper()
	timestamp, local := u.Bases()
	for _, form := range []Form{Raw, Ordered} {
		e := Encoding{Table: table, Timestamp: timestamp, LocalTime: local, Form: form}
		u.Rewind()
		for {
			un, err := u.Next()
			if err != nil {
				t.Fatal(err)
			}
			if un == nil {
				break
			}
			if un.Row == nil {
				continue
			}
			copied := u.AppendRow([]byte("before"), form)
			var s Scratch
			got, rest, err := e.Read(copied[len("before"):], &s)
			if err != nil || len(rest) > 0 {
				t.Fatalf("form %d of %x: %v, %d bytes more", form, copied, err, len(rest))
			}
			// What an update says in more bytes than it needs, memory may keep so.
			if a, b := e.AppendRow(nil, got.Row), e.AppendRow(nil, un.Row); !bytes.Equal(a, b) {
				t.Fatalf("form %d: copied\n%+v\nmade\n%+v", form, got.Row, un.Row)
			}
		}
	}
	u.Rewind()
}

// FuzzReadMutation: frames never reach beyond the bytes.
func FuzzReadMutation(f *testing.F) {
	f.Add(AppendMutation(nil, []byte("one"), nil, []byte("three")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := ReadMutation(b)
		var all [][]byte
		for u, ok := m.Next(); ok; u, ok = m.Next() {
			if all = append(all, u); len(all) > len(b) {
				t.Fatal("more updates than bytes")
			}
		}
		if m.Err() == nil && !bytes.HasSuffix(b, bytes.Join(all[len(all)-1:], nil)) {
			t.Fatal("the last update is not the last bytes")
		}
	})
}

// TestFlippedBits: an update with a bit flipped is an error or another update,
// never a panic. (The log's and the wire's checksums find the latter.)
func TestFlippedBits(t *testing.T) {
	table := modelTable(t)
	r := rand.New(rand.NewPCG(1, 4))
	writes := make([]write, 40)
	for i := range writes {
		writes[i] = randomWrite(r, table)
	}
	update := build(t, table, writes)
	var u Update
	bad := 0
	for bit := range 8 * len(update) {
		b := bytes.Clone(update)
		b[bit/8] ^= 1 << (bit % 8)
		if err := u.Reset(b, table, token.Murmur3Partitioner{}); err != nil || u.Check() != nil {
			bad++
		}
	}
	for n := range len(update) {
		if err := u.Reset(update[:n], table, token.Murmur3Partitioner{}); err == nil {
			_ = u.Check() // may end where a row ends
		}
	}
	if bad == 0 {
		t.Error("every bit may flip unseen")
	}
}
