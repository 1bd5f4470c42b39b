package cluster

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"

	"helenus"
)

// What a leader does with proposals. One at a time is on its way, so that each is
// applied to a State that is decided.

var errMany = helenus.Errorf(helenus.CodeOverloaded, "%d changes of metadata are waiting already: try again later", submissionsMax)

func (g *group) submit(prop *proposal, answer func(*outcome)) {
	switch {
	case g.node.BasicStatus().RaftState != raft.StateLeader:
		answer(g.p.redirect())
	case len(g.queue) >= submissionsMax:
		answer(g.p.outcomeOf(errMany))
	default:
		g.queue = append(g.queue, submission{prop: prop, answer: answer})
	}
}

// pump goes on with the first proposal of the queue.
func (g *group) pump() {
	if len(g.queue) == 0 {
		return
	}
	if g.node.BasicStatus().RaftState != raft.StateLeader {
		g.dropQueue()
		return
	}
	for len(g.queue) > 0 && g.proposed == 0 && g.leads() {
		head := &g.queue[0]
		_, e, err := g.p.l.evaluate(head.prop)
		if err == nil && e.epoch != 0 {
			if err := g.node.Propose(encodeRaftEntry(e)); err != nil {
				g.dropQueue()
				return
			}
			g.proposed = e.epoch
			return
		}
		// Nothing will be decided, so nothing shows that this node still leads and
		// that its State is the newest: it asks the others before it answers.
		if !g.confirm(head) {
			return
		}
		g.answerFirst(g.p.outcomeOf(err))
	}
}

// confirm tells whether this node led after the proposal had come and has applied
// all that was decided until then; at first it asks.
func (g *group) confirm(head *submission) bool {
	if head.confirmed && g.read.asked == g.asked && g.read.index > 0 {
		return g.applied >= g.read.index
	}
	if !head.confirmed {
		head.confirmed = true
		g.asked++
		g.node.ReadIndex(readContext(g.asked))
	}
	return false
}

func readContext(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (g *group) answerFirst(out *outcome) {
	head := g.queue[0]
	g.queue = g.queue[1:]
	out.leader = g.p.l.self
	head.answer(out)
}

// settleProposed answers the proposal whose entry was applied.
func (g *group) settleProposed() {
	if g.proposed == 0 || len(g.queue) == 0 || g.p.l.State().Epoch < g.proposed {
		return
	}
	g.proposed = 0
	_, found, _ := g.p.l.published.Load().history.find(g.queue[0].prop.id, g.queue[0].prop.base)
	if found {
		g.answerFirst(g.p.outcomeOf(nil))
	}
	// Else another leader was faster, and this node will notice that it leads no more.
}

// dropQueue sends all proposals to whoever leads now. What was on its way may
// still be decided; their owners ask again by the same id.
func (g *group) dropQueue() {
	queue := g.queue
	g.queue, g.proposed = nil, 0
	for _, s := range queue {
		s.answer(g.p.redirect())
	}
}
