package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"helenus"
)

// run is a link's goroutine: it connects, writes until the connection ends and
// fails what is left. A call that came while an idle connection was being closed
// gets a new one.
func (l *link) run() {
	for {
		nc, err := l.connect()
		if err == nil {
			l.serve(nc)
		} else if nc != nil {
			_ = nc.Close() // err says more
		}
		if !l.down(err) {
			return
		}
	}
}

// connect dials and exchanges hellos.
func (l *link) connect() (net.Conn, error) {
	o := &l.w.opts
	ctx, cancel := context.WithTimeout(context.Background(), o.ConnectTimeout)
	defer cancel()
	l.mu.Lock()
	l.stop = cancel
	cause := l.cause
	l.mu.Unlock()
	if cause != nil {
		return nil, cause
	}
	nc, err := o.Net.Dial(ctx, l.p.to.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	l.mu.Lock()
	l.nc = nc
	cause = l.cause
	l.mu.Unlock()
	if cause != nil {
		return nc, cause
	}
	if err := nc.SetDeadline(time.Now().Add(o.ConnectTimeout)); err != nil {
		return nc, fmt.Errorf("connect: %w", err)
	}
	me := l.w.hello(l.lane, l.p.to.ID)
	if _, err := nc.Write(appendHello(nil, &me)); err != nil {
		return nc, fmt.Errorf("say hello: %w", err)
	}
	answer, err := readWelcome(nc)
	if err != nil {
		return nc, fmt.Errorf("wait for the answer to hello: %w", err)
	}
	if err := l.accepts(&answer); err != nil {
		return nc, err
	}
	l.p.feature.Store(answer.feature)
	l.lz4.Store(answer.lz4)
	return nc, nc.SetDeadline(time.Time{})
}

func (w *Wire) hello(lane Lane, to helenus.HostID) hello {
	id := w.opts.Identity()
	return hello{min: versionMin, max: versionMax, lane: lane, lz4: !w.opts.NoCompression, feature: id.Feature,
		cluster: id.Cluster, from: w.opts.Self.ID, to: to, key: id.Key}
}

// accepts is this side's word on the answer to its hello.
func (l *link) accepts(a *welcome) error {
	refused := func(reason string) error { return &Error{Kind: Refused, To: l.p.to, Reason: reason} }
	switch want := l.p.to.ID; {
	case a.status != statusWelcome:
		return refused(a.reason)
	case a.version < versionMin || a.version > versionMax:
		return garbagef("the peer chose version %d of %d to %d", a.version, versionMin, versionMax)
	case want != (helenus.HostID{}) && a.from != want:
		return refused(fmt.Sprintf("this is host %s", a.from))
	}
	return nil
}

// serve writes while another goroutine reads; it returns when both are done.
func (l *link) serve(nc net.Conn) {
	now := l.w.now()
	l.moved.Store(int64(now))
	l.mu.Lock()
	l.state, l.upSince, l.lastPing = linkUp, now, now
	l.dueLocked(now + l.w.opts.HeartbeatInterval)
	l.mu.Unlock()
	read := make(chan struct{})
	go func() {
		defer close(read)
		l.cut(l.readLoop(nc))
	}()
	l.writeLoop(nc)
	_ = nc.Close() // ends the reader
	<-read
}

func (l *link) writeLoop(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.out) == 0 && l.cause == nil {
			l.work.Wait()
		}
		if l.cause != nil {
			return
		}
		b := l.takeLocked(l.w.now())
		if len(b) == 0 {
			continue // all who waited have given up
		}
		l.writing = true
		l.mu.Unlock()
		_, err := nc.Write(b)
		l.mu.Lock()
		l.writing = false
		l.unwritten = 0
		if cap(b) <= 2*keepBytes {
			l.spare = b
		}
		if err != nil && l.cause == nil {
			l.cause = fmt.Errorf("write: %w", err)
		}
	}
}

// readLoop ends calls with the answers that come. It never writes: its peer may
// be waiting for it to read.
func (l *link) readLoop(nc net.Conn) error {
	r := frameReader{bodyMax: l.w.opts.FrameBytesMax + rawBytes, budget: l.w.opts.Budget}
	defer r.release()
	var scratch []byte
	for {
		n, err := nc.Read(r.room())
		l.moved.Store(int64(l.w.now()))
		r.fill(n)
		l.setDraining(true)
		broken := l.drain(&r, &scratch)
		l.setDraining(false)
		if cap(scratch) > keepBytes {
			scratch = nil
		}
		switch {
		case broken != nil:
			return broken
		case errors.Is(err, io.EOF):
			return errors.New("the peer closed the connection")
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
	}
}

func (l *link) setDraining(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = on
	if !on {
		l.settleLocked()
		if len(l.out) > 0 {
			l.wakeLocked()
		}
	}
}

func (l *link) drain(r *frameReader, scratch *[]byte) error {
	for {
		h, body, denied, ok, err := r.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return nil
		case h.kind == kindPong:
			continue
		case h.kind != kindResponse && h.kind != kindFailure:
			return garbagef("a frame of kind %d as an answer", h.kind)
		}
		o, err := l.take(&h)
		if err != nil {
			return err
		}
		if o.call == nil {
			continue
		}
		if denied {
			count(o.verb, l.overloaded)
			o.call.end(failed(l.p.to, helenus.CodeOverloaded, "this node has no memory for the answer"))
			continue
		}
		if err := l.end(o, &h, body, scratch); err != nil {
			return err
		}
	}
}

// take finds the call that an answer is for; none if its caller has given up.
func (l *link) take(h *header) (ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, known := l.calls.get(h.id)
	switch {
	case !known:
		return ended{}, garbagef("an answer to what was never asked, id %#x", h.id)
	case s == nil:
		if v := l.w.verb(h.verb); v != nil {
			v.stats.late.Add(1)
		}
		return ended{}, nil
	case s.verb.ID != h.verb:
		return ended{}, garbagef("an answer to %s as verb %d", s.verb.Name, h.verb)
	}
	o := ended{s.call, s.verb}
	l.calls.remove(h.id)
	return o, nil
}

// end ends a call with its answer. Whatever is wrong with the answer, the call
// has left its slot and has to be told.
func (l *link) end(o ended, h *header, body []byte, scratch *[]byte) error {
	broken := func(err error) error {
		e := l.errorOf(err)
		count(o.verb, e)
		o.call.end(e)
		return err
	}
	n, err := h.rawLen(body, l.w.opts.FrameBytesMax)
	if err != nil {
		return broken(err)
	}
	extra := int64(n - len(body))
	if extra > 0 {
		if !l.w.opts.Budget.Charge(extra) {
			count(o.verb, l.overloaded)
			o.call.end(failed(l.p.to, helenus.CodeOverloaded, "this node has no memory for the answer"))
			return nil
		}
		defer l.w.opts.Budget.Release(extra)
	}
	raw, err := h.unpack(*scratch, body, n)
	if err != nil {
		return broken(err)
	}
	if h.flags&frameLZ4 != 0 {
		*scratch = raw
	}
	if h.kind == kindFailure {
		e := failed(l.p.to, helenus.ErrorCode(h.arg), bounded(string(raw)))
		count(o.verb, e)
		o.call.end(e)
		return nil
	}
	m, err := decode(&o.verb.responses, o.verb.NewResponse, raw)
	if err != nil {
		e := failed(l.p.to, helenus.CodeProtocol, fmt.Sprintf("the answer to %s does not decode: %v", o.verb.Name, err))
		count(o.verb, e)
		o.call.end(e)
		return nil
	}
	o.call.Response, o.call.Err = m, nil
	o.call.Owner.Answered(o.call)
	recycle(&o.verb.responses, m)
	return nil
}

// down ends what the connection has left behind; true if calls wait for the
// next one.
func (l *link) down(err error) bool {
	l.lz4.Store(false)
	now := l.w.now()
	l.mu.Lock()
	if l.cause != nil {
		err = l.cause
	}
	l.nc, l.stop, l.cause, l.unwritten, l.spare = nil, nil, nil, 0, nil
	if errors.Is(err, errIdle) {
		l.failures, l.retryAt = 0, now
		again := l.calls.used() > 0
		l.state = linkDown
		if again {
			l.state = linkConnecting
		}
		l.settleLocked()
		l.mu.Unlock()
		return again
	}
	if l.state == linkUp && now-l.upSince >= l.w.opts.BackoffMax {
		l.failures = 0
	}
	l.state, l.refusal = linkDown, l.errorOf(err)
	l.retryAt = now + l.backoff(l.failures)
	l.failures++
	over := l.calls.takeAll()
	l.out = nil
	l.settleLocked()
	refusal := l.refusal
	l.mu.Unlock()
	l.note(err)
	for _, o := range over {
		count(o.verb, refusal)
		o.call.end(refusal)
	}
	return false
}

// backoff is how long to wait after so many failures: half of it for certain,
// the other half by chance, so that nodes do not come back all at once.
func (l *link) backoff(failures int) time.Duration {
	d := l.w.opts.BackoffMin
	for range failures {
		if d >= l.w.opts.BackoffMax/2 {
			d = l.w.opts.BackoffMax
			break
		}
		d *= 2
	}
	var b [8]byte
	l.w.opts.Rand(b[:])
	return d/2 + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(d/2+1))
}

func (l *link) note(err error) {
	var e *Error
	log := l.w.opts.Log.With("peer", l.p.to.String(), "lane", l.lane.String())
	switch {
	case isGarbage(err):
		l.w.stats.garbage.Add(1)
		log.Warn("peer sent garbage, connection cut", "reason", err.Error())
	case errors.As(err, &e) && e.Kind == Refused:
		log.Warn("peer refused this node", "reason", e.Reason)
	case !errors.Is(err, errClosing):
		log.Debug("connection lost", "reason", err.Error())
	}
}
