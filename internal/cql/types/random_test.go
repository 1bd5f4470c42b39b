package types

import (
	"encoding/binary"
	"math/rand/v2"
)

// randomType makes a type of bounded depth.
func randomType(r *rand.Rand, depth int) *Type {
	k := ASCII + Kind(r.IntN(int(Empty-ASCII)))
	if depth > 0 {
		k = ASCII + Kind(r.IntN(int(Custom-ASCII)))
	}
	elem := func() *Type { return randomType(r, depth-1) }
	switch k {
	case Counter, Duration, Empty: // no order, or no values to choose from
		return Native(Int)
	case List:
		return ListOf(elem(), true)
	case Set:
		return SetOf(elem(), true)
	case Map:
		return MapOf(elem(), elem(), true)
	case Tuple, UDT:
		t := &Type{Kind: k}
		for i := range 1 + r.IntN(3) {
			t.Elems = append(t.Elems, elem())
			if k == UDT {
				t.Keyspace, t.Name, t.Frozen = "ks", "t", true
				t.FieldNames = append(t.FieldNames, string(rune('a'+i)))
			}
		}
		return t
	case Vector:
		return VectorOf(elem(), 1+r.IntN(3))
	}
	return Native(k)
}

// randomValue makes a valid value of t; small alphabets make ties and prefixes.
func randomValue(r *rand.Rand, t *Type) []byte {
	if int(t.Kind) < len(lengthRules) {
		if rule := lengthRules[t.Kind]; rule.size > 0 {
			return randomScalar(r, t, rule)
		}
	}
	switch t.Kind {
	case ASCII, Text, Blob:
		return randomBytes(r, r.IntN(6), "\x00\x01a\x7f")
	case Inet:
		return randomBytes(r, []int{0, 4, 16}[r.IntN(3)], "\x00\x01\xfe\xff")
	case VarInt:
		return randomVarInt(r)
	case Decimal:
		if r.IntN(10) == 0 {
			return []byte{}
		}
		scale := int32(r.IntN(7) - 3)
		if r.IntN(10) == 0 {
			scale = int32(r.Uint32())
		}
		u := randomVarInt(r)
		for len(u) == 0 {
			u = randomVarInt(r)
		}
		return append(binary.BigEndian.AppendUint32(nil, uint32(scale)), u...)
	case Tuple, UDT:
		fields := [][]byte{}
		for _, ft := range t.Elems[:r.IntN(len(t.Elems)+1)] {
			fields = append(fields, nil)
			if r.IntN(4) > 0 {
				fields[len(fields)-1] = randomValue(r, ft)
			}
		}
		return EncodeFields(fields)
	}
	n := r.IntN(3) * len(t.Elems)
	if t.Kind == Vector {
		n = t.Dimension
	}
	var elems [][]byte
	for i := range n {
		elems = append(elems, randomValue(r, t.Elems[i%len(t.Elems)]))
	}
	if t.Kind == Vector {
		return EncodeVector(t, elems)
	}
	return EncodeCollection(t, elems)
}

func randomScalar(r *rand.Rand, t *Type, rule lengthRule) []byte {
	if rule.orEmpty && r.IntN(8) == 0 && t.FixedLength() < 0 {
		return []byte{}
	}
	alphabet := "\x00\x01\x7f\x80\xff"
	if r.IntN(2) == 0 {
		alphabet = ""
	}
	v := randomBytes(r, rule.size, alphabet)
	if t.Kind == TimeUUID {
		v[6] = v[6]&15 | 0x10
	}
	return v
}

func randomBytes(r *rand.Rand, n int, alphabet string) []byte {
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(r.Uint32()); alphabet != "" {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
	}
	return b
}

func randomVarInt(r *rand.Rand) []byte {
	n := r.IntN(4)
	if r.IntN(3) == 0 {
		n = r.IntN(20)
	}
	return randomBytes(r, n, []string{"", "\x00\xff", "\x00\x01\x80\xff"}[r.IntN(3)])
}
