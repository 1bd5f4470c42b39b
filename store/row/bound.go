package row

import (
	"bytes"
	"cmp"
	"strings"

	"helenus/internal/token"
)

// compare places a key against the bound's own place: a key, or all keys of a
// token.
func (b *Bound) compare(k Key, p token.Partitioner) int {
	if b.HasKey {
		return CompareKeys(k, b.Key, p.CompareTie)
	}
	if k.Prefix != b.Key.Prefix {
		return cmp.Compare(k.Prefix, b.Key.Prefix)
	}
	tail := p.Token(k.Bytes).Tail
	return strings.Compare(tail, string(b.Key.Bytes))
}

// AfterStart tells whether k lies behind b, which is the start of a range.
func (b *Bound) AfterStart(k Key, p token.Partitioner) bool {
	if b.Open {
		return true
	}
	d := b.compare(k, p)
	return d > 0 || (d == 0 && b.Inclusive)
}

// BeforeEnd tells whether k lies before b, which is the end of a range.
func (b *Bound) BeforeEnd(k Key, p token.Partitioner) bool {
	if b.Open {
		return true
	}
	d := b.compare(k, p)
	return d < 0 || (d == 0 && b.Inclusive)
}

// TokenBound is the bound at a token.
func TokenBound(t token.Token, inclusive bool) Bound {
	return Bound{Key: Key{Prefix: t.Prefix, Bytes: []byte(t.Tail)}, Inclusive: inclusive}
}

// KeyBound is the bound at a key.
func KeyBound(k Key, inclusive bool) Bound { return Bound{Key: k, HasKey: true, Inclusive: inclusive} }

// Contains tells whether a row's Order lies in s. Start may also be the Order
// of a row, which then is outside.
func (s *Slice) Contains(order []byte) bool {
	return (len(s.Start) == 0 || bytes.Compare(order, s.Start) > 0) && (len(s.End) == 0 || bytes.Compare(order, s.End) < 0)
}

// SlicesAfter appends to dst what of slices lies behind a row in the direction
// of the read: where a page goes on.
func SlicesAfter(dst, slices []Slice, after []byte, reversed bool) []Slice {
	for _, s := range slices {
		if reversed {
			if len(s.Start) > 0 && bytes.Compare(s.Start, after) >= 0 {
				continue
			}
			if len(s.End) == 0 || bytes.Compare(s.End, after) > 0 {
				s.End, s.EndValues, s.EndSize = after, nil, 0
			}
		} else {
			if len(s.End) > 0 && bytes.Compare(s.End, after) <= 0 {
				continue
			}
			if len(s.Start) == 0 || bytes.Compare(s.Start, after) < 0 {
				s.Start, s.StartValues, s.StartSize = after, nil, 0
			}
		}
		dst = append(dst, s)
	}
	return dst
}

// Continues tells whether k is the partition in which the command goes on
// behind After.
func (c *Command) Continues(k Key) bool {
	if c.After == nil {
		return false
	}
	if c.Keys != nil {
		return len(c.Keys) > 0 && bytes.Equal(k.Bytes, c.Keys[0].Bytes)
	}
	return c.Start.HasKey && bytes.Equal(k.Bytes, c.Start.Key.Bytes)
}

// FilterFor is the command's filter for one partition, After considered. It
// may use buf for the slices.
func (c *Command) FilterFor(k Key, buf []Slice) Filter {
	f := c.Filter
	if c.Continues(k) {
		f.Slices = SlicesAfter(buf[:0], f.Slices, c.After, f.Reversed)
		c.nameAfter(f.Slices)
	}
	return f
}

// nameAfter gives the slice that begins behind After the values of its bound.
func (c *Command) nameAfter(slices []Slice) {
	if c.AfterValues == nil || len(slices) == 0 {
		return
	}
	first, last := &slices[0], &slices[len(slices)-1]
	switch n := len(c.Table.Clustering); {
	case c.Filter.Reversed && bytes.Equal(last.End, c.After):
		last.EndValues, last.EndSize = c.AfterValues, n
	case !c.Filter.Reversed && bytes.Equal(first.Start, c.After):
		first.StartValues, first.StartSize = c.AfterValues, n
	}
}
