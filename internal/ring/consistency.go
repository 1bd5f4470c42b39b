package ring

import "helenus"

// quorum is the majority of a factor.
func quorum(factor int) int { return factor/2 + 1 }

// BlockFor is how many replicas must answer at level cl, seen from a
// coordinator in datacenter local. Factors are the configured ones.
func BlockFor(cl helenus.Consistency, s Strategy, local helenus.Datacenter) int {
	switch cl {
	case helenus.Any, helenus.One, helenus.LocalOne:
		return 1
	case helenus.Two:
		return 2
	case helenus.Three:
		return 3
	case helenus.All:
		return s.Factor()
	case helenus.LocalQuorum, helenus.LocalSerial:
		return quorum(s.FactorIn(local))
	case helenus.EachQuorum:
		if n, ok := s.(*Network); ok {
			sum := 0
			for _, rf := range n.factors {
				sum += quorum(rf)
			}
			return sum
		}
	}
	return quorum(s.Factor())
}

// BlockForWrite is BlockFor plus the pending replicas that the level counts:
// those of the coordinator's datacenter for a local level, none for ANY.
func BlockForWrite(cl helenus.Consistency, s Strategy, local helenus.Datacenter, pending []*Node) int {
	n := BlockFor(cl, s, local)
	switch {
	case cl == helenus.Any:
		return n
	case cl.IsLocal():
		return n + countIn(pending, local, everybody)
	}
	return n + len(pending)
}

// BlockForPaxos is the majority of those who take part in a conditional write:
// the natural and pending replicas there really are.
func BlockForPaxos(participants int) int { return quorum(participants) }

func everybody(*Node) bool { return true }

func countIn(nodes []*Node, dc helenus.Datacenter, alive func(*Node) bool) (n int) {
	for _, node := range nodes {
		if node.Datacenter == dc && alive(node) {
			n++
		}
	}
	return n
}

// CheckLive tells whether enough of the replicas live for a request at level
// cl. The error is a *helenus.Error of code Unavailable. blockFor is BlockFor
// or BlockForWrite; replicas are the natural and, for a write, the pending
// ones. A serial level is reported as the quorum level that its read needs.
func CheckLive(cl helenus.Consistency, s Strategy, local helenus.Datacenter, replicas []*Node, blockFor int, alive func(*Node) bool) error {
	if _, ok := s.(Local); ok { // the replica is whoever asks
		return nil
	}
	switch cl {
	case helenus.Any: // a hint will do, and this node lives
		return nil
	case helenus.Serial:
		cl = helenus.Quorum
	case helenus.LocalSerial:
		cl = helenus.LocalQuorum
	}
	if network, ok := s.(*Network); ok && cl == helenus.EachQuorum {
		return checkEach(network, replicas, alive)
	}
	live := 0
	for _, n := range replicas {
		if alive(n) && (!cl.IsLocal() || n.Datacenter == local) {
			live++
		}
	}
	if live < blockFor {
		return helenus.Unavailable(cl, blockFor, live)
	}
	return nil
}

// checkEach wants a quorum in every datacenter. Cassandra 5.0 reports 0 alive
// here whatever the truth (its arguments are swapped); we tell the truth.
func checkEach(s *Network, replicas []*Node, alive func(*Node) bool) error {
	for _, dc := range s.Datacenters() {
		required, live := quorum(s.factors[dc]), countIn(replicas, dc, alive)
		if live < required {
			err := helenus.Unavailable(helenus.EachQuorum, required, live)
			err.Message += " in DC " + string(dc)
			return err
		}
	}
	return nil
}
