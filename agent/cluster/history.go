package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"

	"helenus/internal/meta"
)

// point is a place in the history of the metadata: an epoch and the hash of
// everything up to it.
type point struct {
	epoch meta.Epoch
	hash  [hashSize]byte
}

// entry is a decided change. Its payload is the id of its proposal and the change.
type entry struct {
	epoch   meta.Epoch
	hash    [hashSize]byte
	payload []byte
}

const proposalBytes = 16

func (e entry) proposal() (id proposalID) {
	copy(id[:], e.payload)
	return id
}

func (e entry) change() []byte { return e.payload[proposalBytes:] }

func payload(id proposalID, change []byte) []byte { return append(id[:], change...) }

func link(previous [hashSize]byte, epoch meta.Epoch, payload []byte) [hashSize]byte {
	b := binary.BigEndian.AppendUint64(previous[:], uint64(epoch))
	return sha256.Sum256(append(b, payload...))
}

// history is the newest part of the log, as it is held in memory: what others may
// still ask for one by one, and where a proposal is looked for. It is a value;
// extending it leaves older ones as they were.
type history struct {
	base    point
	entries []entry // behind base, without a gap
	size    int     // of their payloads
}

const (
	historyEntriesMax = 1024
	historyBytesMax   = 4 << 20
)

// end is the newest place.
func (h history) end() point {
	if len(h.entries) == 0 {
		return h.base
	}
	e := h.entries[len(h.entries)-1]
	return point{e.epoch, e.hash}
}

// with is the history with one more entry, maybe without the oldest half.
func (h history) with(e entry) history {
	h.entries = append(h.entries, e)
	h.size += len(e.payload)
	if len(h.entries) <= historyEntriesMax && h.size <= historyBytesMax || len(h.entries) == 1 {
		return h
	}
	cut := len(h.entries) / 2
	last := h.entries[cut-1]
	h.base, h.entries, h.size = point{last.epoch, last.hash}, slices.Clone(h.entries[cut:]), 0
	for _, e := range h.entries {
		h.size += len(e.payload)
	}
	return h
}

// after gives the entries behind an epoch, and the hash there; false when the
// history does not reach back so far, or has no such epoch.
func (h history) after(epoch meta.Epoch) (entries []entry, hash [hashSize]byte, known bool) {
	if epoch == h.base.epoch {
		return h.entries, h.base.hash, true
	}
	i := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].epoch >= epoch })
	if i == len(h.entries) || h.entries[i].epoch != epoch {
		return nil, hash, false
	}
	return h.entries[i+1:], h.entries[i].hash, true
}

// find looks for a proposal behind an epoch. Not complete: it may have happened
// where the history does not reach back to.
func (h history) find(id proposalID, base meta.Epoch) (at meta.Epoch, found, complete bool) {
	for i := len(h.entries) - 1; i >= 0 && h.entries[i].epoch > base; i-- {
		if h.entries[i].proposal() == id {
			return h.entries[i].epoch, true, true
		}
	}
	return 0, false, base >= h.base.epoch
}
