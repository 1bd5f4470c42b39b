package system

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"helenus"
	"helenus/store/row"
)

// The bounds of what is remembered of traced requests.
const (
	traceCountMax = 1000
	traceEventMax = 1000
)

// Traces remembers what the latest traced requests did, for system_traces. It
// keeps them in memory: a trace is read at once or never. A session's id names
// the node that has it, so that any other can ask there.
type Traces struct {
	mu    sync.Mutex
	byID  map[[16]byte]*Trace
	order [][16]byte     // oldest first
	ticks uint64         // of the latest event: ids rise also within one moment
	node  netip.AddrPort // this node, internode
}

// NewTraces makes an empty memory; node is this node's internode address.
func NewTraces(node netip.AddrPort) *Traces {
	return &Traces{byID: make(map[[16]byte]*Trace), node: node}
}

// Session describes a traced request.
type Session struct {
	ID         [16]byte
	Client     netip.Addr
	Command    string // QUERY, PREPARE, EXECUTE, BATCH
	Request    string // such as "Execute CQL3 query"
	Parameters map[string]string
	Started    time.Time
}

// Trace is one traced request; its methods may be called by any goroutine.
type Trace struct {
	owner   *Traces
	session Session
	micros  int // duration; -1 until Finish
	events  []traceEvent
}

type traceEvent struct {
	id       [16]byte
	activity string
	micros   int
	thread   string
}

// Start begins a trace. The oldest is forgotten when there are too many.
func (t *Traces) Start(s Session) *Trace {
	tr := &Trace{owner: t, session: s, micros: -1}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == traceCountMax {
		delete(t.byID, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
	t.byID[s.ID] = tr
	t.order = append(t.order, s.ID)
	return tr
}

// Event notes an activity at a moment.
func (tr *Trace) Event(now time.Time, activity string) {
	tr.owner.mu.Lock()
	defer tr.owner.mu.Unlock()
	if len(tr.events) == traceEventMax {
		return
	}
	tr.owner.ticks = max(tr.owner.ticks+1, ticks(now))
	tr.events = append(tr.events, traceEvent{id: timeUUID(tr.owner.ticks), activity: activity,
		micros: int(now.Sub(tr.session.Started).Microseconds()), thread: "query"})
}

// Finish notes how long the request took; readers wait for that.
func (tr *Trace) Finish(now time.Time) {
	tr.owner.mu.Lock()
	defer tr.owner.mu.Unlock()
	tr.micros = int(now.Sub(tr.session.Started).Microseconds())
}

func (t *Traces) sessions() (out []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.order {
		tr := t.byID[id]
		rec := Record{"session_id": id, "client": tr.session.Client, "command": tr.session.Command,
			"coordinator": t.node.Addr(), "coordinator_port": int(t.node.Port()), "parameters": tr.session.Parameters,
			"request": tr.session.Request, "started_at": tr.session.Started}
		if tr.micros >= 0 {
			rec["duration"] = tr.micros
		}
		out = append(out, rec)
	}
	return out
}

func (t *Traces) events() (out []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.order {
		for _, e := range t.byID[id].events {
			out = append(out, Record{"session_id": id, "event_id": e.id, "activity": e.activity, "source": t.node.Addr(),
				"source_port": int(t.node.Port()), "source_elapsed": e.micros, "thread": e.thread})
		}
	}
	return out
}

// SessionNode is the last half of the id of a session that a node makes, as
// types.TimeUUIDFromMicros takes it: two bytes of chance, and the end of the
// node's host id with the bit that tells it from the address of a network card
// (RFC 9562, 6.10).
func SessionNode(self helenus.HostID, chance [2]byte) (node [8]byte) {
	copy(node[:], chance[:])
	copy(node[2:], self[10:])
	node[2] |= 1
	return node
}

// holder finds the member that made a session.
func (t *Tables) holder(session []byte) (helenus.HostID, bool) {
	for _, n := range t.env.State().Nodes {
		if node := SessionNode(n.HostID, [2]byte{}); len(session) == 16 && [6]byte(session[10:]) == [6]byte(node[2:]) {
			return n.HostID, true
		}
	}
	return helenus.HostID{}, false
}

// Elsewhere names the member that has what a command asks for, if it is another
// one: a traced session, or its events.
func (t *Tables) Elsewhere(cmd *row.Command) (helenus.HostID, bool) {
	if t.env.Traces == nil || cmd.Table.Keyspace != "system_traces" || len(cmd.Keys) != 1 {
		return helenus.HostID{}, false
	}
	id, ok := t.holder(cmd.Keys[0].Bytes)
	return id, ok && id != t.env.Self
}

// ticks are the units of 100 ns since 1582-10-15 that a time UUID counts.
func ticks(t time.Time) uint64 {
	const epochOffset = 0x01B21DD213814000 // at 1970
	return uint64(t.UnixMicro())*10 + epochOffset
}

// timeUUID makes a version 1 UUID; only its time tells it from others.
func timeUUID(ticks uint64) (id [16]byte) {
	binary.BigEndian.PutUint32(id[0:], uint32(ticks))
	binary.BigEndian.PutUint16(id[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(id[6:], uint16(ticks>>48)&0x0fff|0x1000)
	id[8] = 0x80
	return id
}
