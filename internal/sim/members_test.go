package sim

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// TestNoSeedAnswers is scenario 61: a new node none of whose seeds answers does
// not serve and founds nothing; a member of three starts alone and serves what it
// has.
func TestNoSeedAnswers(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			key := r.keysOf(1, r.nodes...)[0]
			r.must(r.nodes[0], helenus.All, fmt.Sprintf("INSERT INTO ks.r (k, v) VALUES ('%s', 7)", key))
			r.stop(r.nodes...)
			lonely, err := r.NewNode(Options{Name: "lonely", Address: address(7), Seeds: []string{address(0), address(1), address(2)}, Datacenter: "dc1", Rack: "rack1"})
			if err != nil {
				t.Fatal(err)
			}
			r.Restart(lonely)
			r.RunFor(5 * time.Minute)
			r.do("client", func(a *Actor) error {
				ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
				defer cancel()
				if c, err := a.Connect(ctx, lonely); err == nil {
					return fmt.Errorf("a node that is no member serves clients: %w", c.Close())
				}
				return nil
			})
			if s := lonely.State(); s != nil && s.Founded() {
				r.Errorf("a node whose seeds do not answer is in a cluster")
			}
			r.back(r.nodes[1])
			r.wants(r.nodes[1], helenus.One, fmt.Sprintf("SELECT v FROM ks.r WHERE k = '%s'", key), "7")
			if _, err := r.ask(r.nodes[1], helenus.Quorum, "SELECT v FROM ks.r WHERE k = '"+key+"'"); !unavailable(err, helenus.Quorum, 2, 1) {
				r.Errorf("at QUORUM, alone: %v", err)
			}
			r.must(r.nodes[1], helenus.One, fmt.Sprintf("INSERT INTO ks.r (k, v) VALUES ('%s', 8)", key))
			r.back(r.nodes[0], r.nodes[2])
			r.wants(r.nodes[0], helenus.All, fmt.Sprintf("SELECT v FROM ks.r WHERE k = '%s'", key), "8")
		})
	}
}

// TestEventsOfARestart is scenario 65: whoever listens is told once that a node
// is down and once that it is up, whether it was killed, stopped, or lost its
// power, and once of each change of the schema.
func TestEventsOfARestart(t *testing.T) {
	for _, seed := range seeds(t, 3) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			var ears []*client.Conn
			r.RunFor(5 * time.Second) // all know that all serve
			for _, n := range r.nodes[:2] {
				r.do("listener", func(a *Actor) error {
					c, err := a.Connect(context.Background(), n)
					if err == nil {
						ears = append(ears, c)
						err = c.Register(context.Background(), proto.EventStatus, proto.EventTopology, proto.EventSchema)
					}
					return err
				})
			}
			third := r.nodes[2]
			wants := func(when string, want ...string) {
				for i, c := range ears {
					if got := heard(c); !slices.Equal(got, want) && !t.Failed() {
						r.Errorf("%s, %s is told %q, want %q", when, r.nodes[i].name, got, want)
					}
				}
			}
			down, up := "DOWN "+third.Address(), "UP "+third.Address()
			for _, ending := range []struct {
				name string
				do   func()
			}{{"killed", func() { r.kill(third) }}, {"without power", func() { r.power(third) }}, {"stopped", func() { r.stop(third) }}} {
				ending.do()
				r.RunFor(2 * convicted)
				wants(ending.name, down)
				r.back(third)
				r.RunFor(convicted)
				wants(ending.name+" and started", up)
			}
			r.define("CREATE TABLE ks.e (k int PRIMARY KEY)", "ALTER TABLE ks.e ADD v int", "DROP TABLE ks.e")
			r.RunFor(10 * time.Second)
			wants("changes", "CREATED TABLE ks e", "UPDATED TABLE ks e", "DROPPED TABLE ks e")
			fourth, err := r.NewNode(Options{Name: "n4", Address: address(3), Seeds: []string{address(0), address(1), address(2)}, Datacenter: "dc1", Rack: "rack1",
				Settings: map[string]string{"auto_bootstrap": "false"}})
			if err != nil {
				t.Fatal(err)
			}
			r.back(fourth)
			r.RunFor(convicted)
			wants("a new node", "NEW_NODE "+fourth.Address(), "UP "+fourth.Address())
		})
	}
}

// heard are the events that have come, as text.
func heard(c *client.Conn) (out []string) {
	for {
		select {
		case e := <-c.Events():
			if e.Type == proto.EventSchema {
				out = append(out, fmt.Sprintf("%s %s %s %s", e.Schema.Change, e.Schema.Target, e.Schema.Keyspace, e.Schema.Name))
			} else {
				out = append(out, fmt.Sprintf("%s %s", e.Change, e.Node))
			}
		default:
			return out
		}
	}
}
