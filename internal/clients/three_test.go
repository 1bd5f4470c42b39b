package clients

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"helenus/internal/peer"
)

// threeNodes are what the tests of a cluster share, in the order in which they
// change it.
type threeNodes struct {
	*ring
	ears    ears
	python  *shell
	gocql   *shell
	drivers []*shell
	program string // Python's
}

// TestThreeNodes is what drivers find on a cluster of three agents, while
// agents end, come back and join.
func TestThreeNodes(t *testing.T) {
	if os.Getenv("HELENUS_CLIENTS") != "1" {
		t.Skip("SKIP: runs with HELENUS_CLIENTS=1 (fetches cqlsh and drivers from the public registries at first use)")
	}
	if os.Getenv("HELENUS_CQL") != "" {
		t.Skip("SKIP: starts agents of its own, and HELENUS_CQL names a node; TestThreeNodesStories runs")
	}
	c := &threeNodes{program: pythonOf(t)}
	c.ring = newRing(t, 3)
	c.start(c.members...)
	c.python, c.gocql = shells(t, c.program)
	c.drivers = []*shell{c.python, c.gocql}
	c.ears.r = c.ring
	for _, m := range c.members {
		c.ears.open(m)
	}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"schema events", c.schemaEvents},
		{"first seed's program", c.seedProgram},
		{"routing", c.routing},
		{"peers", func(t *testing.T) { c.peers(t) }},
		{"cqlsh", c.cqlsh},
		{"one contact point", c.contact},
		{"kill", c.kill},
		{"quick restart", c.quickRestart},
		{"stop", c.stop},
		{"fourth node", c.fourth},
		{"contact point dies", c.contactDies},
		{"all was told once", c.once},
	} {
		if !t.Run(part.name, part.test) {
			return // what follows leans on it
		}
	}
}

// TestThreeNodesStories tells the stories for three nodes to the cluster of the
// node that HELENUS_CQL names: to record them.
func TestThreeNodesStories(t *testing.T) {
	if os.Getenv("HELENUS_CLIENTS") != "1" || os.Getenv("HELENUS_CQL") == "" {
		t.Skip("SKIP: runs with HELENUS_CLIENTS=1 and HELENUS_CQL=host:port, a node of three")
	}
	n := theNode(t)
	out := peer.Clients(t).Cqlsh(t, strings.Split(n.addr, ":")[0], strings.Split(n.addr, ":")[1], "-e", "SELECT peer FROM system.peers")
	if n.others = anAddress.FindAllString(out, -1); len(n.others) != 2 {
		t.Skipf("SKIP: %s is no node of three: %q", n.addr, n.others)
	}
	n.stories(t, pythonOf(t), "cqlsh/ring")
}

// change runs a statement that changes the schema and waits until all agents
// have told of it.
func (c *threeNodes) change(t *testing.T, event, statement string) {
	t.Helper()
	c.members[0].query(statement)
	c.ears.want(t, event)
}

// schemaEvents makes the tables of later tests: each change is told once by
// every agent.
func (c *threeNodes) schemaEvents(t *testing.T) {
	for name, replication := range map[string]string{
		"one":   "'class': 'SimpleStrategy', 'replication_factor': 1",
		"two":   "'class': 'NetworkTopologyStrategy', 'dc1': 2",
		"three": "'class': 'NetworkTopologyStrategy', 'dc1': 3",
	} {
		c.change(t, "CREATED KEYSPACE "+name, "CREATE KEYSPACE "+name+" WITH replication = {"+replication+"}")
		c.change(t, "CREATED TABLE "+name+".t", "CREATE TABLE "+name+".t (k text PRIMARY KEY, v int)")
	}
	c.change(t, "CREATED TYPE three.pair", "CREATE TYPE three.pair (a int, b int)")
	c.change(t, "UPDATED TABLE three.t", "ALTER TABLE three.t ADD p frozen<pair>")
	c.change(t, "UPDATED TABLE three.t", "ALTER TABLE three.t DROP p")
	c.change(t, "DROPPED TYPE three.pair", "DROP TYPE three.pair")
	c.change(t, "UPDATED KEYSPACE three", "ALTER KEYSPACE three WITH durable_writes = true AND replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
	c.members[0].query("ALTER TABLE three.t WITH gc_grace_seconds = 864000") // as it is: nothing to tell
	c.change(t, "CREATED TABLE three.gone", "CREATE TABLE three.gone (k int PRIMARY KEY)")
	c.change(t, "DROPPED TABLE three.gone", "DROP TABLE three.gone")
}

// seedProgram is that of python/driver_suite.py, where it meets one node.
func (c *threeNodes) seedProgram(t *testing.T) {
	for i, s := range c.drivers {
		keyspace := "seed_" + s.name
		s.want(t, c.natives(3), "connect %s %d token", c.members[i].native, c.cql)
		s.want(t, "ok", "at ONE CREATE KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}", keyspace)
		s.want(t, "ok", "at ONE CREATE TABLE %s.users (id int PRIMARY KEY, name text)", keyspace)
		for id, level := range []string{"ONE", "QUORUM", "LOCAL_QUORUM", "ALL"} {
			s.want(t, "ok", "at %s INSERT INTO %s.users (id, name) VALUES (%d, 'name')", level, keyspace, id)
			s.want(t, "['name']", "at ALL SELECT name FROM %s.users WHERE id = %d", keyspace, id)
			s.want(t, "['name']", "at %s SELECT name FROM %s.users WHERE id = 0", level, keyspace)
		}
		// Until conditional statements run over several replicas.
		got := s.ask("at QUORUM INSERT INTO %s.users (id, name) VALUES (5, 'five') IF NOT EXISTS", keyspace)
		if !strings.HasPrefix(got, "error: "+s.invalid+": ") || !strings.Contains(got, "not supported yet: conditional statements over several replicas") {
			t.Errorf("%s: IF NOT EXISTS: %s", s.name, got)
		}
		s.want(t, "ok", "at ALL SELECT name FROM %s.users WHERE id = 5", keyspace)
		s.want(t, "ok", "at ONE DROP KEYSPACE %s", keyspace)
		c.ears.want(t, "CREATED KEYSPACE "+keyspace, "CREATED TABLE "+keyspace+".users", "DROPPED TABLE "+keyspace+".users", "DROPPED KEYSPACE "+keyspace)
	}
}

// natives are where the first nodes serve clients, in a shell's order.
func (c *threeNodes) natives(nodes int) string {
	var all []string
	for _, m := range c.members[:nodes] {
		all = append(all, m.native)
	}
	return strings.Join(all, " ")
}

// routing compares where requests went with where their rows are, by the
// agents' own counters.
func (c *threeNodes) routing(t *testing.T) {
	const n = 150
	for _, s := range c.drivers {
		for _, run := range []struct {
			policy, keyspace string
			least, most      float64 // the share of remote requests
		}{
			{"token", "one", 0, 0.02},
			{"token", "two", 0, 0.02},
			{"robin", "one", 0.5, 0.85}, // two in three
			{"robin", "two", 0.15, 0.5}, // one in three
		} {
			s.want(t, c.natives(3), "connect %s %d %s", c.members[0].native, c.cql, run.policy)
			before := c.sums()
			s.want(t, "ok", "requests %d %s QUORUM", n, run.keyspace)
			after := c.sums()
			for _, what := range []string{"reads", "writes"} {
				all, remote := after[what]-before[what], after["remote_"+what]-before["remote_"+what]
				t.Logf("%s, %s, replicas: %s: %v %s, %v by a node without the row", s.name, run.policy, run.keyspace, all, what, remote)
				if share := remote / n; all < n || share < run.least || share > run.most {
					t.Errorf("of %d %s %v are remote, want a share of %v to %v", n, what, remote, run.least, run.most)
				}
			}
		}
	}
}

// sums are the agents' facts, added up.
func (c *threeNodes) sums() map[string]float64 {
	all := map[string]float64{}
	for _, m := range c.members {
		for name, n := range m.facts() {
			all[name] += n
		}
	}
	return all
}

// peers compares what each node says of the others with what those say of
// themselves. Drivers read peers_v2, older ones peers.
func (c *threeNodes) peers(t *testing.T) {
	const same = "host_id, data_center, rack, release_version, schema_version, tokens, "
	for _, m := range c.members {
		for _, of := range c.members {
			own := of.query("SELECT " + same + "broadcast_address, rpc_address FROM system.local")[0]
			v2 := of.query("SELECT " + same + "broadcast_address, rpc_address, broadcast_port, rpc_port FROM system.local")[0]
			if m == of {
				continue
			}
			for _, table := range []struct {
				text string
				want [][]byte
			}{
				{"SELECT " + same + "peer, rpc_address FROM system.peers WHERE peer = '" + of.host + "'", own},
				{"SELECT " + same + "peer, native_address, peer_port, native_port FROM system.peers_v2 WHERE peer = '" + of.host +
					fmt.Sprintf("' AND peer_port = %d", c.storage), v2},
			} {
				rows := m.query(table.text)
				if len(rows) != 1 || fmt.Sprintf("%x", rows[0]) != fmt.Sprintf("%x", table.want) {
					t.Errorf("node %d of node %d: %s: %x, want %x", m.number, of.number, table.text, rows, table.want)
				}
			}
		}
		for _, table := range []string{"peers", "peers_v2"} {
			if rows := m.query("SELECT peer FROM system." + table); len(rows) != len(c.members)-1 {
				t.Errorf("node %d has %d rows in system.%s", m.number, len(rows), table)
			}
		}
	}
}

func (c *threeNodes) cqlsh(t *testing.T) {
	n := &node{addr: fmt.Sprintf("%s:%d", c.members[1].native, c.cql), others: strings.Fields(c.natives(3))}
	n.stories(t, c.program, "cqlsh/ring")
	var told []string
	for _, keyspace := range []string{"clients_ring", "clients_trace"} { // one of each story
		told = append(told, "CREATED KEYSPACE "+keyspace, "CREATED TABLE "+keyspace+".t", "DROPPED TABLE "+keyspace+".t", "DROPPED KEYSPACE "+keyspace)
	}
	c.ears.want(t, told...)
}

// contact gives each driver one contact point; what follows happens to these
// sessions.
func (c *threeNodes) contact(t *testing.T) {
	for _, s := range c.drivers {
		s.want(t, c.natives(3), "connect %s %d token", c.members[0].native, c.cql)
		s.want(t, "ok", "requests 50 three QUORUM")
	}
}

// knows waits until drivers take exactly the running nodes for up.
func (c *threeNodes) knows(t *testing.T, drivers ...*shell) {
	t.Helper()
	var up []string
	for _, m := range c.members {
		if m.cmd != nil {
			up = append(up, m.native)
		}
	}
	slices.Sort(up)
	for _, s := range drivers {
		eventually(t, s.name+" knows who is up", func() string {
			if got := s.ask("hosts"); got != strings.Join(up, " ") {
				return c.named(got)
			}
			return ""
		})
	}
}

// works lets every driver make requests that any two of three replicas can
// answer: at last without an error.
func (c *threeNodes) works(t *testing.T) {
	t.Helper()
	for _, s := range c.drivers {
		eventually(t, s.name+" goes on", func() string {
			if got := s.ask("requests 50 three QUORUM"); got != "ok" {
				return got
			}
			return ""
		})
	}
}

// kill ends a node that cannot say so, and starts it when all have found out.
func (c *threeNodes) kill(t *testing.T) {
	c.dies(t, c.members[2])
	c.returns(t, c.members[2], c.python)
}

// dies ends a node that cannot say so; drivers go on and find out.
func (c *threeNodes) dies(t *testing.T, m *member) {
	t.Helper()
	m.kill()
	c.ears.shut(m)
	c.works(t)
	c.ears.want(t, fmt.Sprint("DOWN ", m.number))
	c.knows(t, c.drivers...)
}

// returns starts a node of which all have heard that it is down; these drivers
// know when it is back.
func (c *threeNodes) returns(t *testing.T, m *member, drivers ...*shell) {
	t.Helper()
	c.start(m)
	c.ears.want(t, fmt.Sprint("UP ", m.number))
	c.ears.open(m)
	c.knows(t, drivers...)
}

// quickRestart kills a node and starts it before anybody has found out.
func (c *threeNodes) quickRestart(t *testing.T) {
	m := c.members[2]
	m.kill()
	c.ears.shut(m)
	c.start(m)
	c.ears.want(t, "DOWN 3", "UP 3")
	c.ears.open(m)
	c.knows(t, c.python)
	c.works(t)
}

// stop ends a node in good order: it says so.
func (c *threeNodes) stop(t *testing.T) {
	m := c.members[1]
	m.stop()
	c.ears.shut(m)
	c.ears.want(t, "DOWN 2")
	c.knows(t, c.python)
	c.works(t)
	c.returns(t, m, c.drivers...)
}

// fourth lets a node join, which drivers reach by another address than nodes do:
// they learn of it and talk to it.
func (c *threeNodes) fourth(t *testing.T) {
	m := c.add(false) // there are tables, and data does not move yet
	c.start(m)
	c.ears.want(t, "NEW_NODE 4", "UP 4")
	c.ears.open(m)
	c.knows(t, c.drivers...)
	c.peers(t)
	for _, s := range c.drivers {
		eventually(t, s.name+" talks to node 4", func() string {
			before := m.facts()
			s.want(t, "ok", "requests 50 one ONE")
			after := m.facts()
			if after["reads"]-before["reads"] < 3 || after["writes"]-before["writes"] < 3 {
				return "it has coordinated nothing"
			}
			if remote := after["remote_writes"] - before["remote_writes"]; remote > 0 {
				return fmt.Sprintf("%v writes are of rows that it does not have", remote)
			}
			return ""
		})
	}
}

// contactDies ends the node by which drivers came, and hear events.
func (c *threeNodes) contactDies(t *testing.T) {
	c.dies(t, c.members[0])
	c.returns(t, c.members[0], c.drivers...)
	c.works(t)
}

// once looks for what came late or twice, behind a change that is told last.
func (c *threeNodes) once(t *testing.T) {
	c.members[0].query("DROP KEYSPACE one")
	c.ears.want(t, "DROPPED TABLE one.t", "DROPPED KEYSPACE one")
	for _, s := range c.drivers {
		t.Logf("%s heard: %s", s.name, c.named(s.ask("heard")))
	}
	if heard := c.named(c.python.ask("heard")); heard != "down 1 1, down 2 1, down 3 2, new 4 1, up 1 1, up 2 1, up 3 2" {
		t.Errorf("the Python driver heard %s", heard)
	}
	// The Go driver also says "down" when its last connection to a node ends, and
	// of what comes in quick order only the last.
	for _, what := range []string{"down 1", "down 2", "down 3", "new 4 1", "up 1", "up 2", "up 3", "up 4 1"} {
		if heard := c.named(c.gocql.ask("heard")); !strings.Contains(heard, what) {
			t.Errorf("the Go driver heard %s, not %s", heard, what)
		}
	}
}
