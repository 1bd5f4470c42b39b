package row

import "bytes"

// Merge shows several versions of one partition as one: the newest of each
// cell, nothing that a deletion of any source covers, the deletions themselves
// kept. All sources have the same key, direction and filter, and each is in
// order in itself: disjoint range tombstones, nothing covered by what it holds.
// A source that was asked for a slice opens, with a marker before the first
// row, the range tombstone that reaches into it; it may end with one open.
//
// One source is returned as it is. Close closes the sources.
func Merge(reversed bool, sources ...Partition) Partition {
	return new(Merger).Reset(reversed, sources)
}

// Normalize is Merge of one source that may hold what its own deletions cover.
func Normalize(reversed bool, source Partition) Partition {
	return new(Merger).ResetAlways(reversed, []Partition{source})
}

// Merger is the state of a Merge; used again it allocates nothing.
type Merger struct {
	reversed  bool
	normalize bool
	key       Key
	deletion  Deletion
	hasStatic bool
	inputs    []input
	heap      []int32 // inputs with something to give, the first of them on top
	due       []int32 // inputs whose current was given away
	open      Deletion

	static RowMerger
	rows   RowMerger
	group  []*Row
	u      Unfiltered
	marker Marker
	from   []Partition
	lacks  *Lacks // told of what sources do not have; nil: nobody asks
}

// input is one source of a Merger.
type input struct {
	p     Partition
	u     *Unfiltered
	order []byte
	open  Deletion
}

// Reset begins a merge. The result is valid until the next Reset.
func (m *Merger) Reset(reversed bool, sources []Partition) Partition {
	if len(sources) == 1 {
		return sources[0]
	}
	m.normalize = false
	m.begin(reversed, sources)
	return m
}

// ResetAlways is Reset without trust that a source is in order in itself.
func (m *Merger) ResetAlways(reversed bool, sources []Partition) Partition {
	m.normalize = true
	m.begin(reversed, sources)
	return m
}

func (m *Merger) begin(reversed bool, sources []Partition) {
	m.reversed = reversed
	m.from = append(m.from[:0], sources...)
	m.key, m.deletion, m.open = Key{}, Live(), Live()
	m.inputs, m.heap, m.due, m.group = m.inputs[:0], m.heap[:0], m.due[:0], m.group[:0]
	for i, p := range m.from {
		if i == 0 {
			m.key = p.Key()
		}
		if d := p.Deletion(); d.Supersedes(m.deletion) {
			m.deletion = d
		}
		if s := p.StaticRow(); s != nil {
			m.group = append(m.group, s)
		}
		m.inputs = append(m.inputs, input{p: p, open: Live()})
		m.due = append(m.due, int32(i))
	}
	m.hasStatic = len(m.group) > 0 && m.static.Merge(m.group, m.deletion) != nil
	if m.lacks != nil {
		m.lacks.partition(m)
	}
}

// Key implements Partition.
func (m *Merger) Key() Key { return m.key }

// Deletion implements Partition.
func (m *Merger) Deletion() Deletion { return m.deletion }

// StaticRow implements Partition.
func (m *Merger) StaticRow() *Row {
	if !m.hasStatic {
		return nil
	}
	return &m.static.out
}

// Close implements Partition.
func (m *Merger) Close() error {
	var first error
	for _, p := range m.from {
		if err := p.Close(); err != nil && first == nil {
			first = err
		}
	}
	clear(m.from)
	clear(m.inputs)
	m.from, m.inputs, m.heap, m.due = m.from[:0], m.inputs[:0], m.heap[:0], m.due[:0]
	return first
}

// Next implements Partition.
func (m *Merger) Next() (*Unfiltered, error) {
	for {
		if err := m.advance(); err != nil {
			return nil, err
		}
		if len(m.heap) == 0 {
			return nil, nil
		}
		m.popGroup()
		first := m.inputs[m.due[0]].u
		if first.Marker != nil {
			if m.cross() {
				m.u = Unfiltered{Marker: &m.marker}
				return &m.u, nil
			}
			continue
		}
		active := m.deletion
		if m.open.Supersedes(active) {
			active = m.open
		}
		if len(m.due) == 1 && active.IsLive() && !m.normalize {
			if m.lacks != nil {
				m.lacks.row(m, first.Row, first.Row)
			}
			return first, nil
		}
		m.group = m.group[:0]
		for _, i := range m.due {
			m.group = append(m.group, m.inputs[i].u.Row)
		}
		r := m.rows.Merge(m.group, active)
		if m.lacks != nil {
			m.lacks.row(m, first.Row, r)
		}
		if r != nil {
			m.u = Unfiltered{Row: r}
			return &m.u, nil
		}
	}
}

// advance steps the inputs whose current was used.
func (m *Merger) advance() error {
	for len(m.due) > 0 {
		i := m.due[len(m.due)-1]
		in := &m.inputs[i]
		u, err := in.p.Next()
		if err != nil {
			return err
		}
		m.due = m.due[:len(m.due)-1]
		if u == nil {
			in.u = nil
			continue
		}
		in.u, in.order = u, u.order()
		m.heap = pushHeap(m.heap, i, m.less)
	}
	return nil
}

// popGroup moves all inputs that stand at the first place from heap to due.
func (m *Merger) popGroup() {
	m.pop()
	order := m.inputs[m.due[0]].order
	for len(m.heap) > 0 && bytes.Equal(m.inputs[m.heap[0]].order, order) {
		m.pop()
	}
}

// cross steps over the markers of due and tells whether the winning deletion
// changes there.
func (m *Merger) cross() bool {
	at := m.inputs[m.due[0]].u.Marker
	for _, i := range m.due {
		in := &m.inputs[i]
		mk := in.u.Marker
		if in.open = mk.After; m.reversed {
			in.open = mk.Before
		}
		if bytes.Compare(mk.Bound.Values, at.Bound.Values) < 0 {
			at = mk
		}
	}
	now := Live()
	for i := range m.inputs {
		if d := m.inputs[i].open; d.Supersedes(now) && d.Supersedes(m.deletion) {
			now = d
		}
	}
	if m.lacks != nil {
		m.lacks.cross(m, at, now)
	}
	if now == m.open {
		return false
	}
	m.marker = Marker{Bound: at.Bound, Size: at.Size, AfterPrefix: at.AfterPrefix, Before: m.open, After: now}
	if m.reversed {
		m.marker.Before, m.marker.After = now, m.open
	}
	m.open = now
	return true
}

func (m *Merger) less(i, j int32) bool {
	d := bytes.Compare(m.inputs[i].order, m.inputs[j].order)
	if d == 0 {
		return i < j
	}
	return (d < 0) != m.reversed
}

// pop moves the first input of heap to due.
func (m *Merger) pop() {
	m.due = append(m.due, m.heap[0])
	m.heap = popHeap(m.heap, m.less)
}
