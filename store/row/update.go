package row

import (
	"bytes"
	"errors"
	"fmt"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// UpdateVersion is the first byte of every update; docs/format/mutation.md.
const UpdateVersion = 1

// KeySizeMax is the most bytes a partition key may have: files write its
// length in 16 bits.
const KeySizeMax = 65535

const (
	updateDeletion = 0x01
	updateStatic   = 0x02
)

// AppendUpdate appends a partition as an update of t, reading p to its end.
func AppendUpdate(dst []byte, t *schema.Table, p Partition) ([]byte, error) {
	first, err := p.Next()
	if err != nil {
		return dst, err
	}
	e := Encoding{Table: t}
	e.Timestamp, e.LocalTime = bases(p, first)
	var flags byte
	if !p.Deletion().IsLive() {
		flags |= updateDeletion
	}
	if p.StaticRow() != nil {
		flags |= updateStatic
	}
	dst = append(dst, UpdateVersion, flags)
	dst = append(dst, t.ID[:]...)
	dst = appendBlock(dst, p.Key().Bytes)
	dst = appendSVInt(dst, e.Timestamp)
	dst = appendSVInt(dst, e.LocalTime)
	if flags&updateDeletion != 0 {
		dst = e.appendDeletion(dst, p.Deletion())
	}
	if flags&updateStatic != 0 {
		dst = e.AppendRow(dst, p.StaticRow())
	}
	for u := first; u != nil; {
		if u.Row != nil {
			dst = e.AppendRow(dst, u.Row)
		} else {
			dst = e.AppendMarker(dst, u.Marker)
		}
		if u, err = p.Next(); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// bases finds a timestamp and a local time that others are likely close to.
func bases(p Partition, first *Unfiltered) (timestamp, localTime int64) {
	switch {
	case !p.Deletion().IsLive():
		return p.Deletion().Timestamp, p.Deletion().LocalTime
	case first != nil && first.Marker != nil:
		if d := first.Marker.After; !d.IsLive() {
			return d.Timestamp, d.LocalTime
		}
	case first != nil:
		return first.Row.bases()
	case p.StaticRow() != nil:
		return p.StaticRow().bases()
	}
	return 0, 0
}

func (r *Row) bases() (timestamp, localTime int64) {
	switch {
	case !r.Liveness.IsEmpty():
		timestamp = r.Liveness.Timestamp
		if r.Liveness.TTL != 0 {
			localTime = r.Liveness.LocalTime
		}
	case !r.Deletion.IsLive():
		return r.Deletion.Timestamp, r.Deletion.LocalTime
	case len(r.Cells) > 0:
		timestamp = r.Cells[0].Timestamp
		if r.Cells[0].LocalTime != NoDeletionTime {
			localTime = r.Cells[0].LocalTime
		}
	case len(r.Complex) > 0:
		return r.Complex[0].Deletion.Timestamp, r.Complex[0].Deletion.LocalTime
	}
	return timestamp, localTime
}

// Update reads an encoded update; it is a Partition. One Update is used again
// and again: then it allocates nothing. What it returns aliases the bytes and
// its own buffers.
type Update struct {
	e         Encoding
	key       Key
	deletion  Deletion
	hasStatic bool
	body      []byte // the rows and markers
	rest      []byte // of body
	read      []byte // rest before the last row or marker was read
	static    Scratch
	scratch   Scratch
	last      []byte // Order before, to see that they ascend
	open      Deletion
	started   bool
}

// PeekUpdate reads which partition of which table an update is for.
func PeekUpdate(b []byte) (id schema.TableID, key []byte, err error) {
	c := cursor{b: b}
	id, key, _ = readHeader(&c)
	if c.err != nil {
		return id, nil, fmt.Errorf("row: peek into an update: %w", c.err)
	}
	return id, key, nil
}

func readHeader(c *cursor) (id schema.TableID, key []byte, flags byte) {
	if v := c.byte(); v != UpdateVersion && c.err == nil {
		c.fail("version %d of an update is not known", v)
	}
	flags = c.byte()
	if flags&^byte(updateDeletion|updateStatic) != 0 {
		c.fail("update flags %#x", flags)
	}
	copy(id[:], c.take(uint64(len(id))))
	key = c.block()
	if len(key) > KeySizeMax {
		c.fail("a partition key of %d bytes", len(key))
	}
	return id, key, flags
}

// Reset begins to read an update, which must be of table t.
func (u *Update) Reset(b []byte, t *schema.Table, p token.Partitioner) error {
	if err := u.ResetAt(b, t, 0); err != nil {
		return err
	}
	u.key.Prefix = p.Prefix(u.key.Bytes)
	return nil
}

// ResetAt is Reset for who knows the prefix of the key already.
func (u *Update) ResetAt(b []byte, t *schema.Table, prefix uint64) error {
	c := cursor{b: b}
	id, key, flags := readHeader(&c)
	if c.err == nil && id != t.ID {
		c.fail("it is of table %x", id)
	}
	u.e = Encoding{Table: t, Timestamp: c.svint(), LocalTime: c.svint()}
	u.deletion, u.hasStatic = Live(), flags&updateStatic != 0
	if flags&updateDeletion != 0 {
		u.deletion = u.e.readDeletion(&c)
	}
	if u.hasStatic {
		u.readStatic(&c)
	}
	if c.err != nil {
		return wrap("read an update", t, c.err)
	}
	u.key = Key{Prefix: prefix, Bytes: key}
	u.body = c.b
	u.Rewind()
	return nil
}

func (u *Update) readStatic(c *cursor) {
	un, rest, err := u.e.Read(c.b, &u.static)
	if err != nil {
		c.failWith(err)
		return
	}
	if un.Row == nil || !un.Row.Static {
		c.fail("no static row where one must be")
		return
	}
	c.b = rest
	u.hasStatic = !un.Row.isEmpty()
}

// Rewind begins again with the first row.
func (u *Update) Rewind() {
	u.rest, u.open, u.started = u.body, Live(), false
}

// Check reads the whole update to see that it is well formed, and rewinds.
func (u *Update) Check() error {
	u.Rewind()
	for {
		un, err := u.Next()
		if err != nil {
			return err
		}
		if un == nil {
			u.Rewind()
			return nil
		}
	}
}

// Size is the bytes of the rows and markers.
func (u *Update) Size() int { return len(u.body) }

// Table is the table given to Reset.
func (u *Update) Table() *schema.Table { return u.e.Table }

// Bases are a timestamp and a local time that others of the update are close to.
func (u *Update) Bases() (timestamp, localTime int64) { return u.e.Timestamp, u.e.LocalTime }

// Key implements Partition.
func (u *Update) Key() Key { return u.key }

// Deletion implements Partition.
func (u *Update) Deletion() Deletion { return u.deletion }

// StaticRow implements Partition.
func (u *Update) StaticRow() *Row {
	if !u.hasStatic {
		return nil
	}
	return &u.static.row
}

// Next implements Partition.
func (u *Update) Next() (*Unfiltered, error) {
	for {
		if len(u.rest) == 0 {
			if !u.open.IsLive() {
				return nil, wrap("read an update", u.e.Table, errors.New("a range tombstone without end"))
			}
			return nil, nil
		}
		un, rest, err := u.e.Read(u.rest, &u.scratch)
		if err == nil {
			err = u.follow(un)
		}
		if err != nil {
			return nil, wrap("read an update", u.e.Table, err)
		}
		u.read, u.rest = u.rest, rest
		if un.Row == nil || !un.Row.isEmpty() {
			return un, nil
		}
	}
}

// AppendRow appends the row that Next gave last in another form, with the bases
// of the update: a copy, as a rule, where Encoding.AppendRow makes it anew.
func (u *Update) AppendRow(dst []byte, form Form) []byte {
	e := u.e
	e.Form = form
	return e.appendRead(dst, u.read, u.rest, &u.scratch)
}

// follow checks that un may stand where it does.
func (u *Update) follow(un *Unfiltered) error {
	order := un.order()
	if u.started && bytes.Compare(order, u.last) <= 0 {
		return errors.New("rows out of order")
	}
	u.last, u.started = append(u.last[:0], order...), true
	switch {
	case un.Row != nil && un.Row.Static:
		return errors.New("a second static row")
	case un.Marker != nil && un.Marker.Before != u.open:
		return errors.New("a marker that ends what was not open")
	case un.Marker != nil:
		u.open = un.Marker.After
	}
	return nil
}

// Close implements Partition. The Update may be Reset again.
func (u *Update) Close() error { return nil }

// order is where u stands among rows and markers.
func (u *Unfiltered) order() []byte {
	if u.Row != nil {
		return u.Row.Clustering.Order
	}
	return u.Marker.Bound.Order
}

// AppendMutation frames updates that are applied as a whole.
func AppendMutation(dst []byte, updates ...[]byte) []byte {
	dst = types.AppendUnsignedVInt(dst, uint64(len(updates)))
	for _, u := range updates {
		dst = appendBlock(dst, u)
	}
	return dst
}

// Mutation reads the frames of a mutation. The zero Mutation is an empty one.
type Mutation struct {
	left uint64
	cur  cursor
}

// ReadMutation begins to read a mutation.
func ReadMutation(b []byte) Mutation {
	m := Mutation{cur: cursor{b: b}}
	if m.left = m.cur.uvint(); m.left == 0 {
		m.cur.fail("no updates")
	}
	return m
}

// Next returns the next update, encoded; ok is false at the end and on the
// first error (see Err).
func (m *Mutation) Next() (update []byte, ok bool) {
	if m.left == 0 || m.cur.err != nil {
		return nil, false
	}
	m.left--
	update = m.cur.block()
	if m.left == 0 && len(m.cur.b) > 0 {
		m.cur.fail("%d bytes behind the last update", len(m.cur.b))
	}
	return update, m.cur.err == nil
}

// Len is how many updates are left to read.
func (m *Mutation) Len() int { return int(min(m.left, uint64(len(m.cur.b)))) }

// Err tells what is wrong with the mutation, nil when nothing was found.
func (m *Mutation) Err() error {
	if m.cur.err == nil {
		return nil
	}
	return fmt.Errorf("row: read a mutation: %w", m.cur.err)
}

// CheckMutation looks at what came from outside as far as it can without the
// tables: that it is made of updates, each with a table and a key.
func CheckMutation(b []byte) error {
	m := ReadMutation(b)
	for {
		update, ok := m.Next()
		if !ok {
			return m.Err()
		}
		if _, _, err := PeekUpdate(update); err != nil {
			return err
		}
	}
}
