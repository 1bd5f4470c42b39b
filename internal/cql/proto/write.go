package proto

import (
	"encoding/binary"
	"net/netip"

	"helenus"
)

// Appenders for the specification's notations (3). Strings too long for
// their 16-bit length are cut: nothing we send has a right to be that long,
// and a wrong length would make the rest of the envelope unreadable.

func appendU16(dst []byte, n int) []byte { return binary.BigEndian.AppendUint16(dst, uint16(n)) }

func appendI32(dst []byte, n int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

func appendI64(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(n)) }

func appendString[S string | []byte](dst []byte, s S) []byte {
	n := min(len(s), 1<<16-1)
	return append(appendU16(dst, n), s[:n]...)
}

func appendLong[S string | []byte](dst []byte, s S) []byte {
	return append(appendI32(dst, len(s)), s...)
}

// appendBytes writes nil as null.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendI32(dst, -1)
	}
	return append(appendI32(dst, len(b)), b...)
}

func appendStrings(dst []byte, list []string) []byte {
	n := min(len(list), 1<<16-1)
	dst = appendU16(dst, n)
	for _, s := range list[:n] {
		dst = appendString(dst, s)
	}
	return dst
}

func appendConsistency(dst []byte, c helenus.Consistency) []byte { return appendU16(dst, int(c)) }

func appendAddress(dst []byte, a netip.Addr) []byte {
	b := a.Unmap().AsSlice()
	return append(append(dst, byte(len(b))), b...)
}

func appendInet(dst []byte, a netip.AddrPort) []byte {
	return appendI32(appendAddress(dst, a.Addr()), int(a.Port()))
}

// Value is one bound value: nil Bytes without Unset is null, empty Bytes the
// empty value, Unset (v4 on) leaves a column as it is.
type Value struct {
	Bytes []byte
	Unset bool
}

func appendValue(dst []byte, v Value) []byte {
	if v.Unset {
		return appendI32(dst, -2)
	}
	return appendBytes(dst, v.Bytes)
}

// Payload is a custom payload, a [bytes map] as it stood in the envelope.
type Payload []byte

// Len is the number of entries.
func (p Payload) Len() int {
	if len(p) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(p))
}

// AppendEntry adds an entry; p may be nil.
func (p Payload) AppendEntry(key string, value []byte) Payload {
	if len(p) == 0 {
		p = Payload{0, 0}
	}
	binary.BigEndian.PutUint16(p, uint16(p.Len()+1))
	return appendBytes(appendString(p, key), value)
}

// Get finds an entry's value; nil when there is none.
func (p Payload) Get(key string) []byte {
	r := reader{b: p}
	for n := int(r.u16()); n > 0 && r.err == nil; n-- {
		k, v := r.short(), r.bytes()
		if string(k) == key {
			return v
		}
	}
	return nil
}
