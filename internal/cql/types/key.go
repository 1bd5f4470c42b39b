package types

import "encoding/binary"

// AppendKey lays out a partition key: the value itself, or for several columns
// each with its length before and a zero byte behind it (CompositeType).
func AppendKey(dst []byte, parts [][]byte) []byte {
	if len(parts) == 1 {
		return append(dst, parts[0]...)
	}
	for _, p := range parts {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(p)))
		dst = append(dst, p...)
		dst = append(dst, 0)
	}
	return dst
}

// SplitKey is the reverse: it appends the key's values to parts and stops at
// bytes that are no key of that many columns.
func SplitKey(parts [][]byte, key []byte, columns int) [][]byte {
	if columns == 1 {
		return append(parts, key)
	}
	for range columns {
		if len(key) < 3 {
			break
		}
		n := int(binary.BigEndian.Uint16(key))
		if len(key) < n+3 {
			break
		}
		parts = append(parts, key[2:2+n:2+n])
		key = key[n+3:]
	}
	return parts
}
