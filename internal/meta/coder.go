package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// coder walks over a value once for both directions: it appends to b when
// writing and takes from b when reading, so that the two cannot differ. The
// first error stays; after it, reading leaves zero values.
type coder struct {
	b       []byte
	reading bool
	err     error
	depth   int
}

// depthMax bounds how deep types nest.
const depthMax = 64

var errShort = errors.New("unexpected end")

func (x *coder) fail(err error) {
	if x.err == nil {
		x.err = err
	}
	x.b = nil
}

func (x *coder) take(n uint64) []byte {
	if uint64(len(x.b)) < n {
		x.fail(errShort)
		return nil
	}
	taken := x.b[:n]
	x.b = x.b[n:]
	return taken
}

func (x *coder) uvarint(v *uint64) {
	if !x.reading {
		x.b = binary.AppendUvarint(x.b, *v)
		return
	}
	n, size := binary.Uvarint(x.b)
	if size <= 0 || size > 1 && x.b[size-1] == 0 { // a last group of zeros is a second spelling
		x.fail(errors.New("bad number"))
		return
	}
	x.b = x.b[size:]
	*v = n
}

// integer codes any integer type by way of int64.
func integer[T ~int | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32](x *coder, v *T) {
	zigzag := uint64(int64(*v)<<1) ^ uint64(int64(*v)>>63)
	x.uvarint(&zigzag)
	if x.reading && x.err == nil {
		n := int64(zigzag>>1) ^ -int64(zigzag&1)
		if *v = T(n); int64(*v) != n {
			x.fail(fmt.Errorf("number %d is out of range", n))
		}
	}
}

func (x *coder) fixed(dst []byte) {
	if x.reading {
		copy(dst, x.take(uint64(len(dst))))
		return
	}
	x.b = append(x.b, dst...)
}

func (x *coder) double(v *float64) {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], math.Float64bits(*v))
	x.fixed(raw[:])
	if x.reading {
		*v = math.Float64frombits(binary.BigEndian.Uint64(raw[:]))
	}
}

func (x *coder) flag(v *bool) {
	if !x.reading {
		x.b = append(x.b, map[bool]byte{true: 1}[*v])
		return
	}
	if raw := x.take(1); raw != nil {
		if raw[0] > 1 {
			x.fail(fmt.Errorf("flag byte %d", raw[0]))
			return
		}
		*v = raw[0] == 1
	}
}

func text[T ~string](x *coder, v *T) {
	n := uint64(len(*v))
	x.uvarint(&n)
	if x.reading {
		*v = T(x.take(n))
		return
	}
	x.b = append(x.b, *v...)
}

// list codes a slice; every element takes at least a byte, which bounds what a
// damaged count can make us allocate.
func list[T any](x *coder, s *[]T, each func(*coder, *T)) {
	n := uint64(len(*s))
	x.uvarint(&n)
	if !x.reading {
		for i := range *s {
			each(x, &(*s)[i])
		}
		return
	}
	if n > uint64(len(x.b)) {
		x.fail(errShort)
		return
	}
	var out []T
	for i := uint64(0); i < n && x.err == nil; i++ {
		var v T
		each(x, &v)
		out = append(out, v)
	}
	*s = out
}

// dict codes a map as pairs in ascending order of the keys.
func dict[V any](x *coder, m *map[string]V, each func(*coder, *V)) {
	type pair struct {
		key   string
		value V
	}
	var pairs []pair
	if !x.reading {
		for _, k := range slices.Sorted(maps.Keys(*m)) {
			pairs = append(pairs, pair{k, (*m)[k]})
		}
	}
	list(x, &pairs, func(x *coder, p *pair) {
		text(x, &p.key)
		each(x, &p.value)
	})
	if !x.reading {
		return
	}
	*m = make(map[string]V, len(pairs))
	for i, p := range pairs {
		if i > 0 && pairs[i-1].key >= p.key {
			x.fail(fmt.Errorf("key %q is out of order", p.key))
		}
		(*m)[p.key] = p.value
	}
}

func (x *coder) texts(s *[]string) { list(x, s, text[string]) }

func (x *coder) textMap(m *map[string]string) { dict(x, m, text[string]) }
