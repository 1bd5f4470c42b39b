package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"helenus/internal/cql/types"
)

var errShort = errors.New("cut short")

// corruptError is bytes that no writer makes.
type corruptError struct {
	file   string
	offset int64 // -1: the file as a whole
	cause  error
}

func (e *corruptError) Error() string {
	if e.offset < 0 {
		return fmt.Sprintf("sstable: %s: %v", e.file, e.cause)
	}
	return fmt.Sprintf("sstable: %s at %d: %v", e.file, e.offset, e.cause)
}

func (e *corruptError) Unwrap() []error { return []error{ErrCorrupt, e.cause} }

// ErrCorrupt is wrapped by errors about bytes that are not what was written.
var ErrCorrupt = errors.New("corrupt table")

// decoder reads a small component front to back. Its first error sticks, and
// reads after it give zero, so that callers check once.
type decoder struct {
	all []byte
	at  int
	err error
}

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.all)-d.at {
		d.err = errShort
		return nil
	}
	b := d.all[d.at : d.at+n : d.at+n]
	d.at += n
	return b
}

func (d *decoder) u8() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool {
	v := d.u8()
	if v > 1 {
		d.failf("a boolean of %d", v)
	}
	return v == 1
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) i32() int32     { return int32(d.u32()) }
func (d *decoder) i64() int64     { return int64(d.u64()) }
func (d *decoder) float() float64 { return math.Float64frombits(d.u64()) }

func (d *decoder) uvint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := types.UnsignedVInt(d.all[d.at:])
	if n <= 0 {
		d.err = errShort
		return 0
	}
	d.at += n
	return v
}

// count reads how many elements of at least size bytes follow; so no count can
// make us allocate more than the file is long.
func (d *decoder) count(n uint64, size int) int {
	if d.err == nil && n > uint64((len(d.all)-d.at)/size) {
		d.failf("%d elements in %d bytes", n, len(d.all)-d.at)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) block16() []byte { return d.take(int(d.u16())) }
func (d *decoder) block32() []byte { return d.take(int(d.i32())) }

func (d *decoder) blockV() []byte {
	n := d.uvint()
	if n > uint64(len(d.all)) {
		d.failf("%d bytes in a file of %d", n, len(d.all))
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) end() {
	if d.err == nil && d.at != len(d.all) {
		d.failf("%d bytes too many", len(d.all)-d.at)
	}
}

func appendU16(dst []byte, v uint16) []byte   { return binary.BigEndian.AppendUint16(dst, v) }
func appendU32(dst []byte, v uint32) []byte   { return binary.BigEndian.AppendUint32(dst, v) }
func appendU64(dst []byte, v uint64) []byte   { return binary.BigEndian.AppendUint64(dst, v) }
func appendUvint(dst []byte, v uint64) []byte { return types.AppendUnsignedVInt(dst, v) }

func appendSvint(dst []byte, v int64) []byte {
	return types.AppendUnsignedVInt(dst, uint64(v<<1)^uint64(v>>63))
}

func appendFloat(dst []byte, v float64) []byte { return appendU64(dst, math.Float64bits(v)) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendBlock16(dst, b []byte) []byte { return append(appendU16(dst, uint16(len(b))), b...) }
func appendBlock32(dst, b []byte) []byte { return append(appendU32(dst, uint32(len(b))), b...) }

func appendBlockV[T []byte | string](dst []byte, b T) []byte {
	return append(appendUvint(dst, uint64(len(b))), b...)
}
