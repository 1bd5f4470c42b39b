package cluster

import (
	"bytes"
	"cmp"
	"slices"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

// planVoters is the set of voters that there should be, or nil when the present
// one is good: 1, 3 or 5 of them, spread over datacenters and then over racks as
// evenly as can be, with as few changes as that takes. A new voter must be alive;
// one that is lost is replaced, if somebody else can take its place.
func planVoters(s *meta.State, alive, lost func(helenus.HostID) bool) []helenus.HostID {
	var candidates []*meta.Node
	members := 0
	for _, n := range s.Nodes {
		if n.State != ring.Normal && n.State != ring.Moving {
			continue
		}
		members++
		if s.IsVoter(n.HostID) && !lost(n.HostID) || !s.IsVoter(n.HostID) && alive(n.HostID) {
			candidates = append(candidates, n)
		}
	}
	count := votersOf(min(members, len(candidates)))
	kept := 0
	for _, n := range candidates {
		if s.IsVoter(n.HostID) {
			kept++
		}
	}
	healthy := kept == len(s.Voters)
	if count < len(s.Voters) && !(healthy && votersOf(members) < len(s.Voters)) {
		return nil // nobody to replace the lost: fewer voters would not be safer
	}
	picked := pickVoters(s, candidates, count)
	if slices.Equal(picked, s.Voters) || healthy && count == len(s.Voters) && spread(s, picked) >= spread(s, s.Voters) {
		return nil
	}
	return picked
}

// votersOf is how many voters so many members have.
func votersOf(members int) int {
	switch {
	case members < 3:
		return 1
	case members < meta.VotersMax:
		return 3
	}
	return meta.VotersMax
}

type place struct {
	datacenter helenus.Datacenter
	rack       helenus.Rack
}

// pickVoters takes the next voter from the datacenter, then the rack, that has
// the fewest of them; of equals one that is a voter already.
func pickVoters(s *meta.State, candidates []*meta.Node, count int) []helenus.HostID {
	datacenters, racks := map[helenus.Datacenter]int{}, map[place]int{}
	var picked []helenus.HostID
	for range count {
		var best *meta.Node
		for _, n := range candidates {
			if slices.Contains(picked, n.HostID) {
				continue
			}
			if best == nil || cmp.Or(
				cmp.Compare(datacenters[n.Datacenter], datacenters[best.Datacenter]),
				cmp.Compare(racks[place{n.Datacenter, n.Rack}], racks[place{best.Datacenter, best.Rack}]),
				cmp.Compare(newcomer(s, n), newcomer(s, best)),
				bytes.Compare(n.HostID[:], best.HostID[:])) < 0 {
				best = n
			}
		}
		picked = append(picked, best.HostID)
		datacenters[best.Datacenter]++
		racks[place{best.Datacenter, best.Rack}]++
	}
	slices.SortFunc(picked, func(a, b helenus.HostID) int { return bytes.Compare(a[:], b[:]) })
	return picked
}

func newcomer(s *meta.State, n *meta.Node) int {
	if s.IsVoter(n.HostID) {
		return 0
	}
	return 1
}

// spread is lower the more evenly voters stand: datacenters count before racks.
func spread(s *meta.State, voters []helenus.HostID) int {
	datacenters, racks := map[helenus.Datacenter]int{}, map[place]int{}
	sum := 0
	for _, id := range voters {
		n := s.Node(id)
		if n == nil {
			continue
		}
		// The sum of squares, built up as 1 + 3 + 5 ...
		sum += 100*(2*datacenters[n.Datacenter]+1) + 2*racks[place{n.Datacenter, n.Rack}] + 1
		datacenters[n.Datacenter]++
		racks[place{n.Datacenter, n.Rack}]++
	}
	return sum
}
