package types

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func TestTimeUUIDOfAKnownInstant(t *testing.T) {
	// f81d4fae-7dec-11d0-... is 1997-02-03T17:43:12.216875Z (RFC 4122 and arithmetic).
	id := [16]byte(unhex(t, "f81d4fae7dec11d0a76500a0c91e6bf6"))
	const micros = 854991792216875
	if got := TimeUUIDMicros(id); got != micros {
		t.Fatalf("micros %d", got)
	}
	var node [8]byte
	copy(node[:], id[8:])
	got := TimeUUIDFromMicros(micros, node)
	if hex.EncodeToString(got[8:]) != "a76500a0c91e6bf6" || TimeUUIDMicros(got) != micros || Native(TimeUUID).Validate(got[:]) != nil {
		t.Fatalf("made %x", got)
	}
}

func TestTimeUUIDBoundsOfAMillisecond(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	typ := Native(TimeUUID)
	for range 10000 {
		millis := r.Int64N(4e12) - 1e12
		var node [8]byte
		for i := range node {
			node[i] = byte(r.Uint32())
		}
		id := TimeUUIDFromMicros(millis*1000+r.Int64N(1000), node)
		first, last := MinTimeUUID(millis), MaxTimeUUID(millis)
		if id[8]>>6 != 2 {
			t.Fatalf("%x has another variant", id)
		}
		if ticks := uuidTicks(last) - uuidTicks(first); ticks != 9999 {
			t.Fatalf("%x to %x are %d ticks", first, last, ticks)
		}
		before, after := MaxTimeUUID(millis-1), MinTimeUUID(millis+1)
		order := [][16]byte{before, first, id, last, after}
		for i := 1; i < len(order); i++ {
			a, b := order[i-1][:], order[i][:]
			if typ.Compare(a, b) > 0 || bytes.Equal(a, b) && i != 2 {
				t.Fatalf("%x is not before %x", a, b)
			}
		}
	}
}

func uuidTicks(id [16]byte) uint64 {
	return binary.BigEndian.Uint64(append([]byte{id[6] & 15, id[7], id[4], id[5]}, id[:4]...))
}
