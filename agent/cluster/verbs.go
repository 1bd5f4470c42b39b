package cluster

import (
	"context"
	"time"

	"helenus"
	"helenus/agent/wire"
)

// The verbs of this room have the ids 1 to 15.
const (
	verbMeet wire.VerbID = iota + 1
	verbPropose
	verbPull
	verbRaft
)

// offTick keeps a time-out from the moments of the loop's ticks, at which most
// calls begin: of a tick and a time-out at one moment either may come first, and
// a history that has been simulated would not come again.
const offTick = tickInterval * 3 / 10

// handler answers a request on the loop, by exactly one call of reply.
type handler func(from helenus.HostID, m wire.Message, reply func(wire.Message, error))

type verb struct {
	wire.Verb
	handle handler
}

func (l *Log) verbs() []verb {
	p := &l.loop
	return []verb{
		{wire.Verb{ID: verbMeet, Name: "META_MEET", Timeout: 2*time.Second - offTick,
			NewRequest: func() wire.Message { return new(facts) }, NewResponse: func() wire.Message { return new(facts) }},
			func(_ helenus.HostID, m wire.Message, reply func(wire.Message, error)) {
				promised, err := l.answerMeet(m.(*facts))
				out := l.facts()
				out.promised, out.round = promised.host, p.entry.round
				reply(out, err)
			}},
		{wire.Verb{ID: verbPropose, Name: "META_PROPOSE", Timeout: 3*time.Second - offTick,
			NewRequest: func() wire.Message { return new(proposal) }, NewResponse: func() wire.Message { return new(outcome) }},
			func(_ helenus.HostID, m wire.Message, reply func(wire.Message, error)) {
				prop := *m.(*proposal)
				p.submit(&prop, func(out *outcome) { reply(out, nil) })
			}},
		{wire.Verb{ID: verbPull, Name: "META_PULL", Timeout: 5*time.Second - offTick,
			NewRequest: func() wire.Message { return new(pullRequest) }, NewResponse: func() wire.Message { return new(pullAnswer) }},
			func(_ helenus.HostID, m wire.Message, reply func(wire.Message, error)) {
				out, err := p.answerPull(m.(*pullRequest))
				reply(out, err)
			}},
		{wire.Verb{ID: verbRaft, Name: "META_RAFT", Timeout: time.Second - offTick,
			NewRequest: func() wire.Message { return new(raftMessage) }, NewResponse: func() wire.Message { return new(raftAnswer) }},
			func(from helenus.HostID, m wire.Message, reply func(wire.Message, error)) {
				taken := *m.(*raftMessage)
				reply(p.answerRaft(from, &taken), nil)
			}},
	}
}

// Verbs are what this room answers to other nodes, while Run runs.
func (l *Log) Verbs() []wire.Verb {
	var out []wire.Verb
	for _, v := range l.verbs() {
		handle := v.handle
		v.Lane = wire.Urgent
		v.Handle = func(r *wire.Request) {
			l.serve(r.From, r.Message, handle, func(m wire.Message, err error) {
				if err != nil {
					r.Fail(err)
				} else {
					r.Reply(m)
				}
			})
		}
		out = append(out, v.Verb)
	}
	return out
}

// serve runs a handler on the loop.
func (l *Log) serve(from helenus.HostID, m wire.Message, handle handler, reply func(wire.Message, error)) {
	posted := l.loop.post(func() {
		if l.loop.ended {
			reply(nil, ErrClosed)
			return
		}
		handle(from, m, reply)
	})
	if !posted {
		reply(nil, ErrClosed)
	}
}

// answer is the end of a question to another node.
type answer[T any] struct {
	value T
	err   error
}

// question is a call whose answer is copied for somebody who waits.
type question[T any] struct {
	wire.Call
	end func(answer[T])
}

// Answered implements wire.Owner.
func (q *question[T]) Answered(*wire.Call) {
	var a answer[T]
	if a.err = q.Err; a.err == nil {
		a.value = *any(q.Response).(*T)
	}
	q.end(a)
}

// ask asks a node; end is called once, perhaps at once.
func ask[T any](l *Log, to wire.Target, v wire.VerbID, request wire.Message, end func(answer[T])) {
	q := &question[T]{end: end}
	q.Verb, q.Request, q.Owner = v, request, q
	l.loop.outside.Load().wire.Call(to, &q.Call)
}

// begin asks a node and gives the place where the answer will be.
func begin[T any](l *Log, to wire.Target, v wire.VerbID, request wire.Message) <-chan answer[T] {
	ch := make(chan answer[T], 1)
	ask(l, to, v, request, func(a answer[T]) { ch <- a })
	return ch
}

// await waits for an answer.
func await[T any](ctx context.Context, ch <-chan answer[T]) answer[T] {
	select {
	case a := <-ch:
		return a
	case <-ctx.Done():
		return answer[T]{err: ctx.Err()}
	}
}
