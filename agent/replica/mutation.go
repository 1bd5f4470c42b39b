package replica

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/store/row"
)

// The flags of a Mutation on the wire.
const (
	mutationAcked     = 1 << iota // AckTo and ID follow
	mutationForwarded             // Forward follows
)

// Mutation is what a coordinator asks of a replica: to apply Bytes.
type Mutation struct {
	Epoch meta.Epoch
	// Forward are replicas of the receiver's datacenter that get the same from it.
	// They answer AckTo, the coordinator, themselves, by an Ack with this ID.
	Forward []helenus.HostID
	AckTo   helenus.HostID
	ID      uint64
	Bytes   []byte // a row.Mutation
}

// AppendTo implements wire.Message.
func (m *Mutation) AppendTo(dst []byte) []byte {
	dst = types.AppendUnsignedVInt(dst, uint64(m.Epoch))
	var flags byte
	if m.AckTo != (helenus.HostID{}) {
		flags |= mutationAcked
	}
	if len(m.Forward) > 0 {
		flags |= mutationForwarded
	}
	dst = append(dst, flags)
	if flags&mutationAcked != 0 {
		dst = binary.BigEndian.AppendUint64(append(dst, m.AckTo[:]...), m.ID)
	}
	if flags&mutationForwarded != 0 {
		dst = append(dst, byte(len(m.Forward)))
		for i := range m.Forward {
			dst = append(dst, m.Forward[i][:]...)
		}
	}
	return append(dst, m.Bytes...)
}

// Decode implements wire.Message. It looks no further than at the frames of the
// updates: the store reads them.
func (m *Mutation) Decode(b []byte) error {
	epoch, n := types.UnsignedVInt(b)
	if n <= 0 || n >= len(b) {
		return fmt.Errorf("replica: a mutation without epoch and flags")
	}
	flags := b[n]
	b = b[n+1:]
	*m = Mutation{Epoch: meta.Epoch(epoch), Forward: m.Forward[:0]}
	if flags&^(mutationAcked|mutationForwarded) != 0 || flags == mutationForwarded {
		return fmt.Errorf("replica: mutation flags %#x", flags)
	}
	if flags&mutationAcked != 0 {
		if len(b) < len(m.AckTo)+8 {
			return fmt.Errorf("replica: a mutation is cut short")
		}
		b = b[copy(m.AckTo[:], b):]
		m.ID, b = binary.BigEndian.Uint64(b), b[8:]
		if m.AckTo == (helenus.HostID{}) {
			return fmt.Errorf("replica: a mutation to be acknowledged to nobody")
		}
	}
	if flags&mutationForwarded != 0 {
		if len(b) == 0 || b[0] == 0 || len(b) < 1+16*int(b[0]) {
			return fmt.Errorf("replica: a list of replicas is cut short or empty")
		}
		for count := int(b[0]); len(m.Forward) < count; {
			i := len(m.Forward)
			m.Forward = append(m.Forward, helenus.HostID(b[1+16*i:]))
		}
		b = b[1+16*len(m.Forward):]
	}
	m.Bytes = b
	return row.CheckMutation(b)
}

// Ack tells a coordinator how a forwarded mutation went at the sender.
type Ack struct {
	ID     uint64
	Failed bool
	Reason uint16 // if it failed
}

// AppendTo implements wire.Message.
func (a *Ack) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, a.ID)
	if a.Failed {
		dst = binary.BigEndian.AppendUint16(dst, a.Reason)
	}
	return dst
}

// Decode implements wire.Message.
func (a *Ack) Decode(b []byte) error {
	switch len(b) {
	case 8:
		*a = Ack{ID: binary.BigEndian.Uint64(b)}
	case 10:
		*a = Ack{ID: binary.BigEndian.Uint64(b), Failed: true, Reason: binary.BigEndian.Uint16(b[8:])}
	default:
		return fmt.Errorf("replica: an acknowledgement of %d bytes", len(b))
	}
	return nil
}

func newMutation() wire.Message { return new(Mutation) }

// writeVerbs are the changes that this node makes for others.
func (r *Replica) writeVerbs() []wire.Verb {
	return []wire.Verb{
		{ID: VerbMutation, Name: "MUTATION", Lane: wire.Small, Timeout: 2 * time.Second, NewRequest: newMutation,
			Handle: func(q *wire.Request) { r.atEpoch(q.Message.(*Mutation).Epoch, q, (*Replica).mutate) }},
		{ID: VerbTruncate, Name: "TRUNCATE", Lane: wire.Small, Timeout: time.Minute, NewRequest: newTruncation,
			Handle: func(q *wire.Request) { r.atEpoch(q.Message.(*Truncation).Epoch, q, (*Replica).truncate) }},
	}
}

// served is a mutation of another node's on its way to the store.
type served struct {
	r       *Replica
	request *wire.Request
	write   Write
}

// mutate applies a mutation and passes it on where it is asked to.
func (r *Replica) mutate(q *wire.Request) {
	m := q.Message.(*Mutation)
	for i := range m.Forward {
		r.forward(q, m, m.Forward[i])
	}
	s, _ := r.served.Get().(*served)
	if s == nil {
		s = &served{r: r}
	}
	s.request, s.write.Mutation, s.write.Owner = q, m.Bytes, s
	r.Write(&s.write)
}

// Written implements Owner.
func (s *served) Written(*Write) {
	r, q, err := s.r, s.request, s.write.Err
	s.request, s.write.Mutation, s.write.Err = nil, nil, nil
	r.served.Put(s)
	m := q.Message.(*Mutation)
	if m.AckTo != (helenus.HostID{}) && len(m.Forward) == 0 {
		r.acknowledge(m, err)
	}
	if err != nil {
		q.Fail(Failed(ReasonOf(err), "%s", err.Error()))
		return
	}
	q.Reply(nil)
}

// passed is a call that nobody waits for: what was to be known of it comes, or
// does not come, to the coordinator.
type passed struct {
	pool     *sync.Pool
	call     wire.Call
	mutation Mutation
	ack      Ack
}

// Answered implements wire.Owner.
func (p *passed) Answered(*wire.Call) {
	p.mutation.Bytes, p.call.Request = nil, nil
	p.pool.Put(p)
}

func (r *Replica) passed(v wire.VerbID, timeout time.Duration) *passed {
	p, _ := r.passing.Get().(*passed)
	if p == nil {
		p = &passed{pool: &r.passing}
	}
	p.call.Verb, p.call.Timeout, p.call.Owner = v, timeout, p
	return p
}

// forward sends a mutation on to a replica nearby, which answers the coordinator.
func (r *Replica) forward(q *wire.Request, m *Mutation, id helenus.HostID) {
	to, ok := r.find(id)
	left := time.Until(q.Deadline())
	if !ok || left <= 0 {
		return // the coordinator asks it directly when it hears nothing
	}
	p := r.passed(VerbMutation, left)
	p.mutation = Mutation{Epoch: m.Epoch, AckTo: m.AckTo, ID: m.ID, Bytes: m.Bytes}
	p.call.Request = &p.mutation
	r.wire.Call(to, &p.call)
}

func (r *Replica) acknowledge(m *Mutation, err error) {
	to, ok := r.find(m.AckTo)
	if !ok {
		return
	}
	p := r.passed(VerbAck, ackTimeout)
	p.ack = Ack{ID: m.ID, Failed: err != nil, Reason: ReasonOf(err)}
	p.call.Request = &p.ack
	r.wire.Call(to, &p.call)
}

// ackTimeout is how long a connection may take to come up for an Ack; by then
// its coordinator has given up.
const ackTimeout = 5 * time.Second

// find is where a node is reached.
func (r *Replica) find(id helenus.HostID) (wire.Target, bool) {
	if r.opts.States == nil || r.wire == nil {
		return wire.Target{}, false
	}
	n := r.opts.States.State().Node(id)
	if n == nil {
		return wire.Target{}, false
	}
	return wire.Target{ID: id, Addr: n.Broadcast}, true
}
