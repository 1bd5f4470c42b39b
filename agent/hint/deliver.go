package hint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// delivery brings one queue to its node: it asks how many bytes the node takes,
// sends so many, and notes what arrived.
type delivery struct {
	h      *Hints
	q      *queue
	s      *segment
	reader *segmentReader
	grant  int
	need   int // bytes of the next hint, if the grant is too small for it
	// created is the time of the last hint that was looked at.
	created int64
	ended   chan struct{}
	call    wire.Call
	err     error
}

// errStopped ends a delivery that is wanted no more; nothing is wrong.
var errStopped = errors.New("stopped")

// deliver serves a queue until it is empty, or something stops it.
func (h *Hints) deliver(ctx context.Context, q *queue) error {
	d := &delivery{h: h, q: q, ended: make(chan struct{}, 1)}
	defer d.close()
	defer d.sent()
	for {
		d.sent()
		if err := d.open(); err != nil || d.reader == nil {
			return err
		}
		d.sends() // before it is asked what is wanted: Truncated waits for this batch, or it knows better
		b := d.next()
		if b == nil {
			continue // the rest of a segment was given up
		}
		if err := d.send(ctx, b); err != nil {
			if errors.Is(err, errStopped) {
				return nil
			}
			return err
		}
	}
}

func (d *delivery) sends() {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	d.q.sending = make(chan struct{})
}

// sent is told once nothing is on its way, however that ended.
func (d *delivery) sent() {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	if d.q.sending != nil {
		close(d.q.sending)
		d.q.sending = nil
	}
}

func (d *delivery) close() {
	if d.reader != nil {
		_ = d.reader.file.Close() // it was only read
		d.reader = nil
	}
}

// open makes reader stand at the next hint; nil when there is none.
func (d *delivery) open() error {
	h, q := d.h, d.q
	h.mu.Lock()
	var s *segment
	if len(q.segments) > 0 {
		s = q.segments[0]
	}
	offset, size := q.offset, int64(0)
	if s != nil {
		size = s.size
		if offset >= size && len(q.segments) > 1 { // it was the last one when its end was read
			q.advanceLocked(s, offset, d.created)
			s, offset, size = q.segments[0], q.offset, q.segments[0].size
		}
	}
	h.mu.Unlock()
	if s == nil || offset >= size {
		d.close()
		return nil
	}
	if d.reader != nil && d.s == s && d.reader.offset == offset {
		d.reader.end = size
		return nil
	}
	d.close()
	r, err := h.openReader(q.host, s, offset)
	if err != nil {
		d.s = s
		d.skip(size, err)
		return d.open()
	}
	r.end = size
	d.s, d.reader = s, r
	return nil
}

// skip gives up the rest of a segment that cannot be read.
func (d *delivery) skip(end int64, err error) {
	h := d.h
	h.opts.Log.Error("hints cannot be read; the node needs repair", "node", d.q.host.String(), "file", segmentName(d.q.host, d.s.number), "error", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.markLocked(d.q, schema.TableID{}, h.opts.Now())
	d.q.advanceLocked(d.s, end, d.created)
	h.dirty = true
}

// next gathers what the grant allows. Hints that are not to be delivered are
// left out: a batch may be empty.
func (d *delivery) next() *batch {
	h, r := d.h, d.reader
	state, now := h.opts.State(), h.opts.Now()
	b := &batch{Epoch: state.Epoch}
	sum := 0
	d.need = 0
	for len(b.Hints) < batchHintsMax {
		rec, size, err := r.next()
		if err != nil {
			switch {
			case len(b.Hints) > 0: // this first
			case errors.Is(err, errShort): // the end, maybe one that was being written when this node died
				r.offset = r.end
			default:
				d.skip(r.end, err)
				d.close()
				return nil
			}
			return b
		}
		m := d.wanted(state.Schema, rec, now)
		if m == nil {
			h.stats.Dropped.Add(1)
		} else if sum+len(m) > d.grant {
			d.need = len(m)
			return b
		} else {
			b.Hints = append(b.Hints, bytes.Clone(m))
			sum += len(m)
		}
		r.offset += int64(size)
		d.created = rec.created
	}
	return b
}

// wanted is what of a hint is to be delivered: not what is of tables that are
// gone or were truncated, nor what is older than their gc_grace_seconds, whose
// tombstones may be forgotten elsewhere. The latter needs repair.
func (d *delivery) wanted(s *schema.Schema, rec record, now time.Time) []byte {
	h := d.h
	var kept [][]byte
	count := 0
	m := row.ReadMutation(rec.mutation)
	for update, ok := m.Next(); ok; update, ok = m.Next() {
		count++
		id, _, err := row.PeekUpdate(update)
		if err != nil {
			return nil
		}
		t := s.Table(id)
		if t == nil || h.isTruncated(id, rec.created) {
			continue
		}
		grace := min(rec.grace, uint32(t.Options.GCGraceSeconds))
		if rec.created+int64(grace)*1000 < now.UnixMilli() {
			h.mu.Lock()
			h.markLocked(d.q, id, now)
			h.mu.Unlock()
			continue
		}
		kept = append(kept, update)
	}
	switch {
	case m.Err() != nil || len(kept) == 0:
		return nil
	case len(kept) == count:
		return rec.mutation
	}
	return row.AppendMutation(nil, kept...)
}

func (h *Hints) isTruncated(id schema.TableID, created int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.truncated[id]
	return ok && created <= at
}

// send brings a batch over and waits for what the node says.
func (d *delivery) send(ctx context.Context, b *batch) error {
	h := d.h
	if !h.reachable(d.q.host) || ctx.Err() != nil {
		return errStopped
	}
	if len(b.Hints) == 0 && d.need == 0 {
		d.advance(d.reader.offset) // nothing of it is wanted
		return nil
	}
	b.Need, b.Want = uint32(d.need), uint32(max(d.need, h.opts.BatchBytes))
	answer, err := d.ask(ctx, b)
	d.sent()
	if err != nil {
		return err
	}
	d.advance(d.reader.offset)
	h.stats.Delivered.Add(uint64(len(b.Hints)))
	d.grant = int(min(answer.Bytes, b.Want))
	wait := time.Duration(0)
	if rate := h.share(h.opts.Settings().BytesPerSec); rate > 0 {
		wait = time.Duration(b.size()) * time.Second / time.Duration(rate)
	}
	if d.grant == 0 || d.grant < d.need {
		wait = max(wait, grantPause)
	}
	if !pause(ctx, wait) {
		return errStopped
	}
	return nil
}

// grantPause is how long a node that takes no hints just now is left alone.
const grantPause = 500 * time.Millisecond

func (d *delivery) advance(offset int64) {
	h := d.h
	h.mu.Lock()
	defer h.mu.Unlock()
	d.q.advanceLocked(d.s, offset, d.created)
	h.dirty = true
}

func (d *delivery) ask(ctx context.Context, b *batch) (grant, error) {
	h := d.h
	n := h.opts.State().Node(d.q.host)
	if n == nil {
		return grant{}, errStopped
	}
	var answer grant
	d.call = wire.Call{Verb: VerbHints, Request: b, Timeout: h.opts.CallTimeout, Owner: &asking{d, &answer}}
	h.wire.Call(wire.Target{ID: n.HostID, Addr: n.Broadcast}, &d.call)
	<-d.ended // the call's time-out bounds it; wire ends it when the node stops
	if d.err != nil {
		return grant{}, fmt.Errorf("hint: deliver to %s: %w", n.HostID, d.err)
	}
	if ctx.Err() != nil {
		return answer, errStopped
	}
	return answer, nil
}

// asking takes the answer while it is valid.
type asking struct {
	d      *delivery
	answer *grant
}

// Answered implements wire.Owner.
func (a *asking) Answered(c *wire.Call) {
	if a.d.err = c.Err; c.Err == nil {
		*a.answer = *c.Response.(*grant)
	}
	a.d.ended <- struct{}{}
}
