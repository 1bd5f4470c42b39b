package ctl

import (
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"helenus/balance"
)

// readGoal turns flags into a goal.
func (b *balancing) readGoal() error {
	g, t := &b.goal, &b.text
	switch {
	case t.maxMovesGiven && t.maxMoves < 1:
		return badUse("--max-moves %d: at least 1; --check and --frontier tell of the ring as it is", t.maxMoves)
	case g.Frontier < 0:
		return badUse("--frontier %d is below 0", g.Frontier)
	}
	g.Objective, g.MovesMax, g.For = t.objective, t.maxMoves, inParallel
	for _, part := range []struct {
		flag, text string
		into       *balance.Decimal
	}{{"tolerance", t.tolerance, &g.Tolerance}, {"headroom", t.headroom, &g.Headroom}} {
		d, ok := parsePart(part.text)
		if !ok {
			return badUse("--%s %q is not a part: 5%% or 0.05", part.flag, part.text)
		}
		*part.into = d
	}
	for _, size := range []struct {
		flag, text string
		into       *balance.Amount
	}{{"max-bytes", t.maxBytes, &g.BytesMax}, {"throughput", strings.TrimSuffix(t.throughput, "/s"), &g.Throughput}} {
		a, ok := parseBytes(size.text)
		if !ok {
			return badUse("--%s %q is not a number of bytes: 500GiB, 20GB or 1000", size.flag, size.text)
		}
		*size.into = a
	}
	for _, w := range t.weights {
		id, weight, ok := cutLast(w, "=")
		if !ok || id == "" {
			return badUse("--weight %q is not node=number", w)
		}
		if _, twice := g.Weights[id]; twice {
			return badUse("--weight: %s stands twice", id)
		}
		if _, err := balance.ParseWeight(balance.Decimal(weight)); err != nil || weight == "" {
			return badUse("--weight %q: %q is not a number above 0 and up to 1000", w, weight)
		}
		if g.Weights == nil {
			g.Weights = map[string]balance.Decimal{}
		}
		g.Weights[id] = balance.Decimal(weight)
	}
	for _, text := range t.joins {
		j, err := balance.ParseJoin(text)
		if err != nil {
			return badUse("--join %q is not id@dc/rack", text)
		}
		g.Join = append(g.Join, j)
	}
	return nil
}

// override puts what flags say over the goal of a plan that was read.
func (b *balancing) override(g *balance.Goal) {
	said := &b.goal
	over(&g.Mode, said.Mode)
	over(&g.Racks, said.Racks)
	over(&g.Tolerance, said.Tolerance)
	over(&g.Slack, said.Slack)
	over(&g.MovesMax, said.MovesMax)
	over(&g.BytesMax, said.BytesMax)
	over(&g.Cleanup, said.Cleanup)
	over(&g.Headroom, said.Headroom)
	if len(said.Join) > 0 {
		g.Join = said.Join
	}
	if len(said.Leave) > 0 {
		g.Leave = said.Leave
	}
	if len(said.Weights) > 0 {
		g.Weights = said.Weights
	}
}

func over[T comparable](value *T, said T) {
	var nothing T
	if said != nothing {
		*value = said
	}
}

// nameNodes names nodes in the goal as the ring does: an operator copies IPv6
// addresses from nodetool, which writes all their zeros.
func (b *balancing) nameNodes(r *balance.Ring) {
	name := func(id string) string {
		if slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return n.ID == id }) {
			return id
		}
		if a, err := netip.ParseAddr(id); err == nil {
			return a.Unmap().String()
		}
		return id
	}
	for i := range b.goal.Leave {
		b.goal.Leave[i] = name(b.goal.Leave[i])
	}
	for i := range b.goal.Join {
		b.goal.Join[i].ID = name(b.goal.Join[i].ID)
	}
	for id, weight := range maps.Clone(b.goal.Weights) {
		delete(b.goal.Weights, id)
		b.goal.Weights[name(id)] = weight
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// parsePart reads 5% or 0.05, exactly.
func parsePart(s string) (balance.Decimal, bool) {
	if s == "" {
		return "", true
	}
	number, percent := strings.CutSuffix(s, "%")
	if len(number) > 40 || strings.ContainsAny(number, "/eEpPxX_") {
		return "", false
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return "", false
	}
	if percent {
		r.Quo(r, big.NewRat(100, 1))
	}
	text := r.FloatString(40)
	return balance.Decimal(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), true
}

// byteUnits are what an operator may write behind a number.
var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15}, {"B", 1},
}

// parseBytes reads 200MiB, 20GB or 1000.
func parseBytes(s string) (balance.Amount, bool) {
	if s == "" {
		return "", true
	}
	unit := 1.0
	for _, u := range byteUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(number), u.size
			break
		}
	}
	if len(s) > 40 || strings.ContainsAny(s, "/eEpPxX_") {
		return "", false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() <= 0 {
		return "", false
	}
	r.Mul(r, new(big.Rat).SetFloat64(unit))
	return balance.Amount(new(big.Int).Quo(r.Num(), r.Denom()).String()), true
}
