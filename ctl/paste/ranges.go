package paste

import (
	"fmt"
	"slices"
	"strings"

	"helenus/balance"
)

// tokenRange is one line of describering.
type tokenRange struct {
	start, end string
	endpoints  []string
}

// tokenRange reads TokenRange(start_token:S, end_token:E, endpoints:[..],
// rpc_endpoints:[..], endpoint_details:[EndpointDetails(host:H, datacenter:D,
// rack:R), ..]).
func (r *reader) tokenRange() error {
	line := strings.TrimSpace(r.lines[r.at])
	if !strings.HasSuffix(line, ")])") {
		return r.fail("the line of describering is cut off: it does not end with \")])\"")
	}
	start, ok1 := between(line, "start_token:", ",")
	end, ok2 := between(line, "end_token:", ",")
	list, ok3 := between(line, " endpoints:[", "], rpc_endpoints:[") // with -pp an IPv6 address has brackets of its own
	details, ok4 := between(line, "endpoint_details:[", ")])")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return r.fail("%q is no line of describering", clip(line))
	}
	t := tokenRange{cleanToken(start), cleanToken(end), strings.Split(list, ", ")}
	if !isToken(t.start) || !isToken(t.end) {
		return r.fail("describering: %q or %q is no token", clip(t.start), clip(t.end))
	}
	for _, d := range strings.Split(details, "EndpointDetails(") {
		host, ok := between(d, "host:", ",")
		if !ok {
			continue
		}
		dc, okDC := between(d, "datacenter:", ", rack:")
		_, rack, okRack := strings.Cut(d, ", rack:")
		if !okDC || !okRack {
			return r.fail("describering: %q lacks datacenter or rack", clip(d))
		}
		rack = strings.TrimSuffix(strings.TrimSuffix(rack, ", "), ")")
		if err := r.place(r.member(host, inDescribe), dc, rack); err != nil {
			return err
		}
	}
	for i, e := range t.endpoints {
		if r.byName[canonical(e)] == nil {
			return r.fail("describering: no details of endpoint %q", clip(e))
		}
		t.endpoints[i] = canonical(e)
	}
	r.ranges = append(r.ranges, t)
	r.at++
	return nil
}

func between(s, left, right string) (string, bool) {
	_, rest, ok := strings.Cut(s, left)
	if !ok {
		return "", false
	}
	in, _, ok := strings.Cut(rest, right)
	return in, ok
}

// closeRanges follows the ranges around the ring, and takes tokens from them if
// nothing else has told.
func (r *reader) closeRanges() error {
	ends := make(map[string]bool, len(r.ranges))
	starts := make(map[string]bool, len(r.ranges))
	for _, t := range r.ranges {
		if ends[t.end] {
			return fmt.Errorf("paste: describering has two ranges that end at %s: paste one keyspace only", t.end)
		}
		ends[t.end], starts[t.start] = true, true
	}
	for _, t := range r.ranges {
		if !ends[t.start] {
			return fmt.Errorf("paste: describering is cut off: no range ends at %s, where (%s, %s] begins", t.start, t.start, t.end)
		}
		if !starts[t.end] {
			return fmt.Errorf("paste: describering is cut off: no range begins at %s, where (%s, %s] ends", t.end, t.start, t.end)
		}
	}
	if r.seen&^inDescribe != 0 {
		return nil
	}
	r.notes = append(r.notes, "describering names replicas, not owners: the first replica of a range is taken for its owner, which is wrong where a datacenter has none of this keyspace")
	for _, t := range r.ranges {
		m := r.byName[t.endpoints[0]]
		m.tokens = append(m.tokens, t.end)
	}
	for _, m := range r.members {
		if len(m.tokens) == 0 {
			return fmt.Errorf("paste: describering shows no range that is %s's own: paste \"nodetool ring\" instead", m.address)
		}
	}
	return nil
}

// described is the keyspace that describering shows: how many replicas a range
// has in each datacenter.
func (r *reader) described() (balance.Keyspace, bool) {
	if len(r.ranges) == 0 {
		return balance.Keyspace{}, false
	}
	k := balance.Keyspace{Name: pastedName, Strategy: "NetworkTopologyStrategy", DCs: map[string]int{}}
	for _, e := range r.ranges[0].endpoints {
		k.DCs[r.byName[e].dc]++
	}
	even, simple := true, true
	next := make(map[string]*tokenRange, len(r.ranges))
	for i := range r.ranges {
		next[r.ranges[i].start] = &r.ranges[i]
	}
	for i := range r.ranges {
		t := &r.ranges[i]
		n := map[string]int{}
		for _, e := range t.endpoints {
			n[r.byName[e].dc]++
		}
		for dc, rf := range k.DCs {
			even = even && n[dc] == rf
		}
		even = even && len(n) == len(k.DCs)
		simple = simple && nextOwners(t, next)
	}
	if even && (!simple || len(k.DCs) == len(r.dcs())) && !(simple && r.rackRepeats()) {
		return k, true
	}
	if simple {
		return balance.Keyspace{Name: pastedName, Strategy: "SimpleStrategy", RF: len(r.ranges[0].endpoints)}, true
	}
	return balance.Keyspace{}, false
}

// rackRepeats tells whether a range has two replicas in a rack while another
// rack of the datacenter has none: no rack was looked at.
func (r *reader) rackRepeats() bool {
	racks := map[string]map[string]bool{}
	for _, m := range r.members {
		if racks[m.dc] == nil {
			racks[m.dc] = map[string]bool{}
		}
		racks[m.dc][m.rack] = true
	}
	for _, t := range r.ranges {
		count, used := map[string]int{}, map[string]map[string]bool{}
		for _, e := range t.endpoints {
			m := r.byName[e]
			if used[m.dc] == nil {
				used[m.dc] = map[string]bool{}
			}
			used[m.dc][m.rack] = true
			count[m.dc]++
		}
		for dc, n := range count {
			if len(used[dc]) < min(n, len(racks[dc])) {
				return true
			}
		}
	}
	return false
}

// nextOwners tells whether a range's replicas are the owners that follow it.
func nextOwners(t *tokenRange, next map[string]*tokenRange) bool {
	var want []string
	at := t
	for range next {
		if owner := at.endpoints[0]; !slices.Contains(want, owner) {
			want = append(want, owner)
		}
		if len(want) == len(t.endpoints) {
			break
		}
		at = next[at.end]
	}
	a, b := slices.Clone(want), slices.Clone(t.endpoints)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
