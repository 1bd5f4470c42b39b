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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	// A client that does not read has had its chance: it asks for the schema
	// anew when it comes back.
	if c.owed > c.server.opts.InFlightBytes {
		return
	}
	c.appendLocked(proto.Header{Version: c.version, Response: true, Stream: proto.EventStream, Op: proto.OpEvent},
		proto.AppendEvent(nil, c.version, e), nil)
	c.wakeWriterLocked()
}
