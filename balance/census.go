package balance

import "math"

// census is who holds what.
type census struct {
	shares map[string]Share
	stats  Evenness
	mode   string
}

// ownership counts what nodes hold now, and whether every circle is balanced.
func (j *judge) ownership(alive func(int) bool) (census, bool) {
	m, r := j.m, j.r
	circles := m.circles(j.goal.Mode, alive)
	c := census{shares: make(map[string]Share, len(m.ring.Nodes)), mode: resolved(circles)}
	total := 0.0
	for _, s := range m.spaces {
		total += s.total.float()
	}
	primary := j.primaries()
	for v := range m.ring.Nodes {
		if alive(v) {
			c.shares[m.ring.Nodes[v].ID] = Share{Primary: primary[v], Effective: ratio(r.stored[v].float(), total), Bytes: m.show(r.stored[v])}
		}
	}
	balanced := true
	for i := range circles {
		judged := circles[i].judge(m, &j.goal, r.tokens, r.stored)
		balanced = balanced && judged.balanced
		c.stats.Worst = max(c.stats.Worst, judged.worst)
		for v, d := range judged.deviation {
			s := c.shares[m.ring.Nodes[v].ID]
			s.Deviation = d
			c.shares[m.ring.Nodes[v].ID] = s
		}
	}
	j.evenness(&c, alive)
	return c, balanced
}

// primaries is the part of its datacenter's ring that each node owns, by tokens.
func (j *judge) primaries() []float64 {
	out := make([]float64, len(j.m.ring.Nodes))
	size := j.m.size.float()
	for dc := range j.m.dcs {
		l := j.r.domains[dc].now
		for i, p := range l.pos {
			w := after(l.pos[(i+len(l.pos)-1)%len(l.pos)], p, j.m.size).float()
			if len(l.pos) == 1 {
				w = size
			}
			out[l.own[i]] += w / size
		}
	}
	return out
}

// evenness compares what nodes store per weight, within each datacenter.
func (j *judge) evenness(c *census, alive func(int) bool) {
	sum, weight := make([]float64, len(j.m.dcs)), make([]float64, len(j.m.dcs))
	for v := range j.m.ring.Nodes {
		if alive(v) {
			sum[j.m.dcOf[v]] += j.r.stored[v].float()
			weight[j.m.dcOf[v]] += float64(j.m.ring.Nodes[v].Weight.value())
		}
	}
	n, squares := 0.0, 0.0
	for v := range j.m.ring.Nodes {
		dc := j.m.dcOf[v]
		if !alive(v) || sum[dc] == 0 {
			continue
		}
		x := j.r.stored[v].float() / (sum[dc] * float64(j.m.ring.Nodes[v].Weight.value()) / weight[dc])
		c.stats.MaxOverMean = max(c.stats.MaxOverMean, x)
		if n == 0 || x < c.stats.MinOverMean {
			c.stats.MinOverMean = x
		}
		n++
		squares += float64((x - 1) * (x - 1))
	}
	if n > 0 {
		c.stats.StdDev = math.Sqrt(squares / n)
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
