package proto

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"helenus"
)

func TestSegmentVectors(t *testing.T) {
	for _, c := range []struct {
		f           Framing
		size, plain int
		self        bool
		want        string
	}{
		{FramingPlain, 5, 0, true, "05000219999a"},
		{FramingLZ4, 5, 0, true, "0500000004e4ab8e"},
	} {
		b := make([]byte, c.f.headerSize())
		putSegmentHeader(b, c.f, c.size, c.plain, c.self)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("header %s, want %s", got, c.want)
		}
		if h, err := parseSegmentHeader(b, c.f); err != nil || h != (segmentHeader{c.size, c.plain, c.self}) {
			t.Errorf("%+v %v", h, err)
		}
	}
	if crc := payloadCRC([]byte("hello")); crc != 0xb60e8074 {
		t.Errorf("CRC32 of hello is %x", crc)
	}
}

func TestVersions(t *testing.T) {
	const list = "; supported versions are (4/v4, 5/v5)"
	for _, c := range []struct {
		first string
		want  string
		on    int16
	}{
		{"42000007", "Invalid or unsupported protocol version (66)" + list, 7},
		{"03000102", "Invalid or unsupported protocol version (3)" + list, 0x102},
		{"0600ffff", "Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset", -1},
		{"06100001", "Invalid or unsupported protocol version (6)" + list, 1},
		{"0100050500000000", "Invalid or unsupported protocol version (1)" + list, 5},
		{"84000001", "Wrong protocol direction (expected REQUEST, got RESPONSE) for opcode 5 (OPTIONS)", 1},
		{"05000001 05 ffffffff", "Invalid value for envelope header body length field: -1", 1},
	} {
		var d Decoder
		b := unhex(t, c.first)
		if len(b) == 4 && c.first[0] == '8' {
			b = append(b, 5, 0, 0, 0, 0)
		}
		d.Fill(copy(d.Buffer(), b))
		_, ok, err := d.Next()
		if ok || err == nil || !err.Fatal || err.Err.Message != c.want || err.Stream != c.on {
			t.Errorf("%s: %v %+v", c.first, ok, err)
			continue
		}
		if mismatch := strings.Contains(c.want, "version"); mismatch != err.VersionMismatch {
			t.Errorf("%s: mismatch is %v", c.first, err.VersionMismatch)
		}
		if _, ok, again := d.Next(); ok || again == nil {
			t.Errorf("%s: after a fatal error the decoder went on", c.first)
		}
	}
	d := Decoder{version: V5}
	d.Fill(copy(d.Buffer(), unhex(t, "04000001 05 00000000")))
	if _, _, err := d.Next(); err == nil || err.VersionMismatch || !strings.HasPrefix(err.Err.Message, "Invalid message version. Got 4/v4 but") {
		t.Error(err)
	}
}

// message is what goes through a connection in tests.
type message struct {
	stream int16
	body   string
}

func (m message) header(v Version) Header {
	return Header{Version: v, Response: true, Stream: m.stream, Op: OpResult}
}

// pour reads bytes into a decoder in pieces and takes out what there is.
func pour(d *Decoder, b []byte, piece func() int) ([]message, *ProtocolError) {
	var got []message
	var first *ProtocolError
	for {
		for {
			e, ok, err := d.Next()
			if err != nil && err.Fatal {
				return got, err
			}
			if err != nil {
				first = err
				continue
			}
			if !ok {
				break
			}
			got = append(got, message{e.Stream, string(e.Body)})
		}
		if len(b) == 0 {
			return got, first
		}
		room := d.Buffer()
		n := copy(room[:min(len(room), piece())], b)
		d.Fill(n)
		b = b[n:]
	}
}

type mode struct {
	v Version
	f Framing
	c Compression
}

func modes() []mode {
	return []mode{{V4, FramingNone, CompressNone}, {V4, FramingNone, CompressLZ4}, {V4, FramingNone, CompressSnappy},
		{V5, FramingNone, CompressNone}, {V5, FramingPlain, CompressNone}, {V5, FramingLZ4, CompressLZ4}}
}

func (m mode) pair(v Version) (*Writer, *Decoder) {
	w, d := NewWriter(), &Decoder{Responses: true, version: v}
	w.SetFraming(m.f)
	w.SetCompression(m.c)
	d.SetFraming(m.f)
	d.SetCompression(m.c)
	return w, d
}

// body makes text of which about half compresses.
func body(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		if b[i] = 'a'; i%97 < 40 {
			b[i] = byte(r.Uint32())
		}
	}
	return string(b)
}

// TestConnection sends messages of all sizes around the segment's limit, in
// writes and reads of random size, and expects the same messages.
func TestConnection(t *testing.T) {
	sizes := []int{0, 1, 100, 511, 512, 5000, segmentMax - HeaderSize - 1, segmentMax - HeaderSize, segmentMax - HeaderSize + 1,
		60000, 60000, 60000, 3*segmentMax - HeaderSize, 500000, 7}
	for _, m := range modes() {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 1))
			w, d := m.pair(m.v)
			var want []message
			var wire, room []byte
			for i := range 40 {
				size := sizes[r.IntN(len(sizes))]
				if i < len(sizes) {
					size = sizes[i]
				}
				msg := message{int16(i), body(r, size)}
				want = append(want, msg)
				w.Append(msg.header(m.v), []byte(msg.body))
				if r.IntN(4) == 0 {
					w.Begin(msg.header(m.v))
					w.Abort()
				}
				if r.IntN(3) == 0 {
					out := w.Take(room)
					wire = append(wire, out...)
					room = out
				}
			}
			wire = append(wire, w.Take(nil)...)
			got, err := pour(d, wire, func() int { return 1 + r.IntN(1<<(1+r.IntN(18))) })
			if err != nil || fmt.Sprint(len(got)) != fmt.Sprint(len(want)) {
				t.Fatalf("%+v: %d messages, %v", m, len(got), err)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%+v: message %d (%d bytes) differs", m, i, len(want[i].body))
				}
			}
			if d.Buffer(); d.HeldBytes() > 4<<20 {
				t.Errorf("%+v: %d bytes held", m, d.HeldBytes())
			}
		}
	}
}

// TestPacking: small envelopes share a segment.
func TestPacking(t *testing.T) {
	w := NewWriter()
	w.SetFraming(FramingPlain)
	for i := range 100 {
		w.Append(message{stream: int16(i)}.header(V5), make([]byte, 91))
	}
	if n := len(w.Take(nil)); n != 100*100+segmentPlainHeader+segmentTrailer {
		t.Errorf("100 envelopes of 100 bytes took %d", n)
	}
	if n := len(w.Take(nil)); n != 0 {
		t.Errorf("nothing took %d bytes", n)
	}
}

// TestPause: the owner stops in the middle of a segment, reads more, goes on.
func TestPause(t *testing.T) {
	for _, m := range modes()[4:] {
		w, d := m.pair(V5)
		var wire []byte
		for i := range 200 {
			w.Append(message{stream: int16(i)}.header(V5), []byte(body(rand.New(rand.NewPCG(1, uint64(i))), i)))
			if i%50 == 49 {
				wire = append(wire, w.Take(nil)...)
			}
		}
		next := int16(0)
		for next < 200 {
			n := copy(d.Buffer(), wire)
			d.Fill(n)
			wire = wire[n:]
			for range 3 {
				e, ok, err := d.Next()
				if err != nil || ok && (e.Stream != next || int(e.Length) != int(next)) {
					t.Fatalf("%+v: at %d: %+v %v", m, next, e.Header, err)
				}
				if ok {
					next++
				}
			}
		}
	}
}

// TestTooLarge: an envelope over the limit is skipped, the next one is read.
func TestTooLarge(t *testing.T) {
	for _, m := range modes() {
		w, d := m.pair(m.v)
		d.FrameSizeMax = 200000
		r := rand.New(rand.NewPCG(1, 1))
		w.Append(message{stream: 1}.header(m.v), []byte("before"))
		w.Append(message{stream: 2}.header(m.v), []byte(body(r, 200001)))
		w.Append(message{stream: 3}.header(m.v), []byte("after"))
		got, err := pour(d, w.Take(nil), func() int { return 1000 })
		if len(got) != 2 || got[1].body != "after" || err == nil || err.Stream != 2 || err.Err.Code != helenus.CodeInvalid ||
			!strings.HasPrefix(err.Err.Message, "Request is too big: length 200001 exceeds") {
			t.Errorf("%+v: %d messages, %+v", m, len(got), err)
		}
	}
	// A length without its bytes takes no memory.
	var d Decoder
	d.Fill(copy(d.Buffer(), unhex(t, "05000001 07 00f00000 00")))
	if _, ok, err := d.Next(); ok || err != nil || d.HeldBytes() > 1<<16 {
		t.Errorf("%v %v, %d bytes held", ok, err, d.HeldBytes())
	}
}

// TestBitFlips: with segments no flipped bit gives a wrong message.
func TestBitFlips(t *testing.T) {
	for _, m := range modes()[4:] {
		w, _ := m.pair(V5)
		w.Append(message{stream: 1}.header(V5), []byte(strings.Repeat("first ", 20)))
		w.Append(message{stream: 2}.header(V5), []byte("second"))
		wire := w.Take(nil)
		for bit := range 8 * len(wire) {
			bad := bytes.Clone(wire)
			bad[bit/8] ^= 1 << (bit % 8)
			_, d := m.pair(V5)
			if got, err := pour(d, bad, func() int { return 64 }); len(got) != 0 || err == nil {
				t.Fatalf("%+v: bit %d flipped: %v %v", m, bit, got, err)
			}
		}
	}
}

// segmentOf makes one plain segment by hand.
func segmentOf(selfContained bool, payload []byte) []byte {
	b := append(make([]byte, 0, segmentPlainHeader+len(payload)), bytes.Repeat([]byte{0}, segmentPlainHeader)...)
	putSegmentHeader(b, FramingPlain, len(payload), 0, selfContained)
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, payloadCRC(payload))
}

// TestSegmentsThatLie: right checksums, wrong contents.
func TestSegmentsThatLie(t *testing.T) {
	envelope := func(length, size int) []byte {
		return append(AppendHeader(nil, Header{Version: V5, Response: true, Stream: 9, Op: OpResult, Length: int32(length)}), make([]byte, size)...)
	}
	good := segmentOf(true, envelope(1, 1))
	for _, c := range []struct {
		name     string
		segments [][]byte
		want     string // of a fatal error; empty: good is read after them
	}{
		{"nothing", [][]byte{segmentOf(true, nil)}, ""},
		{"half a header", [][]byte{segmentOf(true, envelope(0, 0)[:5])}, "Frame ends inside an envelope's header"},
		{"half a body", [][]byte{segmentOf(true, envelope(10, 9))}, "Frame ends inside an envelope's body"},
		{"too much", [][]byte{segmentOf(false, envelope(10, 11))}, "Frame longer than the message it is part of"},
		{"too much later", [][]byte{segmentOf(false, envelope(10, 5)), segmentOf(false, make([]byte, 6))}, "Frame longer than the message"},
		{"too much skipped", [][]byte{segmentOf(false, envelope(2000, 5)), segmentOf(false, make([]byte, 1996))}, "Frame longer than the message"},
		{"interrupted", [][]byte{segmentOf(false, envelope(10, 5)), good}, "Self-contained frame inside a message of several frames"},
		{"too large, whole", [][]byte{segmentOf(false, envelope(2000, 2000))}, ""},
		{"too large, packed", [][]byte{segmentOf(true, envelope(2000, 2000))}, ""},
		{"header in pieces", [][]byte{segmentOf(false, envelope(5, 5)[:3]), segmentOf(false, envelope(5, 5)[3:])}, ""},
	} {
		d := Decoder{Responses: true, FrameSizeMax: 1000, framing: FramingPlain, version: V5}
		got, err := pour(&d, append(bytes.Join(c.segments, nil), good...), func() int { return 100 })
		if c.want == "" {
			if len(got) == 0 || got[len(got)-1] != (message{9, "\x00"}) {
				t.Errorf("%s: %v %v", c.name, got, err)
			}
		} else if err == nil || !err.Fatal || !strings.HasPrefix(err.Err.Message, c.want) || len(got) != 0 {
			t.Errorf("%s: %v %v", c.name, got, err)
		}
	}
}

// TestLargest: an envelope that fits into one segment exactly is self-contained.
func TestLargest(t *testing.T) {
	w := NewWriter()
	w.SetFraming(FramingPlain)
	w.Append(message{}.header(V5), []byte("small"))
	w.Append(message{}.header(V5), make([]byte, segmentMax-HeaderSize))
	b := w.Take(nil)[segmentPlainHeader+HeaderSize+5+segmentTrailer:]
	if h, err := parseSegmentHeader(b, FramingPlain); err != nil || h != (segmentHeader{size: segmentMax, selfContained: true}) {
		t.Errorf("%+v %v", h, err)
	}
}

// TestV4Compresses: what can shrink does, and small bodies go as they are.
func TestV4Compresses(t *testing.T) {
	for _, c := range []Compression{CompressLZ4, CompressSnappy} {
		w, _ := mode{V4, FramingNone, c}.pair(V4)
		w.Append(message{}.header(V4), make([]byte, 10000))
		if n := w.Len(); n > 1000 {
			t.Errorf("10000 zeros took %d bytes", n)
		}
		w.Take(nil)
		w.Append(message{}.header(V4), make([]byte, compressMin-1))
		if n := w.Len(); n != HeaderSize+compressMin-1 {
			t.Errorf("a small body took %d bytes", n)
		}
	}
}

func TestV4CompressionRefused(t *testing.T) {
	frame := func(body string) []byte {
		b := AppendHeader(nil, Header{Version: V4, Response: true, Flags: FlagCompressed, Op: OpResult, Length: int32(len(unhex(t, body)))})
		return append(b, unhex(t, body)...)
	}
	for _, c := range []struct {
		c    Compression
		body string
		want string
	}{
		{CompressNone, "00000001 1061", "Received a compressed frame, but no compression was agreed on"},
		{CompressLZ4, "00", "Cannot decompress a frame"},
		{CompressLZ4, "00f00000 1061", "Cannot decompress a frame"},
		{CompressLZ4, "00000002 1061", "Cannot decompress a frame"},
		{CompressSnappy, "ffffffff0f 00", "Cannot decompress a frame"},
	} {
		d := Decoder{Responses: true}
		d.SetCompression(c.c)
		if _, err := pour(&d, frame(c.body), func() int { return 100 }); err == nil || !strings.HasPrefix(err.Err.Message, c.want) {
			t.Errorf("%d %s: %v", c.c, c.body, err)
		}
		if d.HeldBytes() > 1<<17 {
			t.Errorf("%s made the decoder hold %d bytes", c.body, d.HeldBytes())
		}
	}
}

func TestConnectionDoesNotAllocate(t *testing.T) {
	for _, m := range modes() {
		w, d := m.pair(m.v)
		var room []byte
		text := []byte(strings.Repeat("some text ", 200))
		if n := testing.AllocsPerRun(100, func() {
			for i := range 10 {
				w.Append(message{stream: int16(i)}.header(m.v), text)
			}
			room = w.Take(room)
			for b := room; len(b) > 0; {
				n := copy(d.Buffer(), b)
				d.Fill(n)
				b = b[n:]
				for {
					_, ok, err := d.Next()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
				}
			}
		}); n != 0 {
			t.Errorf("%+v: %v allocations", m, n)
		}
	}
}

func FuzzSegment(f *testing.F) {
	for i, m := range modes() {
		w, _ := m.pair(m.v)
		w.Append(message{1, ""}.header(m.v), []byte(strings.Repeat("hello ", 200)))
		if m.f == FramingLZ4 { // zeros that take few bytes on the wire
			w.Append(message{2, ""}.header(m.v), make([]byte, segmentMax))
		}
		f.Add(byte(i), uint16(100), w.Take(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, piece uint16, wire []byte) {
		m := modes()[int(kind)%len(modes())]
		_, d := m.pair(0)
		d.FrameSizeMax = 1 << 20
		total := 0
		got, _ := pour(d, wire, func() int { return 1 + int(piece) })
		for _, g := range got {
			total += len(g.body)
		}
		if total > 300*len(wire) {
			t.Fatalf("%d bytes made of %d", total, len(wire))
		}
		// Whole or in pieces, the same bytes are the same messages.
		_, d = m.pair(0)
		d.FrameSizeMax = 1 << 20
		if whole, _ := pour(d, wire, func() int { return 1 << 20 }); fmt.Sprint(whole) != fmt.Sprint(got) {
			t.Fatalf("%d messages whole, %d in pieces", len(whole), len(got))
		}
	})
}
