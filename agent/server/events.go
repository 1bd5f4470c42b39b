package server

import (
	"context"

	"helenus/internal/cql/proto"
	"helenus/internal/meta"
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

// watch compares each published state with the one before and tells the
// registered connections what happened.
func (s *Server) watch(ctx context.Context) {
	seen := s.opts.State.State()
	for {
		changed := s.opts.State.Changed()
		now := s.opts.State.State()
		for _, e := range meta.Diff(seen.Schema, now.Schema) {
			s.push(schemaEvents, &proto.Event{Type: proto.EventSchema,
				Schema: proto.SchemaChange{Change: e.Change, Target: e.Target, Keyspace: e.Keyspace, Name: e.Name}})
		}
		seen = now
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
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
