package types

import "encoding/binary"

// uuidEpochMicros is the begin of the Gregorian calendar, where the clock of
// version 1 UUIDs starts.
const uuidEpochMicros = -12219292800000000

// The last half of the first and the last timeuuid of an instant: its bytes
// compare as signed ones.
const (
	firstClockNode = 0x8080808080808080
	lastClockNode  = 0x7f7f7f7f7f7f7f7f
)

func timeUUID(ticks, clockNode uint64) (id [16]byte) {
	hi := ticks<<32 | ticks>>32&0xffff<<16 | 1<<12 | ticks>>48&0xfff
	binary.BigEndian.PutUint64(id[:], hi)
	binary.BigEndian.PutUint64(id[8:], clockNode)
	return id
}

// ticksOf counts 100 ns steps since uuidEpochMicros.
func ticksOf(micros int64) uint64 { return uint64(micros-uuidEpochMicros) * 10 }

// TimeUUIDFromMicros is the version 1 UUID of a time since 1970, with the rest
// filled from node; the variant bits of node[0] are overwritten.
func TimeUUIDFromMicros(micros int64, node [8]byte) [16]byte {
	node[0] = node[0]&0x3f | 0x80
	return timeUUID(ticksOf(micros), binary.BigEndian.Uint64(node[:]))
}

// TimeUUIDMicros is the time in a version 1 UUID, in microseconds since 1970.
func TimeUUIDMicros(id [16]byte) int64 {
	hi := binary.BigEndian.Uint64(id[:])
	ticks := hi>>32 | hi>>16&0xffff<<32 | hi&0xfff<<48
	return int64(ticks/10) + uuidEpochMicros
}

// MinTimeUUID sorts before or with every timeuuid of that millisecond.
func MinTimeUUID(millis int64) [16]byte { return timeUUID(ticksOf(millis*1000), firstClockNode) }

// MaxTimeUUID sorts after or with every timeuuid of that millisecond.
func MaxTimeUUID(millis int64) [16]byte {
	return timeUUID(ticksOf(millis*1000)+9999, lastClockNode)
}
