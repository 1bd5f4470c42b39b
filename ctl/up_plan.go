package ctl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// upNode is a node on its way up.
type upNode struct {
	labNode
	at      addresses
	place   place
	config  *configuration // to be written first; nil: the node has one
	wanted  bool           // up shall start it
	already bool           // it runs already
	process process
	fate    chan error // gets the end of a process that this command started
	hostID  string     // once it serves
}

// runs tells whether the node runs when all is done.
func (n *upNode) runs() bool { return n.wanted || n.already }

// planUp decides what is to be written and started, and finds out whether it
// can be. It changes nothing.
func (c *command) planUp(l lab, f *upFlags) ([]*upNode, error) {
	there, err := l.nodes()
	if err != nil {
		return nil, err
	}
	count, err := f.count(l, len(there))
	if err != nil {
		return nil, err
	}
	var nodes []*upNode
	for _, n := range there {
		one, err := present(n)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, one)
	}
	if err := f.agrees(nodes, count, c); err != nil {
		return nil, err
	}
	if nodes, err = f.grow(l, nodes, count, c); err != nil {
		return nil, err
	}
	var errs []error
	for _, n := range nodes {
		n.wanted = f.node == 0 || f.node == n.number
		if n.wanted && !n.already {
			errs = append(errs, n.at.free())
		}
	}
	return nodes, errors.Join(append(errs, apart(nodes))...)
}

// check refuses flags that make no sense, before anything is touched.
func (f *upFlags) check(l lab) error {
	for _, bound := range []struct {
		flag  string
		value int
	}{{"nodes", f.nodes}, {"racks", f.racks}, {"datacenters", f.datacenters}} {
		if bound.value < 1 || bound.value > labNodesMax {
			return badUse("--%s %d: it is 1 to %d", bound.flag, bound.value, labNodesMax)
		}
	}
	if !f.given.Changed("node") {
		return nil
	}
	if f.given.Changed("nodes") {
		return badUse("--node starts one node of a lab, --nodes says how many it has: give one of them")
	}
	return f.checkLab(l)
}

// checkLab refuses to look for a node where there is no lab.
func (f *upFlags) checkLab(l lab) error {
	if f.given.Changed("node") && !exists(l.dir) {
		return blocked("there is no lab in %s", l.dir)
	}
	return nil
}

// count is how many nodes the lab shall have.
func (f *upFlags) count(l lab, there int) (int, error) {
	switch {
	case f.given.Changed("node"):
		return there, f.checkNode(l, there)
	case !f.given.Changed("nodes"):
		return max(there, 1), nil
	case f.nodes < there:
		return 0, blocked("the lab in %s has %d nodes, and does not shrink to %d; down --node ends one of them, another --dir is another lab", l.dir, there, f.nodes)
	}
	return f.nodes, nil
}

// checkNode refuses a node that is not there.
func (f *upFlags) checkNode(l lab, there int) error {
	switch {
	case there == 0:
		return blocked("there is no lab in %s", l.dir)
	case f.node < 1 || f.node > there:
		return badUse("there is no node %d in %s: it has node 1 to %d, and up --nodes adds more", f.node, l.dir, there)
	}
	return nil
}

// present finds out about a node that is there.
func present(n labNode) (*upNode, error) {
	one := &upNode{labNode: n}
	var err error
	if one.at, err = n.read(); err != nil {
		return nil, err
	}
	if one.place, err = n.readPlace(); err != nil {
		return nil, err
	}
	one.process, one.already, err = n.running()
	return one, err
}

// agrees refuses flags that an older lab would silently win over.
func (f *upFlags) agrees(nodes []*upNode, count int, c *command) error {
	if len(nodes) == 0 {
		return nil
	}
	at := nodes[0].at
	for _, p := range []struct {
		flag        string
		given, said any
	}{{"cql-port", f.cqlPort, at.CQLPort}, {"port", c.port, at.AdminPort}, {"storage-port", f.storagePort, at.StoragePort}, {"host", c.host, at.AdminHost}} {
		if f.given.Changed(p.flag) && p.given != p.said {
			return blocked("%s says %s %v, --%s says %v: change it there, or take another --dir", nodes[0].configFile(), p.flag, p.said, p.flag, p.given)
		}
	}
	if count == len(nodes) && !f.given.Changed("racks") && !f.given.Changed("datacenters") {
		return nil
	}
	for _, n := range nodes {
		if want := placeOf(n.number, f.datacenters, f.racks); n.place != want {
			return blocked("node %d stands in %s, %s, where --datacenters %d --racks %d would have it in %s, %s: a node stays where it began; give the numbers the lab was made with",
				n.number, n.place.datacenter, n.place.rack, f.datacenters, f.racks, want.datacenter, want.rack)
		}
	}
	return nil
}

// grow adds the nodes that are missing.
func (f *upFlags) grow(l lab, nodes []*upNode, count int, c *command) ([]*upNode, error) {
	if len(nodes) == count {
		return nodes, nil
	}
	first, err := f.firstAddresses(c)
	if err != nil {
		return nil, err
	}
	if len(nodes) > 0 {
		first = nodes[0].at
	}
	key := ""
	if len(nodes) == 0 || exists(l.keyFile()) {
		key = l.keyFile()
	}
	for number := len(nodes) + 1; number <= count; number++ {
		at := addressesOf(first, number, f.ports)
		nodes = append(nodes, &upNode{labNode: l.node(number), at: at, place: placeOf(number, f.datacenters, f.racks),
			config: &configuration{at: at, seed: first.storage(), place: placeOf(number, f.datacenters, f.racks), key: key, shared: count > 1}})
	}
	return nodes, nil
}

// firstAddresses are those of node 1 of a new lab.
func (f *upFlags) firstAddresses(c *command) (addresses, error) {
	host := c.host
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
		return addresses{}, badUse("a lab is on loopback addresses, and %s is none", c.host)
	}
	return addresses{Host: host, StoragePort: f.storagePort, CQLHost: host, CQLPort: f.cqlPort, AdminHost: host, AdminPort: c.port}, nil
}

// addressesOf are those of another node: the first one's ports at an address
// of its own, or where the machine has none the first one's address at ports of
// its own. Storage ports leave room for the one with TLS.
func addressesOf(first addresses, number int, ports bool) addresses {
	if host, ok := loopback(first.Host, number-1); ok && !ports {
		first.Host, first.CQLHost, first.AdminHost = host, host, host
		return first
	}
	first.StoragePort += 2 * (number - 1)
	first.CQLPort += number - 1
	first.AdminPort += number - 1
	return first
}

// loopback is the loopback address that lies so far behind another, if the
// machine has it: Linux has all of 127.0.0.0/8, others 127.0.0.1 only.
func loopback(host string, behind int) (string, bool) {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return "", false
	}
	for range behind {
		a = a.Next()
	}
	if !a.IsLoopback() {
		return "", false
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(a.String(), "0"))
	if err != nil {
		return a.String(), !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	return a.String(), ln.Close() == nil
}

// apart refuses nodes that would be in each other's way.
func apart(nodes []*upNode) error {
	owners := map[string]string{}
	for _, n := range nodes {
		for _, door := range []struct{ what, address string }{{"CQL", n.at.cql()}, {"other nodes", n.at.storage()}, {"admin API", n.at.admin()}} {
			mine := fmt.Sprintf("node %d (%s)", n.number, door.what)
			if other := owners[door.address]; other != "" {
				return blocked("%s and %s would both be at %s; choose other ports", other, mine, door.address)
			}
			owners[door.address] = mine
		}
	}
	return nil
}
