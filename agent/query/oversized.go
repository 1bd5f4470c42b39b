package query

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// topKeysLength bounds the list of keys in the error of an oversized mutation.
const topKeysLength = 1024

// oversized is Cassandra's error for a mutation that is too large, with the
// partitions that make it so, largest first.
func (m *modifyRun) oversized(limit int) error {
	type partition struct {
		name string
		size int
	}
	var all []partition
	read := row.ReadMutation(m.buf)
	for i := range m.builder.Len() {
		update, _ := read.Next()
		t, key := m.builder.Partition(i)
		all = append(all, partition{t.Name + "." + keyText(t, key), len(update)})
	}
	slices.SortStableFunc(all, func(a, b partition) int { return b.size - a.size })
	var keys strings.Builder
	for i, p := range all {
		if i > 0 && keys.Len()+2+len(p.name) > topKeysLength {
			fmt.Fprintf(&keys, " and %d more.", len(all)-i)
			break
		}
		if i > 0 {
			keys.WriteString(", ")
		}
		keys.WriteString(clipped(p.name))
	}
	t, _ := m.builder.Partition(0)
	return helenus.Invalid("Rejected an oversized mutation (%d/%d) for keyspace: %s. Top keys are: %s", len(m.buf), limit, t.Keyspace, keys.String())
}

// clipped bounds what one key makes of an error.
func clipped(s string) string {
	if len(s) <= topKeysLength {
		return s
	}
	return strings.ToValidUTF8(s[:topKeysLength], "") + "..."
}

// keyText shows a partition key as people write it, components by colons.
func keyText(t *schema.Table, key []byte) string {
	if len(t.PartitionKey) == 1 {
		return valueText(t.PartitionKey[0].Type, key)
	}
	var parts []string
	for _, c := range t.PartitionKey {
		if len(key) < 3 || len(key) < 3+int(binary.BigEndian.Uint16(key)) {
			break
		}
		n := 2 + int(binary.BigEndian.Uint16(key))
		parts = append(parts, valueText(c.Type, key[2:n]))
		key = key[n+1:]
	}
	return strings.Join(parts, ":")
}

// valueText shows whole numbers, text and ids; all else in hex digits.
func valueText(t *types.Type, v []byte) string {
	switch t.Kind {
	case types.Text, types.ASCII:
		return string(v)
	case types.TinyInt, types.SmallInt, types.Int, types.BigInt, types.VarInt:
		n := new(big.Int).SetBytes(v)
		if len(v) > 0 && v[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v))))
		}
		return n.String()
	case types.UUID, types.TimeUUID:
		if len(v) == 16 {
			return helenus.HostID(v).String()
		}
	}
	return hex.EncodeToString(v)
}
