package coord

import (
	"sort"

	"helenus"
	"helenus/internal/ring"
	"helenus/internal/token"
	"helenus/store/row"
)

// arcs cuts a range of partitions where its replicas change, in the order of
// tokens. Neighbours that one set of replicas can answer for stay together.
type arcs struct {
	c       *Coordinator
	p       *ring.Placement
	cl      helenus.Consistency
	tokens  []token.Token
	at      int // the arc that ends at this token; behind the last one, the tail of the ring
	last    int // the arc that holds the end of the range
	start   row.Bound
	end     row.Bound
	done    bool
	scratch [2]contacts
}

// begin cuts the range of a command.
func (a *arcs) begin(c *Coordinator, p *ring.Placement, cl helenus.Consistency, start, end row.Bound) {
	a.c, a.p, a.cl, a.start, a.end, a.done = c, p, cl, start, end, false
	a.tokens = p.Topology.Tokens()
	a.at, a.last = 0, len(a.tokens)
	if !start.Open {
		t := a.tokenOf(&start)
		if a.at = a.arcOf(t); a.at < len(a.tokens) && !start.HasKey && !start.Inclusive && a.tokens[a.at] == t {
			a.at++
		}
	}
	if !end.Open {
		a.last = a.arcOf(a.tokenOf(&end))
	}
}

func (a *arcs) tokenOf(b *row.Bound) token.Token {
	if b.HasKey {
		return a.c.opts.Partition.Token(b.Key.Bytes)
	}
	return token.Token{Prefix: b.Key.Prefix, Tail: string(b.Key.Bytes)}
}

// arcOf is the arc that a token lies in.
func (a *arcs) arcOf(t token.Token) int {
	return sort.Search(len(a.tokens), func(i int) bool { return !a.tokens[i].Less(t) })
}

// left is how many arcs there may still be.
func (a *arcs) left() int {
	if a.done {
		return 0
	}
	return max(a.last-a.at+1, 1)
}

// next gives the bounds and replicas of the next arc; ok is false behind the
// last. The error is one of Unavailable.
func (a *arcs) next(to *contacts) (start, end row.Bound, ok bool, err error) {
	if a.done {
		return start, end, false, nil
	}
	if err := a.contact(to, a.at); err != nil {
		return start, end, false, err
	}
	for a.at < a.last {
		// Who cannot be read from at all is found out when it is come to.
		if err := a.contact(&a.scratch[0], a.at+1); err != nil || !a.c.intersect(&a.scratch[1], to, &a.scratch[0], a.p, a.cl) {
			break
		}
		to.nodes = append(to.nodes[:0], a.scratch[1].nodes...)
		a.at++
	}
	start = a.start
	if a.at >= a.last {
		a.done = true
		return start, a.end, true, nil
	}
	end = row.TokenBound(a.tokens[a.at], true)
	a.start = row.TokenBound(a.tokens[a.at], false)
	a.at++
	return start, end, true, nil
}

// contact chooses whom to ask for an arc; the tail of the ring is that of the
// first token.
func (a *arcs) contact(to *contacts, i int) error {
	return a.c.contact(to, a.p, a.p.Replicas(a.tokens[i%len(a.tokens)]), a.cl)
}

// concurrencyMax bounds the parts of a read that are asked for at once.
const concurrencyMax = 32

// concurrency is how many more parts of a read to ask for at once, of those
// left, when parts that were asked for had so many rows in all; wanted is how
// many rows the read is for, 0 when that is not known.
func concurrency(rows, parts, wanted, left int) int {
	n := 1
	switch {
	case wanted <= 0:
		n = 4
	case parts == 0:
	case rows == 0:
		n = concurrencyMax
	case wanted > rows:
		n = ((wanted-rows)*parts + rows - 1) / rows
	}
	return max(1, min(n, left, concurrencyMax))
}
