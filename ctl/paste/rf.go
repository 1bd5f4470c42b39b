package paste

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"helenus/balance"
)

// pastedName is the keyspace of a paste, which has no name.
const pastedName = "pasted"

// ParseRF reads how data is replicated: "3" is three replicas in each of dcs,
// "dc1=3,dc2=2" as it says, "SimpleStrategy=3" without regard to racks and
// datacenters.
func ParseRF(s string, dcs []string) (balance.Keyspace, error) {
	k := balance.Keyspace{Name: pastedName, Strategy: "NetworkTopologyStrategy", DCs: map[string]int{}}
	if n, err := factor(s); err == nil {
		for _, dc := range dcs {
			k.DCs[dc] = n
		}
		return k, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		dc, number, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := factor(number)
		switch {
		case !ok:
			return k, fmt.Errorf("--rf %q is neither a number nor dc=number,...", s)
		case err != nil:
			return k, fmt.Errorf("--rf %q: %w", s, err)
		case dc == "SimpleStrategy" && strings.Contains(s, ","):
			return k, fmt.Errorf("--rf %q: SimpleStrategy has one number for all datacenters", s)
		case dc == "SimpleStrategy":
			return balance.Keyspace{Name: pastedName, Strategy: dc, RF: n}, nil
		case !slices.Contains(dcs, dc):
			return k, fmt.Errorf("--rf %q: there is no datacenter %s, only %s", s, dc, strings.Join(dcs, ", "))
		}
		if _, twice := k.DCs[dc]; twice {
			return k, fmt.Errorf("--rf %q: %s stands twice", s, dc)
		}
		k.DCs[dc] = n
	}
	return k, nil
}

func factor(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1000 {
		return 0, fmt.Errorf("%q is not a number of replicas", s)
	}
	return n, nil
}

// keyspaces finds out how data is replicated: what the operator says, what
// describering shows, what the shares in status add up to.
func (r *reader) keyspaces(ring *balance.Ring, opt Options) error {
	if opt.RF != "" {
		k, err := ParseRF(opt.RF, r.dcs())
		if err == nil {
			ring.Keyspaces = []balance.Keyspace{k}
		}
		return err
	}
	if k, ok := r.described(); ok {
		ring.Keyspaces = []balance.Keyspace{k}
		r.notes = append(r.notes, "replication as describering shows it: "+replication(k))
		return nil
	}
	if !r.effective {
		return nil
	}
	k := balance.Keyspace{Name: pastedName, Strategy: "NetworkTopologyStrategy", DCs: map[string]int{}}
	sum := map[string]float64{}
	for _, m := range r.members {
		if m.owns < 0 {
			return nil
		}
		sum[m.dc] += m.owns
	}
	for dc, owned := range sum {
		k.DCs[dc] = int(math.Round(owned))
		if math.Abs(owned-math.Round(owned)) > 0.0006*float64(len(r.members)+1) {
			r.notes = append(r.notes, "the shares of datacenter "+dc+" add up to no whole number of copies: say --rf")
			return nil
		}
	}
	ring.Keyspaces = []balance.Keyspace{k}
	r.notes = append(r.notes, "replication from what the nodes own together: "+replication(k))
	return nil
}

func replication(k balance.Keyspace) string {
	if k.Strategy == "SimpleStrategy" {
		return fmt.Sprintf("SimpleStrategy, %d replicas", k.RF)
	}
	var parts []string
	for dc, n := range k.DCs {
		parts = append(parts, fmt.Sprintf("%s=%d", dc, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
