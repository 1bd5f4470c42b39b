package row

import (
	"bytes"
	"errors"

	"helenus/internal/token"
)

// Answers reads the Data of an Answer; it is Partitions, one after the other.
// What it gives aliases the bytes and its own buffers.
type Answers struct {
	c     *Command
	p     token.Partitioner
	rest  []byte
	at    answered
	begun bool
	keys  int
}

// answered is one partition of Answers.
type answered struct {
	e        Encoding
	reversed bool
	flat     bool // a table without clustering: one row
	key      Key
	deletion Deletion
	static   *Row
	statics  Scratch
	scratch  Scratch
	rest     []byte // from the next row or marker on
	last     []byte // Order before, to see that they follow each other
	values   []byte // of the last row
	rows     int
	open     Deletion
	ended    bool
	cut      bool
	err      error
}

// Reset begins to read what a replica answered to c.
func (a *Answers) Reset(b []byte, c *Command, p token.Partitioner) {
	a.c, a.p, a.rest, a.begun, a.keys = c, p, b, false, 0
}

// Next implements Partitions.
func (a *Answers) Next() (Partition, error) {
	if a.begun {
		if err := a.pass(); err != nil {
			return nil, err
		}
	}
	if len(a.rest) == 0 {
		return nil, nil
	}
	last := a.at.key
	if err := a.at.begin(a.rest, a.c, a.p); err != nil {
		return nil, wrap("read an answer", a.c.Table, err)
	}
	if !a.expected(last) {
		return nil, wrap("read an answer", a.c.Table, errors.New("a partition that was not asked for, or out of order"))
	}
	a.begun = true
	return &a.at, nil
}

// pass goes behind the partition given last.
func (a *Answers) pass() error {
	for !a.at.ended {
		if _, err := a.at.Next(); err != nil {
			return err
		}
	}
	a.begun, a.rest = false, a.at.rest
	return nil
}

// expected tells whether the key at hand may come where it does.
func (a *Answers) expected(last Key) bool {
	k, first := a.at.key, a.keys == 0
	a.keys++
	if a.c.Keys != nil {
		for ; a.keys <= len(a.c.Keys); a.keys++ {
			if bytes.Equal(a.c.Keys[a.keys-1].Bytes, k.Bytes) {
				return true
			}
		}
		return false
	}
	return (first || CompareKeys(last, k, a.p.CompareTie) < 0) && a.c.Start.AfterStart(k, a.p) && a.c.End.BeforeEnd(k, a.p)
}

// Close implements Partitions.
func (a *Answers) Close() error { return nil }

// Cut tells, once the partition given last has been read to its end, whether
// the replica may have more rows of it: those behind after, which is as
// Command's. Both alias the answer.
func (a *Answers) Cut() (after, values []byte, cut bool) {
	return a.at.last, a.at.values, a.at.ended && a.at.cut && len(a.at.last) > 0
}

func (p *answered) begin(b []byte, c *Command, by token.Partitioner) error {
	cur := cursor{b: b}
	flags := cur.byte()
	if flags&^byte(answerDeletion|answerStatic) != 0 {
		cur.fail("partition flags %#x", flags)
	}
	p.key = Key{Bytes: cur.block()}
	if n := len(p.key.Bytes); cur.err == nil && (n == 0 || n > KeySizeMax) {
		cur.fail("a partition key of %d bytes", n)
	}
	p.e = Encoding{Table: c.Table, Timestamp: cur.svint(), LocalTime: cur.svint()}
	p.deletion, p.static, p.open = Live(), nil, Live()
	p.reversed, p.flat = c.Filter.Reversed, len(c.Table.Clustering) == 0
	p.rows, p.last, p.values, p.ended, p.cut, p.err = 0, p.last[:0], nil, false, false, nil
	if flags&answerDeletion != 0 {
		p.deletion = p.e.readDeletion(&cur)
	}
	if flags&answerStatic != 0 && cur.err == nil {
		u, rest, err := p.e.Read(cur.b, &p.statics)
		switch {
		case err != nil:
			return err
		case u.Row == nil || !u.Row.Static:
			return errors.New("no static row where one must be")
		case !u.Row.isEmpty():
			p.static = u.Row
		}
		cur.b = rest
	}
	if cur.err != nil {
		return cur.err
	}
	p.key.Prefix, p.rest = by.Prefix(p.key.Bytes), cur.b
	return nil
}

// Key implements Partition.
func (p *answered) Key() Key { return p.key }

// Deletion implements Partition.
func (p *answered) Deletion() Deletion { return p.deletion }

// StaticRow implements Partition.
func (p *answered) StaticRow() *Row { return p.static }

// Close implements Partition.
func (p *answered) Close() error { return nil }

// Next implements Partition.
func (p *answered) Next() (*Unfiltered, error) {
	for !p.ended && p.err == nil {
		if len(p.rest) > 0 && p.rest[0]&^1 == answerEnd {
			p.ended, p.cut, p.rest = true, p.rest[0] == answerEndCut, p.rest[1:]
			if !p.open.IsLive() {
				p.err = errors.New("a range tombstone without end")
			}
			break
		}
		u, err := p.next()
		if err != nil {
			p.err = err
			break
		}
		if u.Row == nil || !u.Row.isEmpty() {
			return u, nil
		}
	}
	if p.err != nil {
		return nil, wrap("read an answer", p.e.Table, p.err)
	}
	return nil, nil
}

func (p *answered) next() (*Unfiltered, error) {
	if len(p.rest) > 0 && p.rest[0]&(flagMarker|flagMarkerEdge) == flagMarker|flagMarkerEdge {
		return p.edge()
	}
	u, rest, err := p.e.Read(p.rest, &p.scratch)
	if err != nil {
		return nil, err
	}
	p.rest = rest
	return u, p.follow(u)
}

// edge reads a marker at an end of a slice.
func (p *answered) edge() (*Unfiltered, error) {
	c := cursor{b: p.rest}
	flags := c.byte()
	if flags&^byte(flagMarker|flagMarkerEdge|flagMarkerBefore|flagMarkerAfter) != 0 {
		c.fail("marker flags %#x", flags)
	}
	m := &p.scratch.marker
	*m = Marker{Bound: Clustering{Order: c.block()}, Size: NoSize, Before: Live(), After: Live()}
	if c.err == nil && len(m.Bound.Order) == 0 {
		c.fail("a marker without place")
	}
	if flags&flagMarkerBefore != 0 {
		m.Before = p.e.readDeletion(&c)
	}
	if flags&flagMarkerAfter != 0 {
		m.After = p.e.readDeletion(&c)
	}
	if c.err == nil && m.Before == m.After {
		c.fail("a marker that changes nothing")
	}
	if c.err != nil {
		return nil, c.err
	}
	m.AfterPrefix = m.Bound.Order[len(m.Bound.Order)-1] == orderAfter
	p.rest, p.scratch.u = c.b, Unfiltered{Marker: m}
	return &p.scratch.u, p.follow(&p.scratch.u)
}

// follow checks that u may stand where it does.
func (p *answered) follow(u *Unfiltered) error {
	if u.Row != nil && u.Row.Static {
		return errors.New("a second static row")
	}
	order := u.order()
	if d := bytes.Compare(order, p.last); p.rows > 0 && (p.flat || d == 0 && u.Row != nil || d != 0 && (d < 0) != p.reversed) {
		return errors.New("rows out of order")
	}
	p.last = append(p.last[:0], order...)
	p.rows++
	if u.Row != nil {
		p.values = u.Row.Clustering.Values
	}
	if m := u.Marker; m != nil {
		was, is := m.Before, m.After
		if p.reversed {
			was, is = is, was
		}
		if p.flat || was != p.open {
			return errors.New("a marker that ends what was not open")
		}
		p.open = is
	}
	return nil
}
