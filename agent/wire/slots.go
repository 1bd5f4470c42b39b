package wire

import "time"

// slots are the calls under way on a link. An id names a slot and its
// generation, so an answer that comes late finds nobody; the heap has the slots
// in the order of their deadlines.
type slots struct {
	all  []slot
	free []uint32
	heap []uint32
}

type slot struct {
	call     *Call
	verb     *verb
	deadline time.Duration
	gen      uint32
	at       uint32 // its place in the heap
}

func (s *slots) used() int { return len(s.heap) }

func (s *slots) put(c *Call, v *verb, deadline time.Duration) uint64 {
	var i uint32
	if n := len(s.free); n > 0 {
		i = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		i = uint32(len(s.all))
		s.all = append(s.all, slot{})
	}
	p := &s.all[i]
	p.call, p.verb, p.deadline = c, v, deadline
	p.at = uint32(len(s.heap))
	s.heap = append(s.heap, i)
	s.up(p.at)
	return uint64(p.gen)<<32 | uint64(i)
}

// get finds a call; known tells whether there ever was such a slot.
func (s *slots) get(id uint64) (p *slot, known bool) {
	i := uint32(id)
	if int64(i) >= int64(len(s.all)) {
		return nil, false
	}
	p = &s.all[i]
	if p.call == nil || p.gen != uint32(id>>32) {
		return nil, true
	}
	return p, true
}

// remove frees the slot of a call that is there.
func (s *slots) remove(id uint64) {
	i := uint32(id)
	p := &s.all[i]
	p.call, p.verb = nil, nil
	p.gen++
	last := uint32(len(s.heap) - 1)
	hole := p.at
	s.swap(hole, last)
	s.heap = s.heap[:last]
	if hole < last {
		s.down(hole)
		s.up(hole)
	}
	s.free = append(s.free, i)
}

// first is the call whose deadline comes first; never if there is none.
func (s *slots) first() (time.Duration, uint64) {
	if len(s.heap) == 0 {
		return never, 0
	}
	i := s.heap[0]
	p := &s.all[i]
	return p.deadline, uint64(p.gen)<<32 | uint64(i)
}

// takeAll empties the slots, first deadline first.
func (s *slots) takeAll() []ended {
	var out []ended
	for len(s.heap) > 0 {
		_, id := s.first()
		p := &s.all[uint32(id)]
		out = append(out, ended{p.call, p.verb})
		s.remove(id)
	}
	return out
}

func (s *slots) before(a, b uint32) bool {
	return s.all[s.heap[a]].deadline < s.all[s.heap[b]].deadline
}

func (s *slots) swap(a, b uint32) {
	s.heap[a], s.heap[b] = s.heap[b], s.heap[a]
	s.all[s.heap[a]].at, s.all[s.heap[b]].at = a, b
}

func (s *slots) up(i uint32) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.before(i, parent) {
			return
		}
		s.swap(i, parent)
		i = parent
	}
}

func (s *slots) down(i uint32) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && int(child) < len(s.heap); child++ {
			if s.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}
