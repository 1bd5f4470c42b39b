package gossip

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	"helenus"
)

// The bounds of a message. What does not fit is left to later rounds, which
// begin elsewhere: see core.syn.
const (
	digestBytesMax = 16 << 10 // of all digests of a message
	deltaBytesMax  = 16 << 10 // of all deltas
	packetBytesMax = digestBytesMax + deltaBytesMax + 2*binary.MaxVarintLen32
	valueBytesMax  = 256
	valuesMax      = 32 // of one node; with the largest values one delta still fits
	// numberMax keeps sums of generations and versions from running over.
	numberMax = 1 << 62
)

// digest says how new what a node knows of another is.
type digest struct {
	id         helenus.HostID
	generation int64 // zero: nothing is known
	version    uint64
}

// value is one thing that a node says of itself.
type value struct {
	key     Key
	version uint64
	text    string
}

// delta is what somebody may not know of a node yet.
type delta struct {
	id         helenus.HostID
	generation int64
	heartbeat  uint64
	values     []value // by key
}

// version is the highest one of a delta.
func (d *delta) version() uint64 {
	highest := d.heartbeat
	for i := range d.values {
		highest = max(highest, d.values[i].version)
	}
	return highest
}

// packet is every message of gossip. SYN has digests: what the sender knows. Its
// answer ACK has deltas for those, and digests of what it wants to know itself;
// ACK2 has the deltas for them. docs/format/gossip.md has the boxes.
type packet struct {
	digests []digest
	deltas  []delta

	digestBytes, deltaBytes int
}

func (p *packet) reset() {
	p.digests, p.deltas = p.digests[:0], p.deltas[:0]
	p.digestBytes, p.deltaBytes = 0, 0
}

// addDigest adds one unless it does not fit.
func (p *packet) addDigest(d digest) bool {
	n := digestSize(&d)
	if p.digestBytes+n > digestBytesMax {
		return false
	}
	p.digests = append(p.digests, d)
	p.digestBytes += n
	return true
}

// addDelta adds one unless it does not fit.
func (p *packet) addDelta(d delta) bool {
	n := deltaSize(&d)
	if p.deltaBytes+n > deltaBytesMax {
		return false
	}
	p.deltas = append(p.deltas, d)
	p.deltaBytes += n
	return true
}

// size is how long the encoding is.
func (p *packet) size() int {
	return uvarintSize(uint64(len(p.digests))) + p.digestBytes + uvarintSize(uint64(len(p.deltas))) + p.deltaBytes
}

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func digestSize(d *digest) int {
	return len(d.id) + uvarintSize(uint64(d.generation)) + uvarintSize(d.version)
}

func deltaSize(d *delta) int {
	n := len(d.id) + uvarintSize(uint64(d.generation)) + uvarintSize(d.heartbeat) + uvarintSize(uint64(len(d.values)))
	for i := range d.values {
		v := &d.values[i]
		n += 1 + uvarintSize(v.version) + uvarintSize(uint64(len(v.text))) + len(v.text)
	}
	return n
}

// AppendTo implements wire.Message.
func (p *packet) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.digests)))
	for i := range p.digests {
		d := &p.digests[i]
		dst = append(dst, d.id[:]...)
		dst = binary.AppendUvarint(dst, uint64(d.generation))
		dst = binary.AppendUvarint(dst, d.version)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.deltas)))
	for i := range p.deltas {
		d := &p.deltas[i]
		dst = append(dst, d.id[:]...)
		dst = binary.AppendUvarint(dst, uint64(d.generation))
		dst = binary.AppendUvarint(dst, d.heartbeat)
		dst = binary.AppendUvarint(dst, uint64(len(d.values)))
		for j := range d.values {
			v := &d.values[j]
			dst = append(dst, byte(v.key))
			dst = binary.AppendUvarint(dst, v.version)
			dst = binary.AppendUvarint(dst, uint64(len(v.text)))
			dst = append(dst, v.text...)
		}
	}
	return dst
}

// Decode implements wire.Message. It keeps nothing of b.
func (p *packet) Decode(b []byte) error {
	p.reset()
	if len(b) > packetBytesMax {
		return fmt.Errorf("gossip: a message of %d bytes; the limit is %d", len(b), packetBytesMax)
	}
	r := reader{b: b}
	n := r.count("digests", len(helenus.HostID{})+2)
	p.digests = slices.Grow(p.digests, n)
	for range n {
		p.addDigest(digest{r.id(), int64(r.number("a generation", numberMax)), r.number("a version", numberMax)})
	}
	n = r.count("deltas", len(helenus.HostID{})+3)
	p.deltas = slices.Grow(p.deltas, n)
	for range n {
		d := delta{id: r.id(), generation: int64(r.number("a generation", numberMax)), heartbeat: r.number("a heartbeat", numberMax)}
		d.values = r.values()
		p.addDelta(d)
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	if r.err == nil && (p.size() != len(b)) {
		r.fail("numbers that are longer than they need be, or one kind of content beyond its limit")
	}
	if r.err != nil {
		p.reset()
	}
	return r.err
}

// reader takes a message apart; after an error everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("gossip: a message with "+format, args...)
	}
	r.b = nil
}

func (r *reader) number(what string, limit uint64) uint64 {
	n, size := binary.Uvarint(r.b)
	switch {
	case r.err != nil:
		return 0
	case size <= 0:
		r.fail("no end to %s", what)
		return 0
	case n > limit:
		r.fail("%s of %d; the limit is %d", what, n, limit)
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is of things that take at least sizeBytes each.
func (r *reader) count(what string, sizeBytes int) int {
	n := r.number("a count of "+what, packetBytesMax)
	if int(n)*sizeBytes > len(r.b) {
		r.fail("%d %s in %d bytes", n, what, len(r.b))
		return 0
	}
	return int(n)
}

func (r *reader) take(n int, what string) []byte {
	if n > len(r.b) {
		r.fail("%s cut off", what)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) id() (id helenus.HostID) {
	copy(id[:], r.take(len(id), "a host id"))
	return id
}

func (r *reader) values() []value {
	n := r.count("values", 3)
	switch {
	case n > valuesMax:
		r.fail("%d values of one node; the limit is %d", n, valuesMax)
		return nil
	case n == 0:
		return nil
	}
	list := make([]value, 0, n)
	var last Key
	for range n {
		key := r.take(1, "a value")
		v := value{version: r.number("a version", numberMax)}
		text := r.take(int(r.number("a length", valueBytesMax)), "a value")
		switch {
		case r.err != nil:
			return nil
		case Key(key[0]) <= last:
			r.fail("values out of order: key %d after %d", key[0], last)
			return nil
		case !utf8.Valid(text):
			r.fail("a value that is not UTF-8: key %d", key[0])
			return nil
		}
		last = Key(key[0])
		v.key, v.text = last, string(text)
		list = append(list, v)
	}
	return list
}
