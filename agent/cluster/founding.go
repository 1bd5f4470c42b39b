package cluster

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"helenus"
	"helenus/internal/meta"
)

// Who founds a cluster. A new node asks every address of its seed list. It founds
// when more than half of them are new, agree with it on the cluster's name, its
// partitioner and the list, and have promised not to let anybody else found; two
// majorities of one list share a node, so there is one founder. Whoever has the
// lowest host id asks for promises.

// sight is what a new node saw of another address of its seed list.
type sight struct {
	addr   helenus.Endpoint
	facts  *facts // nil: no answer
	reason string // why there is none
}

type step uint8

const (
	waits step = iota
	joins
	founds
)

// plan is what a new node does next.
type plan struct {
	step step
	at   int    // of the sight whose cluster to join
	why  string // what it waits for
}

// planEntry decides from what a new node saw. The error is why it never can be a
// member, as it is configured.
func planEntry(me *facts, sights []sight) (plan, error) {
	join := -1
	for i, s := range sights {
		if s.facts == nil || s.facts.cluster == (meta.ClusterID{}) {
			continue
		}
		if err := sameCluster(me, s.facts, s.addr); err != nil {
			return plan{}, err
		}
		if join < 0 {
			join = i
		}
	}
	if join >= 0 {
		return plan{step: joins, at: join}, nil
	}
	if !slices.Contains(me.seeds, me.addr) {
		return plan{why: "no seed is in a cluster yet, and this node, not being one, does not found: " + missing(me, sights)}, nil
	}
	lowest, agreeing := me.host, map[helenus.HostID]bool{me.host: true}
	for _, s := range sights {
		if s.facts != nil && disagreement(me, s.facts) == "" {
			agreeing[s.facts.host] = true
			if bytes.Compare(s.facts.host[:], lowest[:]) < 0 {
				lowest = s.facts.host
			}
		}
	}
	switch {
	case len(agreeing)*2 <= len(me.seeds):
		return plan{why: fmt.Sprintf("%d of %d seeds are ready to found a cluster, more than half must be: %s",
			len(agreeing), len(me.seeds), missing(me, sights))}, nil
	case lowest != me.host:
		return plan{why: fmt.Sprintf("node %s, the lowest of those that are new, founds the cluster", lowest)}, nil
	case me.promised != (helenus.HostID{}) && me.promised != me.host:
		return plan{why: fmt.Sprintf("node %s was promised that it founds the cluster; take it out of all seed lists if it is gone for ever", me.promised)}, nil
	}
	return plan{step: founds}, nil
}

// sameCluster tells why a node can never be in the cluster of a seed.
func sameCluster(me, seed *facts, addr helenus.Endpoint) error {
	switch {
	case seed.clusterName != me.clusterName:
		return fmt.Errorf("cluster: seed %s is in cluster %q, this node is configured for %q: correct cluster_name or the seeds",
			addr, seed.clusterName, me.clusterName)
	case seed.partitioner != me.partitioner:
		return fmt.Errorf("cluster: the cluster of seed %s uses %s, this node is configured with %s: correct partitioner",
			addr, seed.partitioner, me.partitioner)
	case me.level < seed.level:
		return fmt.Errorf("cluster: the cluster of seed %s is at feature level %d, this build reads up to %d: upgrade this node",
			addr, seed.level, me.level)
	}
	return nil
}

// disagreement is why two new nodes cannot found a cluster together; empty if
// they can.
func disagreement(a, b *facts) string {
	switch {
	case b.clusterName != a.clusterName:
		return fmt.Sprintf("is configured for cluster %q", b.clusterName)
	case b.partitioner != a.partitioner:
		return "is configured with " + b.partitioner
	case !slices.Equal(a.seeds, b.seeds):
		return fmt.Sprintf("has another seed list, %v", b.seeds)
	}
	return ""
}

// missing lists whom a node still waits for.
func missing(me *facts, sights []sight) string {
	var out []string
	for _, s := range sights {
		if s.facts == nil {
			out = append(out, fmt.Sprintf("%s %s", s.addr, s.reason))
		} else if d := disagreement(me, s.facts); d != "" {
			out = append(out, fmt.Sprintf("%s %s", s.addr, d))
		}
	}
	if len(out) == 0 {
		return "all that answered are new"
	}
	return "waiting for " + strings.Join(out, "; ")
}

// promise is a new node's word that only that host may found a cluster with its
// help. It is on disk, and is given back by that host alone, in a later round, or
// by another seed list.
type promise struct {
	host  helenus.HostID
	round uint64
	seeds [hashSize]byte
}

// answerFounding is how a new node's promise changes with a question. lowest is
// the lowest host id among those it saw itself.
func answerFounding(me *facts, have promise, asker *facts, lowest helenus.HostID) promise {
	switch {
	case !asker.founding:
		if asker.cluster == (meta.ClusterID{}) && asker.host == have.host && asker.round > have.round {
			return promise{}
		}
	case disagreement(me, asker) != "" || bytes.Compare(asker.host[:], lowest[:]) > 0:
	case have.host == (helenus.HostID{}) || have.host == asker.host:
		return promise{host: asker.host, round: max(asker.round, have.round), seeds: seedsHash(me.seeds)}
	}
	return have
}

// mayFound counts the promises of a round.
func mayFound(me *facts, sights []sight) bool {
	promised := map[helenus.HostID]bool{me.host: true}
	for _, s := range sights {
		if s.facts != nil && s.facts.cluster == (meta.ClusterID{}) && s.facts.promised == me.host && disagreement(me, s.facts) == "" {
			promised[s.facts.host] = true
		}
	}
	return len(promised)*2 > len(me.seeds)
}

// seedList is a seed list as it is compared: sorted, each address once.
func seedList(in []helenus.Endpoint) []helenus.Endpoint {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b helenus.Endpoint) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	return slices.Compact(out)
}

func seedsHash(seeds []helenus.Endpoint) [hashSize]byte {
	var p packer
	for _, s := range seeds {
		p.endpoint(s)
	}
	return link([hashSize]byte{}, 0, p)
}
