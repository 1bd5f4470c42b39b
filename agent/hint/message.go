package hint

import (
	"encoding/binary"
	"fmt"
	"time"

	"helenus/agent/wire"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/store/row"
)

// VerbHints brings hints to the node they are for; docs/format/hints.md.
const VerbHints wire.VerbID = 48

// batchHintsMax bounds the hints of one batch.
const batchHintsMax = 4096

// batch is a question with hints, and for how many more bytes may come.
type batch struct {
	Epoch meta.Epoch
	Need  uint32 // bytes of the next hint: less is of no use; 0: there may be none
	Want  uint32 // bytes that would be taken
	Hints [][]byte
}

// AppendTo implements wire.Message.
func (m *batch) AppendTo(dst []byte) []byte {
	dst = types.AppendUnsignedVInt(dst, uint64(m.Epoch))
	dst = binary.BigEndian.AppendUint32(dst, m.Need)
	dst = binary.BigEndian.AppendUint32(dst, m.Want)
	dst = types.AppendUnsignedVInt(dst, uint64(len(m.Hints)))
	for _, h := range m.Hints {
		dst = types.AppendUnsignedVInt(dst, uint64(len(h)))
		dst = append(dst, h...)
	}
	return dst
}

// Decode implements wire.Message.
func (m *batch) Decode(b []byte) error {
	epoch, n := types.UnsignedVInt(b)
	if n <= 0 || len(b) < n+8 {
		return fmt.Errorf("hint: a batch is cut short")
	}
	b = b[n:]
	*m = batch{Epoch: meta.Epoch(epoch), Need: binary.BigEndian.Uint32(b), Want: binary.BigEndian.Uint32(b[4:]), Hints: m.Hints[:0]}
	b = b[8:]
	count, n := types.UnsignedVInt(b)
	if n <= 0 || count > batchHintsMax {
		return fmt.Errorf("hint: a batch of %d hints", count)
	}
	b = b[n:]
	for range count {
		size, n := types.UnsignedVInt(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return fmt.Errorf("hint: a batch is cut short")
		}
		hint := b[n : n+int(size)]
		if err := row.CheckMutation(hint); err != nil {
			return err
		}
		m.Hints = append(m.Hints, hint)
		b = b[n+int(size):]
	}
	if len(b) > 0 {
		return fmt.Errorf("hint: %d bytes behind a batch", len(b))
	}
	return nil
}

func (m *batch) size() (n int) {
	for _, h := range m.Hints {
		n += len(h)
	}
	return n
}

// grant answers a batch, whose hints are applied: so many bytes may follow.
type grant struct{ Bytes uint32 }

// AppendTo implements wire.Message.
func (g *grant) AppendTo(dst []byte) []byte { return binary.BigEndian.AppendUint32(dst, g.Bytes) }

// Decode implements wire.Message.
func (g *grant) Decode(b []byte) error {
	if len(b) != 4 {
		return fmt.Errorf("hint: a grant of %d bytes", len(b))
	}
	g.Bytes = binary.BigEndian.Uint32(b)
	return nil
}

// Verbs are what this room answers others.
func (h *Hints) Verbs() []wire.Verb {
	return []wire.Verb{{ID: VerbHints, Name: "HINTS", Lane: wire.Large, Timeout: 10 * time.Second,
		NewRequest: func() wire.Message { return new(batch) }, NewResponse: func() wire.Message { return new(grant) }, Handle: h.receive}}
}
