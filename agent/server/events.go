package server

import (
	"bytes"
	"context"
	"slices"

	"helenus"
	"helenus/internal/cql/proto"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

// eventBits are the types of event that a connection registered for.
type eventBits uint32

const (
	topologyEvents eventBits = 1 << iota
	statusEvents
	schemaEvents
)

func eventBitOf(t proto.EventType) (eventBits, bool) {
	switch t {
	case proto.EventTopology:
		return topologyEvents, true
	case proto.EventStatus:
		return statusEvents, true
	case proto.EventSchema:
		return schemaEvents, true
	}
	return 0, false
}

// watch compares each published picture of the cluster with the one before and
// tells the registered connections what happened.
func (s *Server) watch(ctx context.Context) {
	seen := s.picture()
	for {
		state := s.opts.State.Changed()
		var peers <-chan struct{}
		if s.opts.Peers != nil {
			peers = s.opts.Peers.Changed()
		}
		now := s.picture()
		for _, e := range meta.Diff(seen.state.Schema, now.state.Schema) {
			s.push(schemaEvents, &proto.Event{Type: proto.EventSchema,
				Schema: proto.SchemaChange{Change: e.Change, Target: e.Target, Keyspace: e.Keyspace, Name: e.Name}})
		}
		for _, e := range seen.nodeEvents(now) {
			bit := statusEvents
			if e.Type == proto.EventTopology {
				bit = topologyEvents
			}
			s.push(bit, &e)
		}
		seen = now
		select {
		case <-ctx.Done():
			return
		case <-state:
		case <-peers:
		}
	}
}

// picture is what clients may know of the cluster at one time.
type picture struct {
	state *meta.State
	nodes []peer // by host id, without this node and those on their way in
}

type peer struct {
	*meta.Node
	serving int64 // since which start; 0: it is not
}

func (s *Server) picture() picture {
	p := picture{state: s.opts.State.State()}
	if s.opts.Peers == nil {
		return p
	}
	for _, n := range p.state.Nodes {
		if n.HostID != s.opts.Self && n.State != ring.Joining {
			p.nodes = append(p.nodes, peer{n, s.opts.Peers.Serving(n.HostID)})
		}
	}
	return p
}

func (p picture) find(id helenus.HostID) (peer, bool) {
	i, ok := slices.BinarySearchFunc(p.nodes, id, func(n peer, id helenus.HostID) int { return bytes.Compare(n.HostID[:], id[:]) })
	if !ok {
		return peer{}, false
	}
	return p.nodes[i], true
}

// nodeEvents lists what happened to other nodes since p, in the order in which a
// driver can use it: a node is new before it is up, and down before it is gone.
func (p picture) nodeEvents(now picture) []proto.Event {
	var out []proto.Event
	add := func(kind proto.EventType, change string, n *meta.Node) {
		out = append(out, proto.Event{Type: kind, Change: change, Node: n.Native})
	}
	for _, old := range p.nodes {
		n, stays := now.find(old.HostID)
		// A restart may be over before anybody looks; its connections are gone
		// all the same.
		if old.serving != 0 && !(stays && n.serving == old.serving) {
			add(proto.EventStatus, "DOWN", old.Node)
		}
		if !stays {
			add(proto.EventTopology, "REMOVED_NODE", old.Node)
		}
	}
	for _, n := range now.nodes {
		old, known := p.find(n.HostID)
		switch {
		case !known:
			add(proto.EventTopology, "NEW_NODE", n.Node)
		case !slices.Equal(old.Tokens, n.Tokens):
			add(proto.EventTopology, "MOVED_NODE", n.Node)
		}
		if n.serving != 0 && !(known && n.serving == old.serving) {
			add(proto.EventStatus, "UP", n.Node)
		}
	}
	return out
}

func (s *Server) push(bit eventBits, e *proto.Event) {
	for _, c := range s.registered(bit) {
		c.push(e)
	}
}

func (c *conn) push(e *proto.Event) {
	body := proto.AppendEvent(nil, c.version, e)
	c.mu.Lock()
	deaf := c.unreadLocked() > c.server.opts.InFlightBytes
	if !deaf {
		c.appendLocked(proto.Header{Version: c.version, Response: true, Stream: proto.EventStream, Op: proto.OpEvent}, body, nil)
		c.wakeWriterLocked()
	}
	c.mu.Unlock()
	// A client that misses an event must not stay: it would never learn of the
	// change. When it comes back it asks for everything anew.
	if deaf {
		c.close()
	}
}
