package coord

import (
	"helenus"
	"helenus/internal/ring"
)

// tally counts the answers of one partition's replicas against a level. It is
// pure: reset, expect once for each replica that is asked, then acked or failed
// once for each of those.
type tally struct {
	blockFor int // as clients are told
	shares   []share
}

// share is what a level wants of some replicas: of one datacenter, or of all.
type share struct {
	dc       helenus.Datacenter
	all      bool
	need     int // answers
	received int
	open     int // replicas that may still answer
}

// reset begins to count for a write. pending are the replicas to be.
func (t *tally) reset(cl helenus.Consistency, s ring.Strategy, local helenus.Datacenter, pending []*ring.Node) {
	t.shares = t.shares[:0]
	t.blockFor = ring.BlockForWrite(cl, s, local, pending)
	network, ok := s.(*ring.Network)
	switch {
	case cl == helenus.EachQuorum && ok:
		for _, dc := range network.Datacenters() {
			t.shares = append(t.shares, share{dc: dc, need: ring.BlockFor(helenus.LocalQuorum, s, dc)})
		}
		for _, n := range pending {
			for i := range t.shares {
				if t.shares[i].dc == n.Datacenter {
					t.shares[i].need++
				}
			}
		}
	case cl.IsLocal():
		t.shares = append(t.shares, share{dc: local, need: t.blockFor})
	default:
		t.shares = append(t.shares, share{all: true, need: t.blockFor})
	}
}

func (s *share) counts(dc helenus.Datacenter) bool { return s.all || s.dc == dc }

// expect notes that a replica of a datacenter is asked.
func (t *tally) expect(dc helenus.Datacenter) {
	for i := range t.shares {
		if s := &t.shares[i]; s.counts(dc) {
			s.open++
		}
	}
}

// acked notes that a replica did as it was asked.
func (t *tally) acked(dc helenus.Datacenter) {
	for i := range t.shares {
		if s := &t.shares[i]; s.counts(dc) {
			s.open--
			s.received++
		}
	}
}

// failed notes that a replica did not, or that nothing was heard of it.
func (t *tally) failed(dc helenus.Datacenter) {
	for i := range t.shares {
		if s := &t.shares[i]; s.counts(dc) {
			s.open--
		}
	}
}

// met tells whether the level is reached.
func (t *tally) met() bool {
	for i := range t.shares {
		if t.shares[i].received < t.shares[i].need {
			return false
		}
	}
	return true
}

// hopeless tells that the level cannot be reached any more.
func (t *tally) hopeless() bool {
	for i := range t.shares {
		if s := &t.shares[i]; s.received+s.open < s.need {
			return true
		}
	}
	return false
}

// received is how many answers counted.
func (t *tally) received() (n int) {
	for i := range t.shares {
		n += t.shares[i].received
	}
	return n
}
