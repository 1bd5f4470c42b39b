package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/internal/budget"
)

// peer is another node as this one asks it.
type peer struct {
	to      Target
	budget  *budget.Budget // what is under way to it, on all lanes
	feature atomic.Uint32  // its feature level when it last said hello
	links   [laneCount]link
}

func newPeer(w *Wire, to Target) *peer {
	p := &peer{to: to, budget: budget.New(to.String(), int64(w.opts.PeerBytes))}
	for i := range p.links {
		l := &p.links[i]
		l.w, l.p, l.lane, l.lastCall = w, p, Lane(i), w.now()
		l.overloaded = failed(to, helenus.CodeOverloaded, "too much is under way to this node")
		l.work = sync.NewCond(&l.mu)
		l.due.Store(int64(never))
	}
	return p
}

// retireAfter is how long a target is remembered without a call.
const retireAfter = time.Hour

// retire marks the links of a peer as gone if all of them are long unused.
func (p *peer) retire(now time.Duration) bool {
	for i := range p.links {
		p.links[i].mu.Lock()
		defer p.links[i].mu.Unlock()
	}
	for i := range p.links {
		if l := &p.links[i]; l.state != linkDown || now-l.lastCall < retireAfter {
			return false
		}
	}
	for i := range p.links {
		p.links[i].gone = true
	}
	return true
}

// isBack makes the next call to a node try to connect: it has just connected to
// this one, so what kept the last attempts from it is over, as a rule.
func (w *Wire) isBack(id helenus.HostID) {
	w.mu.Lock()
	order := w.order
	w.mu.Unlock()
	for _, p := range order {
		if p.to.ID != id {
			continue
		}
		for i := range p.links {
			l := &p.links[i]
			l.mu.Lock()
			l.retryAt, l.failures = 0, 0
			l.mu.Unlock()
		}
	}
}

type linkState uint8

const (
	linkDown linkState = iota
	linkConnecting
	linkUp
)

func (s linkState) String() string { return [...]string{"down", "connecting", "up"}[s] }

// link is one lane to a peer: at most one connection, made when it is needed,
// and the calls that are under way on it. Its goroutine lives as long as the
// connection, or the attempt at one.
type link struct {
	w          *Wire
	p          *peer
	lane       Lane
	overloaded *Error

	lz4   atomic.Bool  // the peer takes compressed frames
	moved atomic.Int64 // when something last came, as a time.Duration since Wire.began
	// due is when tick has something to do, likewise; set under mu, and read without
	// it: most links of a large cluster are down and have nothing.
	due atomic.Int64

	mu       sync.Mutex // guards what follows
	work     *sync.Cond // the writer, and nobody else, waits here
	state    linkState
	gone     bool // forgotten: whoever has this link looks for another
	nc       net.Conn
	stop     context.CancelFunc // ends an attempt
	cause    error              // why the connection is ending
	refusal  *Error             // what calls end with until retryAt
	retryAt  time.Duration
	failures int
	upSince  time.Duration
	lastCall time.Duration
	lastPing time.Duration

	calls     slots
	out       []byte // frames to be written
	outSince  time.Duration
	unwritten int // bytes taken from out that the socket has not taken
	spare     []byte
	charged   int  // bytes charged, never less than owedLocked
	draining  bool // the reader will wake the writer
	writing   bool // the writer is at it and will look again
}

const (
	// callBytes is what a call costs beside its frame.
	callBytes = 256
	// chargeBytes is the least that is charged at once: the calls of a round
	// share one charge.
	chargeBytes = 16 << 10
	// staleAfter is how long frames may wait before what they say about the time
	// that is left is put right.
	staleAfter = 2 * time.Millisecond
)

// call takes a call over; false if the link is gone.
func (l *link) call(v *verb, c *Call, timeout time.Duration) bool {
	o := &l.w.opts
	e := l.w.encoders.Get().(*encoder)
	e.encode(c.Request, l.lz4.Load(), o.CompressBytes)
	var err *Error
	if len(e.body) > o.FrameBytesMax {
		// Not CodeInvalid, by which a node says that it knows other tables.
		err = failed(l.p.to, helenus.CodeServer, "the request is longer than a frame may be")
	} else {
		now := l.w.now()
		l.mu.Lock()
		if l.gone {
			l.mu.Unlock()
			l.w.encoders.Put(e)
			return false
		}
		if err = l.admitLocked(now, headerBytes+len(e.payload)); err == nil {
			l.enqueueLocked(v, c, e, now, timeout)
		}
		l.mu.Unlock()
	}
	e.shrink()
	l.w.encoders.Put(e)
	if err != nil {
		count(v, err)
		c.end(err)
	}
	return true
}

// count notes how a call ended.
func count(v *verb, err *Error) {
	switch err.Kind {
	case Timeout:
		v.stats.timedOut.Add(1)
	case Overloaded:
		v.stats.overloaded.Add(1)
	case Failed:
		v.stats.failed.Add(1)
	default:
		v.stats.broken.Add(1)
	}
}

// admitLocked decides whether a frame of size may be queued.
func (l *link) admitLocked(now time.Duration, size int) *Error {
	l.lastCall = now
	if l.calls.used() >= l.w.opts.InFlightMax {
		return l.overloaded
	}
	if l.cause != nil && !errors.Is(l.cause, errIdle) {
		return l.errorOf(l.cause)
	}
	if l.state == linkDown && now < l.retryAt {
		return l.refusal
	}
	if need := l.owedLocked() + size + callBytes - l.charged; need > 0 &&
		!l.chargeLocked(max(need, chargeBytes)) && !l.chargeLocked(need) {
		return l.overloaded
	}
	if l.state == linkDown {
		l.state = linkConnecting
		if !l.w.start(l.run) {
			l.state = linkDown
			l.settleLocked()
			return l.errorOf(errClosing)
		}
	}
	return nil
}

func (l *link) enqueueLocked(v *verb, c *Call, e *encoder, now, timeout time.Duration) {
	id := l.calls.put(c, v, now+timeout)
	if len(l.out) == 0 {
		l.outSince = now
	}
	l.out = appendFrame(l.out, e.header(kindRequest, v.ID, id, micros(timeout)), e.payload)
	if at, _ := l.calls.first(); at == now+timeout {
		l.dueLocked(at)
	}
	l.wakeLocked()
}

// dueLocked makes tick look at that time at the latest.
func (l *link) dueLocked(at time.Duration) {
	l.due.Store(min(l.due.Load(), int64(at)))
	l.w.wakeAt(at)
}

func (l *link) wakeLocked() {
	if !l.draining && !l.writing {
		l.work.Signal()
	}
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}

// owedLocked is how much memory the calls hold here. It is computed, not kept,
// so that it cannot drift.
func (l *link) owedLocked() int { return len(l.out) + l.unwritten + l.calls.used()*callBytes }

func (l *link) chargeLocked(n int) bool {
	if !l.p.budget.Charge(int64(n)) {
		return false
	}
	if !l.w.opts.Budget.Charge(int64(n)) {
		l.p.budget.Release(int64(n))
		return false
	}
	l.charged += n
	return true
}

func (l *link) settleLocked() {
	if d := l.charged - l.owedLocked(); d > 0 {
		l.p.budget.Release(int64(d))
		l.w.opts.Budget.Release(int64(d))
		l.charged -= d
	}
}

func (l *link) errorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Unreachable, To: l.p.to, Reason: err.Error()}
}

// takeLocked gives the writer what waits. What waited for long has less time
// left than it says, and some of its callers may have given up.
func (l *link) takeLocked(now time.Duration) []byte {
	b := l.out
	if now-l.outSince > staleAfter {
		b = l.sweepLocked(b, now)
	}
	l.out, l.spare, l.unwritten = l.spare[:0], nil, len(b)
	return b
}

func (l *link) sweepLocked(b []byte, now time.Duration) []byte {
	kept := b[:0]
	for len(b) > 0 {
		n := headerBytes + int(binary.BigEndian.Uint32(b))
		frame := b[:n]
		b = b[n:]
		if kind(frame[4]) == kindRequest {
			s, _ := l.calls.get(binary.BigEndian.Uint64(frame[8:]))
			if s == nil {
				continue
			}
			patchArg(frame, micros(s.deadline-now))
		}
		kept = append(kept, frame...)
	}
	return kept
}

// tick ends calls whose time is over and looks after the connection.
func (l *link) tick(now time.Duration) time.Duration {
	if due := time.Duration(l.due.Load()); now < due {
		return due
	}
	l.mu.Lock()
	var over []ended
	for {
		at, id := l.calls.first()
		if at > now {
			break
		}
		s, _ := l.calls.get(id)
		over = append(over, ended{s.call, s.verb})
		l.calls.remove(id)
	}
	next, _ := l.calls.first()
	var cut error
	if l.state == linkUp && l.cause == nil {
		var due time.Duration
		due, cut = l.healthLocked(now)
		next = min(next, due)
	}
	l.settleLocked()
	l.due.Store(int64(next))
	l.mu.Unlock()
	for _, o := range over {
		e := &Error{Kind: Timeout, To: l.p.to, Reason: "no answer to " + o.verb.Name + " in time"}
		count(o.verb, e)
		o.call.end(e)
	}
	if cut != nil {
		l.cut(cut)
	}
	return next
}

// ended is a call that has left its slot.
type ended struct {
	call *Call
	verb *verb
}

var (
	errSilent = errors.New("nothing has come for too long; the connection is cut")
	errIdle   = errors.New("the connection was not needed any more")
)

// healthLocked sends a heartbeat when nothing came for a while; a peer that
// answers none is as good as gone, though its connection stands.
func (l *link) healthLocked(now time.Duration) (next time.Duration, cut error) {
	o := &l.w.opts
	moved := time.Duration(l.moved.Load())
	switch {
	case now-moved >= o.SilenceMax:
		l.w.stats.halfOpen.Add(1)
		return never, errSilent
	case l.calls.used() == 0 && len(l.out) == 0 && l.unwritten == 0 && now-l.lastCall >= o.IdleTimeout:
		return never, errIdle
	}
	beat := max(moved, l.lastPing) + o.HeartbeatInterval
	if beat <= now {
		l.lastPing = now
		beat = now + o.HeartbeatInterval
		if len(l.out) == 0 {
			l.outSince = now
		}
		l.out = appendFrame(l.out, header{kind: kindPing}, nil)
		l.wakeLocked()
	}
	next = min(beat, moved+o.SilenceMax)
	if idle := l.lastCall + o.IdleTimeout; idle > now {
		next = min(next, idle)
	}
	return next, nil
}

// cut ends the connection, or the attempt at one; the link's goroutine notices.
func (l *link) cut(cause error) {
	l.mu.Lock()
	if l.state == linkDown {
		l.mu.Unlock()
		return
	}
	if l.cause == nil || errors.Is(cause, errClosing) {
		l.cause = cause
	}
	nc, stop := l.nc, l.stop
	l.work.Broadcast()
	l.mu.Unlock()
	if stop != nil {
		stop()
	}
	if nc != nil {
		_ = nc.Close() // what it would say is in cause
	}
}
