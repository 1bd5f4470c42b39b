package proto

import (
	"encoding/binary"
	"net/netip"

	"helenus"
)

// reader walks over a body. The first thing wrong stays in err and everything
// after it reads as zero, so callers check once at the end; loops must check
// in each round.
type reader struct {
	b   []byte
	err *helenus.Error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = protocolErrorf(format, args...)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("Not enough bytes: %d wanted, %d left", n, len(r.b))
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) i32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) i64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// short is a [string] or [short bytes].
func (r *reader) short() []byte { return r.take(int(r.u16())) }

func (r *reader) string() string { return string(r.short()) }

// long is a [long string].
func (r *reader) long() []byte {
	n := r.i32()
	if n < 0 {
		r.fail("Invalid negative length %d of a string", n)
		return nil
	}
	return r.take(int(n))
}

// bytes is [bytes]: nil for any negative length, non-nil otherwise.
func (r *reader) bytes() []byte {
	n := r.i32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

// value is [value] (3): -1 is null and since v4 -2 is unset.
func (r *reader) value(v Version) Value {
	n := r.i32()
	switch {
	case n >= 0:
		return Value{Bytes: r.take(int(n))}
	case n == -1 || v < V4:
		return Value{}
	case n == -2:
		return Value{Unset: true}
	}
	r.fail("Invalid ByteBuf length %d", n)
	return Value{}
}

// count checks a count of things of at least size bytes each against what is
// left, so that it can be trusted for making room.
func (r *reader) count(n int, size int, what string) int {
	if n < 0 || n > len(r.b)/size {
		r.fail("Invalid count %d of %s in %d bytes", n, what, len(r.b))
		return 0
	}
	return n
}

func (r *reader) strings() []string {
	n := r.count(int(r.u16()), 2, "strings")
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, r.string())
	}
	return out
}

// payload checks a [bytes map] and returns it whole.
func (r *reader) payload() Payload {
	start := r.b
	n := int(r.u16())
	for i := 0; i < n && r.err == nil; i++ {
		r.short()
		r.bytes()
	}
	if r.err != nil {
		return nil
	}
	return Payload(start[: len(start)-len(r.b) : len(start)-len(r.b)])
}

func (r *reader) consistency() helenus.Consistency {
	c := helenus.Consistency(r.u16())
	if !c.Valid() {
		r.fail("Unknown code %d for a consistency level", uint16(c))
		return 0
	}
	return c
}

func (r *reader) address() netip.Addr {
	a, ok := netip.AddrFromSlice(r.take(int(r.u8())))
	if !ok {
		r.fail("Invalid IP address")
	}
	return a
}

func (r *reader) inet() netip.AddrPort {
	a := r.address()
	return netip.AddrPortFrom(a, uint16(r.i32()))
}
