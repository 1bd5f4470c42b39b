package sim

import (
	"context"
	"fmt"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// TestTraceOfAnotherNode: a session can be read at every node, and is not there
// while the one that made it is down.
func TestTraceOfAnotherNode(t *testing.T) {
	inCluster(t, 1, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
		ctx := context.Background()
		var session [16]byte
		read := func(c *client.Conn, table string) int {
			req := c.QueryRequest("SELECT * FROM system_traces."+table+" WHERE session_id = ?", proto.Value{Bytes: session[:]})
			res, err := c.Do(ctx, req)
			if err != nil {
				t.Errorf("%s: %v", table, err)
				return 0
			}
			return res.Rows.Count
		}
		r.do("client", func(a *Actor) error {
			c, err := a.Connect(ctx, r.nodes[0])
			if err != nil {
				return err
			}
			defer c.Close()
			req := c.QueryRequest("INSERT INTO ks.r (k, v) VALUES ('a', 1)")
			req.Flags |= proto.FlagTracing
			res, err := c.Do(ctx, req)
			if err == nil && !res.HasTracing {
				err = fmt.Errorf("no session")
			}
			if err != nil {
				return err
			}
			session = res.Tracing
			return nil
		})
		for _, n := range r.nodes {
			r.do("reader", func(a *Actor) error {
				c, err := a.Connect(ctx, n)
				if err != nil {
					return err
				}
				defer c.Close()
				if sessions, events := read(c, "sessions"), read(c, "events"); sessions != 1 || events < 2 {
					return fmt.Errorf("%s shows %d sessions and %d events", n.Name(), sessions, events)
				}
				return nil
			})
		}
		r.kill(r.nodes[0])
		r.RunFor(30 * time.Second)
		r.do("reader", func(a *Actor) error {
			c, err := a.Connect(ctx, r.nodes[1])
			if err != nil {
				return err
			}
			defer c.Close()
			if n := read(c, "sessions"); n != 0 {
				return fmt.Errorf("%d sessions of a node that is down", n)
			}
			return nil
		})
	})
}
