package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helenus"
	"helenus/internal/cql/client"
)

// Layout is the shape of a cluster.
type Layout struct {
	Nodes       int
	Datacenters int // nodes are dealt out to them in turn; 0 is 1
	Racks       int // in each datacenter; 0 is 1
	Settings    map[string]string
	Files       map[string]string // beside each node's configuration, by name
}

// seedsMax is how many nodes of a cluster are seeds.
const seedsMax = 3

// NewCluster makes nodes n1, n2… that know the first of them as seeds and have
// not been started.
func (s *Sim) NewCluster(l Layout) ([]*Node, error) {
	dcs, racks := max(l.Datacenters, 1), max(l.Racks, 1)
	var seeds []string
	for i := range min(l.Nodes, seedsMax) {
		seeds = append(seeds, address(i))
	}
	var nodes []*Node
	for i := range l.Nodes {
		n, err := s.NewNode(Options{
			Name: fmt.Sprint("n", i+1), Address: address(i), Seeds: seeds, Settings: l.Settings, Files: l.Files,
			Datacenter: helenus.Datacenter(fmt.Sprint("dc", i%dcs+1)), Rack: helenus.Rack(fmt.Sprint("rack", i/dcs%racks+1)),
		})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// address is that of the i-th node of a cluster.
func address(i int) string { return fmt.Sprintf("10.0.%d.%d", (i+1)>>8, (i+1)&255) }

// Form starts nodes at the same time and waits until each serves clients and
// knows all others, for at most so long.
func (s *Sim) Form(nodes []*Node, within time.Duration) error {
	for _, n := range nodes {
		s.Restart(n)
	}
	return s.Settle(nodes, within)
}

// Settle waits until each node serves clients and knows all others.
func (s *Sim) Settle(nodes []*Node, within time.Duration) error {
	deadline := s.Elapsed() + within
	missing, settled := "", false
	s.Go(fmt.Sprintf("observer at %v", s.Elapsed()), func(a *Actor) {
		a.Pause = time.Second
		for s.Elapsed() < deadline {
			a.Turn()
			if missing = s.unsettled(a, nodes); missing == "" {
				settled = true
				return
			}
		}
	})
	s.RunUntil(within+time.Minute, func() bool { return settled || s.Elapsed() >= deadline })
	if !settled {
		return fmt.Errorf("sim: the cluster is not complete after %v: %s", within, missing)
	}
	return nil
}

// unsettled says what is missing, "" if nothing is.
func (s *Sim) unsettled(a *Actor, nodes []*Node) string {
	for _, n := range nodes {
		if !n.Up() {
			return n.name + " is not up"
		}
		peers, err := s.peers(a, n)
		if err != nil {
			return fmt.Sprintf("%s: %v", n.name, err)
		}
		if peers != len(nodes)-1 {
			return fmt.Sprintf("%s knows %d others", n.name, peers)
		}
	}
	return ""
}

func (s *Sim) peers(a *Actor, n *Node) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := a.Connect(ctx, n)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }() // everything was answered
	res, err := c.Query(ctx, "SELECT peer FROM system.peers_v2")
	if err != nil {
		return 0, err
	}
	return res.Rows.Count, nil
}

// Ask is an actor's: it asks a node one thing after another.
func (a *Actor) Ask(ctx context.Context, n *Node, statements ...string) error {
	c, err := a.Connect(ctx, n)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything was answered
	for _, text := range statements {
		a.Turn()
		if _, err := c.Query(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// Replica reads what a node itself holds of registers: a copy of its disk is
// started on a network where it is alone. A key of which it is no replica is
// left out.
func (s *Sim) Replica(n *Node, table string, keys []string) (Copy, error) {
	out := Copy{Node: n.name, Partitions: map[string]string{}}
	twin, err := s.twin(n)
	if err != nil {
		return out, err
	}
	err = twin.Start()
	if err == nil {
		err = twin.readAll(table, keys, out.Partitions)
	}
	return out, errors.Join(err, twin.Stop())
}

// twin makes a free node of what is on a node's disk now.
func (s *Sim) twin(n *Node) (*Node, error) {
	o := n.options
	o.Name, o.Free, o.Disk = n.name+" alone", true, n.disk.Kill()
	return s.NewNode(o)
}

func (n *Node) readAll(table string, keys []string, into map[string]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := n.waitForClient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything was answered
	for _, key := range keys {
		number, err := ReadRegister(ctx, c, table, key, helenus.One)
		var e *helenus.Error
		switch {
		case errors.As(err, &e) && e.Code == helenus.CodeUnavailable:
		case err != nil:
			return fmt.Errorf("%s: read %s: %w", n.name, key, err)
		default:
			into[key] = shown(number)
		}
	}
	return nil
}

// waitForClient connects as soon as the node serves.
func (n *Node) waitForClient(ctx context.Context) (*client.Conn, error) {
	for {
		c, err := n.Client(ctx)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		time.Sleep(time.Second)
	}
}

// Owners makes the owners of Convergence out of who answered for a key.
func Owners(copies []Copy) func(key string) []string {
	return func(key string) (names []string) {
		for _, c := range copies {
			if _, ok := c.Partitions[key]; ok {
				names = append(names, c.Node)
			}
		}
		return names
	}
}
