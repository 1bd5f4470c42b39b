package row

import (
	"bytes"
	"encoding/binary"

	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// The flags of a partition in an answer, and what ends one: no row or marker
// begins so. docs/format/read.md draws the bytes.
const (
	answerDeletion = 0x01
	answerStatic   = 0x02

	answerEnd    = 0x80
	answerEndCut = 0x81 // there may be more rows

	flagMarkerEdge = 0x10 // of a marker: at an end of a slice, by its Order
)

// AnswerOptions say what an Answer holds.
type AnswerOptions struct {
	Data, Digest bool
	// GCBefore is the second before which tombstones may go.
	GCBefore int64
	// BytesMax ends an answer early, though never before its first row.
	BytesMax int
	// TombstonesMax makes it fail when it meets more; 0 is no limit.
	TombstonesMax int
}

// Answer is what one replica has for a Command, in a form that says the same
// wherever the data lies: cut to the slices, without tombstones that may go and
// without values that nobody asked for. Of two replicas whose Digests are equal
// either alone gives what both would give together.
type Answer struct {
	Data       []byte
	Digest     [16]byte
	More       bool // it ended before all partitions were seen
	Rows       int  // that live
	Tombstones int  // that it met

	c      *Command
	o      AnswerOptions
	purged purgedPartitions
	purger Purger
	bare   bool // see plan
	single bool // and just one row is asked for
	wants  int  // regular columns, if bare
	parts  int  // partitions with something that lives

	e      Encoding // of Data
	hashed []byte   // what Digest is of
	he     Encoding
	data   purgedRow // a row as Data has it
	form   purgedRow // and as Digest has it

	// Of the partition at hand.
	slices   []Slice
	after    []byte // the end of a slice, as a bound
	at       int    // the slice that we are in or before
	entered  bool
	open     Deletion // where we are
	given    Deletion // of it, what has been given out
	deletion Deletion
	rows     int
	some     bool     // something has been given out
	settled  bool     // its row says all that matters for the digest
	cover    Deletion // of a single row: the strongest around it
	deleted  bool     // and its own is stronger
	cut      bool
	marker   Marker
}

// Reset makes room for another answer.
func (a *Answer) Reset() {
	a.Data, a.hashed = a.Data[:0], a.hashed[:0]
	a.Digest, a.More, a.Rows, a.Tombstones = [16]byte{}, false, 0, 0
	a.c, a.parts, a.purged.ps, a.purged.peeked, a.purger.p = nil, 0, nil, peekedPartition{}, nil
}

// Kept is how many bytes an Answer has room for.
func (a *Answer) Kept() int { return cap(a.Data) + cap(a.hashed) }

// Write fills the answer with partitions that were read for c.
func (a *Answer) Write(ps Partitions, c *Command, o AnswerOptions) error {
	a.Reset()
	a.c, a.o = c, o
	a.purger.Now, a.purger.GCBefore = c.Now, o.GCBefore
	a.purged.ps, a.purged.x = ps, &a.purger
	a.plan()
	for !a.full() {
		p, err := a.purged.Next()
		if err != nil {
			return err
		}
		if p == nil {
			a.seal()
			return nil
		}
		if err := a.partition(p); err != nil {
			return err
		}
	}
	a.More = true
	a.seal()
	return nil
}

func (a *Answer) seal() {
	if !a.o.Digest {
		return
	}
	var more byte
	if a.More {
		more = 1
	}
	a.hashed = append(a.hashed, more)
	h1, h2 := token.Murmur3(a.hashed)
	binary.BigEndian.PutUint64(a.Digest[:8], h1)
	binary.BigEndian.PutUint64(a.Digest[8:], h2)
}

func (a *Answer) full() bool {
	l := &a.c.Limits
	return l.Rows > 0 && a.Rows >= l.Rows || l.Partitions > 0 && a.parts >= l.Partitions || a.heavy()
}

func (a *Answer) heavy() bool {
	n := len(a.Data)
	if a.o.Digest {
		n = len(a.hashed) // equal where answers are, with the data and without
	}
	return a.o.BytesMax > 0 && n >= a.o.BytesMax
}

// plan notes whether the command may be answered by the newest row alone, as
// the store does (see store's newest.go): then what is older differs from
// replica to replica with what lies in which file, and must not be in a digest.
// That is all that a whole row outlasts, and of what covers the row all but the
// strongest deletion.
func (a *Answer) plan() {
	t, f := a.c.Table, &a.c.Filter
	a.bare, a.wants = true, 0
	for i := range t.Statics {
		if wanted(f.Statics, i) {
			a.bare = false
		}
	}
	for i, col := range t.Regulars {
		if wanted(f.Regulars, i) {
			a.wants++
			a.bare = a.bare && !col.IsComplex()
		}
	}
	a.single = false
	if n := len(t.Clustering); a.bare && len(f.Slices) == 1 {
		s := &f.Slices[0]
		a.single = n == 0 || s.StartSize == n && s.EndSize == n && bytes.Equal(s.StartValues, s.EndValues)
	}
}

func wanted(mask []bool, column int) bool { return mask == nil || mask[column] }

func (a *Answer) partition(p Partition) error {
	dataFrom, hashFrom := len(a.Data), len(a.hashed)
	a.begin(p)
	parts := a.parts
	for more := true; more && !a.cut; {
		u, err := p.Next()
		if err != nil {
			return err
		}
		if u == nil {
			break
		}
		more = a.place(u, hashFrom)
		if n := a.o.TombstonesMax; n > 0 && a.Tombstones > n {
			return &TombstonesError{Table: a.c.Table.QualifiedName()}
		}
	}
	for !a.cut && a.inSlices() {
		a.leave()
	}
	if a.rows > 0 && a.parts == parts {
		a.parts++
	}
	if !a.some {
		a.Data, a.hashed = a.Data[:dataFrom], a.hashed[:hashFrom]
		return nil
	}
	end := byte(answerEnd)
	if a.cut {
		end = answerEndCut
	}
	if a.o.Data {
		a.Data = append(a.Data, end)
	}
	if a.o.Digest {
		if d := a.around(); !d.IsLive() {
			a.hashed = a.he.appendDeletion(a.hashed, d)
		}
		a.hashed = append(a.hashed, end)
	}
	return nil
}

// around is the deletion that the digest has beside rows and markers.
func (a *Answer) around() Deletion {
	switch {
	case a.settled || a.deleted:
		return Live()
	case a.single && a.cover.Supersedes(a.deletion):
		return a.cover
	}
	return a.deletion
}

// begin writes what stands in front of a partition's rows.
func (a *Answer) begin(p Partition) {
	f := a.c.FilterFor(p.Key(), a.slices)
	a.slices = append(a.slices[:0], f.Slices...)
	a.bounds(f.Reversed)
	a.at, a.entered, a.open, a.given = 0, false, Live(), Live()
	if f.Reversed {
		a.at = len(a.slices) - 1
	}
	a.deletion, a.rows, a.settled, a.cut = p.Deletion(), 0, false, false
	a.cover, a.deleted = Live(), false
	static := p.StaticRow()
	a.some = !a.deletion.IsLive() || static != nil
	a.e, a.he = Encoding{Table: a.c.Table}, Encoding{Table: a.c.Table}
	if a.o.Data {
		var first *Unfiltered
		if peeked, ok := p.(*peekedPartition); ok {
			first = peeked.first
		}
		a.e.Timestamp, a.e.LocalTime = bases(p, first)
		a.header(p.Key(), static)
	}
	if a.o.Digest {
		a.hashed = appendBlock(a.hashed, p.Key().Bytes)
	}
	if static == nil {
		return
	}
	live, dead := static.count(a.c.Now)
	a.Tombstones += dead
	if live {
		a.parts++
	}
	if a.o.Data {
		a.Data = a.e.AppendRow(a.Data, a.data.withoutValues(static, a.c.Filter.Statics))
	}
	if a.o.Digest {
		a.hashed = a.he.AppendRow(a.hashed, a.form.digested(static, a.c.Filter.Statics, a.c.Now))
	}
}

// bounds turns the ends of slices that are rows, where a page goes on, into the
// bounds behind them.
func (a *Answer) bounds(reversed bool) {
	for i := range a.slices {
		s := &a.slices[i]
		end, with := &s.Start, byte(orderAfter)
		if reversed {
			end, with = &s.End, orderBefore
		}
		if n := len(*end); n > 0 && (*end)[n-1] == orderRow {
			a.after = append(a.after[:0], *end...)
			a.after[n-1] = with
			*end = a.after
		}
	}
}

func (a *Answer) header(k Key, static *Row) {
	var flags byte
	if !a.deletion.IsLive() {
		flags |= answerDeletion
	}
	if static != nil {
		flags |= answerStatic
	}
	a.Data = appendBlock(append(a.Data, flags), k.Bytes)
	a.Data = appendSVInt(appendSVInt(a.Data, a.e.Timestamp), a.e.LocalTime)
	if flags&answerDeletion != 0 {
		a.Data = a.e.appendDeletion(a.Data, a.deletion)
	}
}

func (a *Answer) inSlices() bool { return a.at >= 0 && a.at < len(a.slices) }

// place gives out a row or marker where it lies in the slices; false behind the
// last of them.
func (a *Answer) place(u *Unfiltered, hashFrom int) bool {
	order, reversed := u.order(), a.c.Filter.Reversed
	for a.inSlices() && a.behind(order) {
		a.leave()
	}
	if !a.inSlices() {
		return false
	}
	near := a.slices[a.at].Start
	if reversed {
		near = a.slices[a.at].End
	}
	inside := len(near) == 0 || (bytes.Compare(order, near) > 0) != reversed && !bytes.Equal(order, near)
	if inside {
		a.enter()
	}
	if m := u.Marker; m != nil {
		if a.open = m.After; reversed {
			a.open = m.Before
		}
		if inside {
			a.change(m.Bound, m.Size, m.AfterPrefix, a.open)
		}
		return true
	}
	if inside {
		a.row(u.Row, hashFrom)
	}
	return true
}

// behind tells whether an order lies behind the slice at hand.
func (a *Answer) behind(order []byte) bool {
	s := &a.slices[a.at]
	if a.c.Filter.Reversed {
		return len(s.Start) > 0 && bytes.Compare(order, s.Start) <= 0
	}
	return len(s.End) > 0 && bytes.Compare(order, s.End) >= 0
}

// enter gives out, at the near end of the slice, what is open there.
func (a *Answer) enter() {
	if a.entered {
		return
	}
	a.entered = true
	s := &a.slices[a.at]
	if a.c.Filter.Reversed {
		a.edge(s.End, s.EndValues, s.EndSize, a.open)
	} else {
		a.edge(s.Start, s.StartValues, s.StartSize, a.open)
	}
}

// leave closes, at the far end of the slice, what is open there.
func (a *Answer) leave() {
	a.enter()
	s := &a.slices[a.at]
	a.entered = false
	if a.c.Filter.Reversed {
		a.edge(s.Start, s.StartValues, s.StartSize, Live())
		a.at--
	} else {
		a.edge(s.End, s.EndValues, s.EndSize, Live())
		a.at++
	}
}

// edge is a marker at an end of a slice; an open one is that of the partition.
func (a *Answer) edge(order, values []byte, size int, now Deletion) {
	if now == a.given {
		return
	}
	bound := Clustering{Order: order, Values: values}
	if values == nil {
		size = NoSize
	}
	if len(order) == 0 {
		// Nothing is open where the partition begins, so this is where it ends.
		bound.Order, size = []byte{orderAfter}, 0
		if a.c.Filter.Reversed {
			bound.Order = []byte{orderBefore}
		}
	}
	a.change(bound, size, bound.Order[len(bound.Order)-1] == orderAfter, now)
}

func (a *Answer) change(at Clustering, size int, after bool, now Deletion) {
	if now == a.given {
		return
	}
	a.marker = Marker{Bound: at, Size: size, AfterPrefix: after, Before: a.given, After: now}
	if a.c.Filter.Reversed {
		a.marker.Before, a.marker.After = now, a.given
	}
	a.given, a.some = now, true
	a.Tombstones++
	if a.o.Data {
		a.Data = a.e.appendAnswerMarker(a.Data, &a.marker)
	}
	if a.single {
		if now.Supersedes(a.cover) {
			a.cover = now
		}
	} else if a.o.Digest {
		a.hashed = a.he.appendAnswerMarker(a.hashed, &a.marker)
	}
}

func (e *Encoding) appendAnswerMarker(dst []byte, m *Marker) []byte {
	if m.Size != NoSize {
		return e.AppendMarker(dst, m)
	}
	flags := byte(flagMarker | flagMarkerEdge)
	if !m.Before.IsLive() {
		flags |= flagMarkerBefore
	}
	if !m.After.IsLive() {
		flags |= flagMarkerAfter
	}
	dst = appendBlock(append(dst, flags), m.Bound.Order)
	if !m.Before.IsLive() {
		dst = e.appendDeletion(dst, m.Before)
	}
	if !m.After.IsLive() {
		dst = e.appendDeletion(dst, m.After)
	}
	return dst
}

// row gives out a row, and cuts the partition when that is the last one asked
// for.
func (a *Answer) row(r *Row, hashFrom int) {
	a.some = true
	live, dead := r.count(a.c.Now)
	a.Tombstones += dead
	f := &a.c.Filter
	if a.o.Data {
		a.Data = a.e.AppendRow(a.Data, a.data.withoutValues(r, f.Regulars))
	}
	alone := len(a.c.Table.Clustering) == 0 || onlyRow(a.slices, r.Clustering.Order)
	if a.o.Digest {
		out := a.form.digested(r, f.Regulars, a.c.Now)
		a.deleted = a.single && !out.Deletion.IsLive()
		if a.single && saysAll(out, f.Regulars, a.wants, a.c.Now) {
			key := binaryBlock(a.hashed[hashFrom:])
			a.hashed = a.hashed[:hashFrom+key]
			a.form.out.Deletion, a.form.out.Complex = Live(), nil
			out.Deletion, out.Complex = Live(), nil
			a.settled = true
		}
		a.hashed = a.he.AppendRow(a.hashed, out)
	}
	if live {
		a.rows++
		a.Rows++
	}
	n := a.c.Limits.PerPartition
	if alone || !(live && a.full()) && !(n > 0 && a.rows >= n) && !a.heavy() {
		return
	}
	a.cut = true
	// What is open goes on behind the row, for the next answer to say.
	at := append(a.after[:0], r.Clustering.Order...)
	a.after = at
	at[len(at)-1] = orderAfter
	if f.Reversed {
		at[len(at)-1] = orderBefore
	}
	a.change(Clustering{Order: at, Values: r.Clustering.Values}, len(a.c.Table.Clustering), !f.Reversed, Live())
}

// binaryBlock is how many bytes the block at the start of b takes.
func binaryBlock(b []byte) int {
	n, size := types.UnsignedVInt(b)
	return size + int(n)
}

// onlyRow tells whether slices name just the row of this order.
func onlyRow(slices []Slice, order []byte) bool {
	if len(slices) != 1 {
		return false
	}
	n := len(order) - 1
	s := &slices[0]
	return len(s.Start) == n+1 && len(s.End) == n+1 && string(s.Start[:n]) == string(order[:n]) && string(s.End[:n]) == string(order[:n])
}

// saysAll tells whether r lives by its own marker and has all columns asked for.
func saysAll(r *Row, mask []bool, wants int, now int64) bool {
	if !r.Liveness.IsLive(now) {
		return false
	}
	have := 0
	for i := range r.Cells {
		c := &r.Cells[i]
		if !wanted(mask, int(c.Column)) {
			continue
		}
		if c.Flags&CounterCell != 0 {
			return false
		}
		have++
	}
	return have >= wants
}

// count tells whether a row lives, and how much in it does not.
func (r *Row) count(now int64) (live bool, dead int) {
	for i := range r.Cells {
		if r.Cells[i].IsLive(now) {
			live = true
		} else {
			dead++
		}
	}
	live = live || r.Liveness.IsLive(now)
	if !live && dead == 0 && (!r.Deletion.IsLive() || len(r.Complex) > 0 || !r.Liveness.IsEmpty()) {
		dead = 1
	}
	return live, dead
}

// withoutValues is r with only those values that were asked for: of other cells
// it matters that they are there, as the row may live by them.
func (b *purgedRow) withoutValues(r *Row, mask []bool) *Row {
	if mask == nil || len(r.Cells) == 0 {
		return r
	}
	b.out = *r
	b.cells = append(b.cells[:0], r.Cells...)
	for i := range b.cells {
		if c := &b.cells[i]; !mask[c.Column] && c.Flags&Tombstone == 0 {
			c.Value = nil
		}
	}
	b.out.Cells = b.cells
	return &b.out
}

// digested is r with only what matters to a reader of the columns asked for.
// What a live marker outlasts is left out: whatever deletes the marker deletes
// that, too.
func (b *purgedRow) digested(r *Row, mask []bool, now int64) *Row {
	b.out = *r
	if mask == nil {
		return &b.out
	}
	b.cells, b.complex = b.cells[:0], b.complex[:0]
	marked := r.Liveness.IsLive(now)
	for i := range r.Cells {
		c := r.Cells[i]
		if !mask[c.Column] {
			if marked && c.Timestamp <= r.Liveness.Timestamp {
				continue
			}
			c.Value = nil
		}
		b.cells = append(b.cells, c)
	}
	for _, d := range r.Complex {
		if mask[d.Column] || !marked || d.Deletion.Timestamp > r.Liveness.Timestamp {
			b.complex = append(b.complex, d)
		}
	}
	b.out.Cells, b.out.Complex = b.cells, b.complex
	return &b.out
}
