package balance

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"sort"
)

// model is a ring in numbers. NetworkTopologyStrategy places each datacenter by
// its own tokens only, so a domain (one datacenter, or the whole ring for
// SimpleStrategy) is all that a placement ever looks at.
type model struct {
	ring     *Ring
	size     Position
	dcOf     []int32 // by node
	rackOf   []int32 // by node; a rack belongs to one datacenter
	dcs      []string
	racks    []string
	rackDC   []int32
	spaces   []*space
	places   []*place
	scale    int // amounts count 10^-scale bytes
	denseMax uint64
	assumed  bool // there were no keyspaces
	byID     map[string]int
}

// everywhere is the domain of SimpleStrategy.
const everywhere = -1

// place is one way to place replicas, and the keyspaces placed so.
type place struct {
	domain    int
	factor    int
	rackAware bool
	spaces    []*space
}

// space is a keyspace's bytes along the ring: density[i] holds on
// (cut[i], cut[i+1]], and cum[i] is what lies up to cut[i].
type space struct {
	name    string
	cut     []Position
	density []uint64
	cum     []amount
	total   amount
}

func newModel(r *Ring) (*model, error) {
	m := &model{ring: r, size: r.size(), byID: make(map[string]int, len(r.Nodes))}
	m.index()
	keyspaces := r.Keyspaces
	real := func(k Keyspace) bool { return shortStrategy(k.Strategy) != local && k.factorMax() > 0 }
	if !slices.ContainsFunc(keyspaces, real) {
		m.assumed = true
		keyspaces = []Keyspace{{Strategy: network, DCs: map[string]int{}}}
		for _, dc := range m.dcs {
			keyspaces[0].DCs[dc] = 1
		}
	}
	if err := m.chooseScale(keyspaces); err != nil {
		return nil, err
	}
	for i := range keyspaces {
		if real(keyspaces[i]) {
			m.addSpace(&keyspaces[i])
		}
	}
	return m, nil
}

func (k *Keyspace) factorMax() int {
	most := k.RF
	for _, rf := range k.DCs {
		most = max(most, rf)
	}
	return most
}

// index numbers datacenters and racks in the order of their names.
func (m *model) index() {
	type rack struct{ dc, rack string }
	dcs, racks := map[string]int32{}, map[rack]int32{}
	for i := range m.ring.Nodes {
		n := &m.ring.Nodes[i]
		m.byID[n.ID] = i
		dcs[n.DC], racks[rack{n.DC, n.Rack}] = 0, 0
	}
	m.dcs = slices.Sorted(maps.Keys(dcs))
	for i, dc := range m.dcs {
		dcs[dc] = int32(i)
	}
	order := slices.SortedFunc(maps.Keys(racks), func(a, b rack) int {
		return slices.Compare([]string{a.dc, a.rack}, []string{b.dc, b.rack})
	})
	for i, k := range order {
		racks[k] = int32(i)
		m.racks, m.rackDC = append(m.racks, k.rack), append(m.rackDC, dcs[k.dc])
	}
	for i := range m.ring.Nodes {
		n := &m.ring.Nodes[i]
		m.dcOf, m.rackOf = append(m.dcOf, dcs[n.DC]), append(m.rackOf, racks[rack{n.DC, n.Rack}])
	}
}

// densityDigits is how many decimal digits a density keeps: all that a uint64
// surely holds, counted from the first digit of the largest.
const densityDigits = 18

// chooseScale finds the unit in which all densities are whole numbers.
func (m *model) chooseScale(keyspaces []Keyspace) error {
	digits := -1 << 30
	for i := range keyspaces {
		for _, d := range keyspaces[i].factors() {
			num := d.Num()
			if num.Sign() == 0 {
				continue
			}
			m.scale = max(m.scale, decimals(d))
			whole := new(big.Int).Quo(new(big.Int).Mul(num, pow10(decimalMax)), d.Denom())
			digits = max(digits, len(whole.String())-decimalMax)
		}
	}
	if m.scale > 0 && m.scale+digits > densityDigits {
		m.scale = max(0, densityDigits-digits)
	}
	if digits > densityDigits {
		return fmt.Errorf("balance: a density of %d digits is more than this can count", digits)
	}
	return nil
}

// decimals is how many digits r, a product of decimals, has after its point.
func decimals(r *big.Rat) (n int) {
	ten := big.NewInt(10)
	for num := new(big.Int).Set(r.Num()); n < 2*decimalMax; n++ {
		if new(big.Int).Rem(num, r.Denom()).Sign() == 0 {
			break
		}
		num.Mul(num, ten)
	}
	return n
}

// factors are the densities of k in bytes per token: that of the ring's start
// first, then one per Density.
func (k *Keyspace) factors() []*big.Rat {
	base := big.NewRat(1, 1)
	if k.PerToken != "" {
		base = k.PerToken.rat()
	}
	if len(k.Density) == 0 {
		return []*big.Rat{base}
	}
	out := []*big.Rat{nil}
	for _, d := range k.Density {
		out = append(out, new(big.Rat).Mul(base, d.Factor.rat()))
	}
	out[0] = out[len(out)-1]
	return out
}

func (m *model) addSpace(k *Keyspace) {
	s := &space{name: k.Name}
	unit := new(big.Rat).SetInt(pow10(m.scale))
	for i, f := range k.factors() {
		v := new(big.Rat).Mul(f, unit)
		density := new(big.Int).Quo(v.Num(), v.Denom()).Uint64()
		m.denseMax = max(m.denseMax, density)
		at := Position{}
		if i > 0 {
			at = k.Density[i-1].After
		}
		if i == 1 && at.isZero() {
			s.density[0] = density
			continue
		}
		s.cut, s.density = append(s.cut, at), append(s.density, density)
	}
	for i := range s.cut {
		s.cum = append(s.cum, s.total)
		end := m.size
		if i+1 < len(s.cut) {
			end = s.cut[i+1]
		}
		s.total = s.total.add(spread(end.sub(s.cut[i]), s.density[i]))
	}
	m.spaces = append(m.spaces, s)
	if shortStrategy(k.Strategy) == simple {
		m.placeAt(everywhere, k.RF, false, s)
		return
	}
	for dc, name := range m.dcs {
		if rf := k.DCs[name]; rf > 0 {
			m.placeAt(dc, rf, true, s)
		}
	}
}

func (m *model) placeAt(domain, factor int, rackAware bool, s *space) {
	for _, p := range m.places {
		if p.domain == domain && p.factor == factor && p.rackAware == rackAware {
			p.spaces = append(p.spaces, s)
			return
		}
	}
	m.places = append(m.places, &place{domain, factor, rackAware, []*space{s}})
}

// densityAt holds just after p.
func (s *space) densityAt(p Position) uint64 {
	i := len(s.cut) - 1
	for i > 0 && p.less(s.cut[i]) {
		i--
	}
	return s.density[i]
}

// upTo is the bytes of one replica on (0, p].
func (s *space) upTo(p Position) amount {
	if len(s.cut) == 1 {
		return spread(p, s.density[0])
	}
	i := sort.Search(len(s.cut), func(i int) bool { return !s.cut[i].less(p) })
	if i == 0 {
		return amount{}
	}
	return s.cum[i-1].add(spread(p.sub(s.cut[i-1]), s.density[i-1]))
}

// between is the bytes of one replica on (a, b]; a == b is the whole ring.
func (s *space) between(a, b Position) amount {
	if a.less(b) {
		return s.upTo(b).sub(s.upTo(a))
	}
	return s.total.sub(s.upTo(a)).add(s.upTo(b))
}

func (p *place) between(a, b Position) (sum amount) {
	for _, s := range p.spaces {
		sum = sum.add(s.between(a, b))
	}
	return sum
}

// uniform tells whether bytes are tokens times a constant.
func (m *model) uniform() bool {
	for _, s := range m.spaces {
		if len(s.cut) > 1 {
			return false
		}
	}
	return true
}

// show writes an amount.
func (m *model) show(a amount) Amount { return show(a.big(), m.scale) }

// inDomain tells whether a node's tokens lie in a domain.
func (m *model) inDomain(node, domain int) bool {
	return domain == everywhere || int(m.dcOf[node]) == domain
}
