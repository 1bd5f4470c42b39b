package balance

import "slices"

// rerouter finds cheaper ways for what shifts move. A shift of a token takes data
// from one node to another, so that shifts are a flow: a token is an arc each way,
// with the room it has as capacity, and what is streamed as cost; taking a shift
// back earns its cost. Nodes with room in their bands give and take for nothing,
// through one more node that is nobody. While there is a circle of negative cost
// data goes around it (Klein 1967).
type rerouter struct {
	s    *shifter
	arcs []route
	of   [][]int // by token: its arcs
	out  float64 // less is not worth a shift
	dist []float64
	via  []int // by node: the arc it was reached by
}

// route is an arc: a token that may go one way, or for token -1 the band of a
// node.
type route struct {
	from, to int
	token    int
	forward  bool
	rate     float64
	room     float64 // bytes
	cost     float64 // per byte
}

// reroutesMax bounds the circles per node.
const reroutesMax = 60

// reroute lowers what the shifts stream, as far as it can. Who is within the
// band stays there.
func (s *shifter) reroute() {
	r := &rerouter{s: s, of: make([][]int, len(s.at))}
	nobody := len(s.held)
	r.dist, r.via = make([]float64, nobody+1), make([]int, nobody+1)
	total := 0.0
	for v, held := range s.held {
		total += held
		r.arcs = append(r.arcs, route{from: v, to: nobody, token: -1}, route{from: nobody, to: v, token: -1, forward: true})
	}
	r.out = total / float64(max(1, len(s.at))) * 1e-5
	for i, e := range s.effect {
		if len(e) != 2 || !near(e[0].rate, -e[1].rate) || e[0].rate == 0 {
			continue
		}
		a, b := int(e[0].node), int(e[1].node)
		if e[0].rate < 0 {
			a, b = b, a
		}
		r.of[i] = []int{len(r.arcs), len(r.arcs) + 1}
		rate := abs(e[0].rate)
		r.arcs = append(r.arcs, route{from: b, to: a, token: i, forward: true, rate: rate}, route{from: a, to: b, token: i, rate: rate})
	}
	for k := range r.arcs {
		r.measure(k)
	}
	for range reroutesMax * (nobody + 1) {
		circle := r.negative()
		if circle == nil {
			return
		}
		r.turn(circle)
	}
}

// measure works out what an arc may carry now, and at what cost.
func (r *rerouter) measure(k int) {
	a, s := &r.arcs[k], r.s
	switch {
	case a.token >= 0:
		back := s.shifted(a.token, !a.forward)
		a.room, a.cost = s.room(a.token, a.forward)*a.rate, 1
		if back > 0 {
			a.room, a.cost = min(a.room, back*a.rate), -1
		}
	case a.forward: // it gives
		a.room = s.held[a.to] - s.lo[a.to]
	default:
		a.room = s.hi[a.from] - s.held[a.from]
	}
}

// shifted is how far a token is from where it was, in a direction.
func (s *shifter) shifted(i int, forward bool) float64 {
	from, to := s.start[i], s.at[i]
	if !forward {
		from, to = to, from
	}
	d := after(from, to, s.m.size)
	if s.m.size.half().less(d) {
		return 0
	}
	return d.float()
}

// negative is a circle of negative cost, as arcs; nil if there is none (Bellman,
// Ford).
func (r *rerouter) negative() []int {
	for v := range r.dist {
		r.dist[v], r.via[v] = 0, -1
	}
	for range r.dist {
		changed := false
		for k := range r.arcs {
			a := &r.arcs[k]
			if a.room > r.out && r.dist[a.from]+a.cost < r.dist[a.to]-0.5 {
				r.dist[a.to], r.via[a.to], changed = r.dist[a.from]+a.cost, k, true
			}
		}
		if !changed {
			return nil
		}
		if circle := r.circle(); circle != nil {
			return circle
		}
	}
	return nil
}

// circle looks for one among the arcs by which nodes were reached.
func (r *rerouter) circle() (out []int) {
	seen := make([]int, len(r.via)) // the walk that came by
	for v := range r.via {
		u := v
		for seen[u] == 0 && r.via[u] >= 0 {
			seen[u] = v + 1
			u = r.arcs[r.via[u]].from
		}
		if seen[u] != v+1 {
			continue
		}
		for at := u; ; {
			out = append(out, r.via[at])
			if at = r.arcs[r.via[at]].from; at == u {
				return out
			}
		}
	}
	return nil
}

// turn sends around a circle what it carries.
func (r *rerouter) turn(circle []int) {
	amount := r.arcs[circle[0]].room
	var tokens []int
	for _, k := range circle {
		amount = min(amount, r.arcs[k].room)
		if t := r.arcs[k].token; t >= 0 {
			tokens = append(tokens, t)
		}
	}
	n := len(r.s.at)
	if slices.ContainsFunc(tokens, func(t int) bool { return slices.Contains(tokens, (t+1)%n) }) {
		amount /= 2 // neighbours may want the same room
	}
	for _, k := range circle {
		if a := &r.arcs[k]; a.token >= 0 {
			r.s.apply(a.token, a.forward, amount/a.rate)
			for _, forward := range []bool{true, false} { // a trace of a shift would be a step for nothing
				if left := r.s.shifted(a.token, !forward); left > 0 && left*a.rate < r.out/100 {
					r.s.apply(a.token, forward, left)
					r.s.at[a.token] = r.s.start[a.token]
				}
			}
		}
	}
	for _, k := range circle {
		a := &r.arcs[k]
		if a.token < 0 {
			continue
		}
		for _, t := range []int{(a.token + n - 1) % n, a.token, (a.token + 1) % n} {
			for _, k := range r.of[t] {
				r.measure(k)
			}
		}
		for _, v := range []int{a.from, a.to} {
			r.measure(2 * v)
			r.measure(2*v + 1)
		}
	}
}
