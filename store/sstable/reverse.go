package sstable

import (
	"bytes"

	"helenus/store/row"
)

// previous goes backward: a block is gone through forward once to find where
// its rows begin, which then are read from the last to the first.
func (p *partition) previous() (*row.Unfiltered, error) {
	for p.slice >= 0 {
		s := &p.filter.Slices[p.slice]
		if p.block < 0 {
			if err := p.enterReverse(s.End); err != nil {
				return nil, err
			}
		}
		atStart, err := p.peekReverse()
		if err != nil {
			return nil, err
		}
		h := &p.head
		if !p.inside {
			if !atStart && len(s.End) > 0 && bytes.Compare(h.clustering.Order, s.End) >= 0 {
				if h.flags&flagMarker != 0 {
					if _, err := p.takeReverse(); err != nil {
						return nil, err
					}
				} else {
					p.items = p.items[:len(p.items)-1]
				}
				continue
			}
			p.inside = true
			if !p.open.IsLive() && !atStart && len(s.End) > 0 {
				return p.cut(s.End, p.open, row.Live()), nil
			}
		}
		if atStart && !p.open.IsLive() {
			return nil, p.corrupt(errDeletion)
		}
		if atStart || (len(s.Start) > 0 && bytes.Compare(h.clustering.Order, s.Start) <= 0) {
			p.slice--
			p.inside = false
			u := p.cut(s.Start, row.Live(), p.open)
			if p.slice >= 0 && p.index.count > 0 {
				// The next slice may end many blocks before this one.
				p.skipReverse(p.filter.Slices[p.slice].End)
			}
			if u != nil {
				return u, nil
			}
			continue
		}
		u, err := p.takeReverse()
		if u != nil || err != nil {
			return u, err
		}
	}
	return nil, nil
}

// enterReverse goes to the last block that can hold what lies before end.
func (p *partition) enterReverse(end []byte) error {
	n := 0
	if p.index.count > 0 {
		n = p.index.count - 1
		if len(end) > 0 {
			var err error
			if n, err = p.index.blockFor(p, end); err != nil {
				return err
			}
		}
	}
	return p.loadBlock(n)
}

// skipReverse forgets the present block when the next slice's end lies before
// it; enterReverse then finds the right one. Within the block nothing is lost.
func (p *partition) skipReverse(end []byte) {
	if len(end) == 0 || len(p.items) == 0 {
		return
	}
	n, err := p.index.blockFor(p, end)
	if err == nil && n < p.block {
		p.block, p.items = -1, p.items[:0]
	}
}

// loadBlock finds the rows of a block and what is open at its end.
func (p *partition) loadBlock(n int) error {
	from, size := p.w.pos, int64(-1)
	p.open = row.Live()
	if p.index.count > 0 {
		info, err := p.index.info(p, n)
		if err != nil {
			return err
		}
		from, size, p.open = p.start+info.offset, info.width, info.open
	}
	p.w.seek(from)
	if size > 0 {
		if _, err := p.w.peek(int(size)); err != nil {
			return err
		}
	}
	p.block, p.items = n, p.items[:0]
	var h head
	for at := 0; size < 0 || int64(at) < size; {
		b := p.w.buf
		ok, err := false, error(nil)
		if at < len(b) {
			ok, err = p.d.head(b[at:], &h)
		}
		if err != nil {
			return p.corrupt(err)
		}
		if !ok || at+h.total > len(b) {
			if err := p.widen(at, &h, ok); err != nil {
				return err
			}
			continue
		}
		if h.end {
			break
		}
		if h.static {
			return p.corrupt(errFlags)
		}
		p.items = append(p.items, int32(at))
		at += h.total
	}
	p.bytes = p.w.buf
	return nil
}

// widen makes the window longer so that what begins at offset at fits, when
// that is known, or its head.
func (p *partition) widen(at int, h *head, known bool) error {
	if known {
		_, err := p.w.peek(at + h.total)
		return err
	}
	_, ok, err := p.w.more()
	if err == nil && !ok {
		err = p.corrupt(errShort)
	}
	return err
}

// peekReverse reads the head of the last row not yet passed; atStart when there
// is none in the partition.
func (p *partition) peekReverse() (atStart bool, err error) {
	for len(p.items) == 0 {
		if p.block <= 0 {
			return true, nil
		}
		open := p.open
		if err := p.loadBlock(p.block - 1); err != nil {
			return false, err
		}
		if p.open != open {
			return false, p.corrupt(errDeletion)
		}
	}
	at := p.items[len(p.items)-1]
	ok, err := p.d.head(p.bytes[at:], &p.head)
	if err != nil || !ok {
		return false, p.corrupt(errShort)
	}
	return false, nil
}

func (p *partition) takeReverse() (*row.Unfiltered, error) {
	at := p.items[len(p.items)-1]
	p.items = p.items[:len(p.items)-1]
	u, err := p.d.body(p.bytes[at:], &p.head)
	if err != nil {
		return nil, p.corrupt(err)
	}
	if u != nil && u.Marker != nil {
		if u.Marker.After != p.open {
			return nil, p.corrupt(errDeletion)
		}
		p.open = u.Marker.Before
	}
	return u, nil
}
