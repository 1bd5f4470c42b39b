package clients

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// ears hear all events at every agent, each by a connection that registered for
// them, and know what there should have been.
type ears struct {
	r  *ring
	at []*ear
}

// ear is one such connection.
type ear struct {
	m    *member
	conn *client.Conn
	want []string

	mu    sync.Mutex // guards what follows
	heard []string
	early []string // of nodes that were told to be up and did not serve
}

var anAddress = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)

// open listens at an agent, from now on.
func (e *ears) open(m *member) {
	t := e.r.t
	t.Helper()
	conn, err := m.connect(t.Context())
	if err == nil {
		err = conn.Register(t.Context(), proto.EventTopology, proto.EventStatus, proto.EventSchema)
	}
	if err != nil {
		t.Fatalf("register at node %d: %v", m.number, err)
	}
	one := &ear{m: m, conn: conn}
	e.at = append(e.at, one)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range conn.Events() {
			one.hear(t, &event)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}

// hear notes an event with the numbers of nodes for their addresses.
func (e *ear) hear(t *testing.T, event *proto.Event) {
	text := fmt.Sprintf("%s %s", event.Change, event.Node.Addr())
	if event.Type == proto.EventSchema {
		s := &event.Schema
		text = fmt.Sprintf("%s %s %s", s.Change, s.Target, strings.Trim(s.Keyspace+"."+s.Name, "."))
	}
	var early string
	if event.Change == "UP" {
		early = e.serves(t, event.Node.String())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, text)
	if early != "" {
		e.early = append(e.early, early)
	}
}

// serves connects to a node that is said to be up; it says why that is not true.
func (e *ear) serves(t *testing.T, address string) string {
	for _, m := range e.m.r.members {
		if !strings.HasPrefix(address, m.native+":") {
			continue
		}
		if why := m.unready(t.Context()); why != "" {
			return fmt.Sprintf("node %d told UP of node %d: %s", e.m.number, m.number, why)
		}
		c, err := m.connect(t.Context())
		if err != nil {
			return fmt.Sprintf("node %d told UP of node %d: %v", e.m.number, m.number, err)
		}
		c.Close()
	}
	return ""
}

// shut forgets the ears at an agent that has ended.
func (e *ears) shut(m *member) {
	e.at = slices.DeleteFunc(e.at, func(one *ear) bool { return one.m == m })
}

// want waits until these events have been heard by all ears, after those from
// before and with nothing between.
func (e *ears) want(t *testing.T, events ...string) {
	t.Helper()
	for _, one := range e.at {
		one.want = append(one.want, events...)
		var heard, early []string
		eventually(t, fmt.Sprintf("%q at node %d", events, one.m.number), func() string {
			one.mu.Lock()
			heard, early = slices.Clone(one.heard), slices.Clone(one.early)
			one.mu.Unlock()
			if len(heard) < len(one.want) {
				return fmt.Sprintf("heard %q", e.r.numbered(heard))
			}
			return ""
		})
		if heard := e.r.numbered(heard); !slices.Equal(heard, one.want) || len(early) > 0 || one.conn.EventsMissed() > 0 {
			t.Errorf("node %d told\n%q, want\n%q; %d missed; %q", one.m.number, heard, one.want, one.conn.EventsMissed(), early)
		}
	}
}

func (r *ring) numbered(events []string) []string {
	var out []string
	for _, event := range events {
		out = append(out, r.named(event))
	}
	return out
}
