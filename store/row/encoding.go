package row

import (
	"errors"
	"fmt"

	"helenus/internal/cql/types"
)

// errShort and its kin are wrapped by whoever knows the object they are in.
var (
	errShort = errors.New("cut short")
	errVInt  = errors.New("bad vint")
)

// cursor reads bytes front to back; its first error sticks and makes every
// later read return zero, so that callers check once per structure.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	c.b = nil
}

func (c *cursor) failWith(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.failWith(errShort)
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uvint() uint64 {
	v, n := types.UnsignedVInt(c.b)
	if n <= 0 {
		c.failWith(errVInt)
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) svint() int64 { return unzigzag(c.uvint()) }

// take returns the next n bytes with a capacity that keeps appends out of what
// follows.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.failWith(errShort)
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// block reads a length and as many bytes; never nil unless it failed.
func (c *cursor) block() []byte { return c.take(c.uvint()) }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func appendSVInt(dst []byte, v int64) []byte { return types.AppendUnsignedVInt(dst, zigzag(v)) }

func appendBlock(dst, b []byte) []byte {
	dst = types.AppendUnsignedVInt(dst, uint64(len(b)))
	return append(dst, b...)
}
