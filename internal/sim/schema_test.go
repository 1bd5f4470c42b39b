package sim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/meta"
)

// TestOneTableOfThreeCoordinators is scenario 66: three coordinators create one
// table at the same time and write at once; all nodes are started again; there is
// one table, and no row is lost.
func TestOneTableOfThreeCoordinators(t *testing.T) {
	for _, seed := range seeds(t, 3) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			var done atomic.Int64
			for i, n := range r.nodes {
				r.Go(fmt.Sprint("creator", i), func(a *Actor) {
					if err := r.createAndWrite(a, n, i); err != nil {
						r.Errorf("%s: %v", n.name, err)
					}
					done.Add(1)
				})
			}
			r.RunUntil(time.Minute, func() bool { return done.Load() == int64(len(r.nodes)) })
			for range 2 {
				ids := map[string]bool{}
				for _, n := range r.nodes {
					id, err := r.ask(n, helenus.One, "SELECT id FROM system_schema.tables WHERE keyspace_name = 'one' AND table_name = 't'")
					if err != nil {
						r.Errorf("%s: %v", n.name, err)
					}
					ids[id] = true
					if got := r.count(n, helenus.Quorum, "SELECT k FROM one.t"); got != 60 {
						r.Errorf("%s finds %d rows of 60", n.name, got)
					}
				}
				if len(ids) != 1 {
					r.Errorf("ids of the table: %v", ids)
				}
				for _, n := range r.nodes {
					r.kill(n)
				}
				r.back(r.nodes...)
			}
		})
	}
}

func (r *ring) createAndWrite(a *Actor, n *Node, i int) error {
	c, err := a.Connect(context.Background(), n)
	if err != nil {
		return err
	}
	defer c.Close()
	texts := []string{"CREATE KEYSPACE IF NOT EXISTS one WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}",
		"CREATE TABLE IF NOT EXISTS one.t (k int PRIMARY KEY, v int)"}
	for k := range 20 {
		texts = append(texts, fmt.Sprintf("INSERT INTO one.t (k, v) VALUES (%d, %d)", 100*i+k, i))
	}
	for _, text := range texts {
		a.Turn()
		req := c.QueryRequest(text)
		req.Params.Consistency = helenus.Quorum
		if _, err := c.Do(context.Background(), req); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// TestManyChangesOfSchema is scenario 67: changes by all nodes at the same time,
// at first with one of them dead. Soon after the last all have the same schema.
func TestManyChangesOfSchema(t *testing.T) {
	each := 20
	if long() {
		each = 200
	}
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 4, Racks: 2}, func(r *ring) {
			for _, dead := range []*Node{r.nodes[1], nil} {
				if dead != nil {
					r.die(dead)
				}
				var counts changeCounts
				var ended atomic.Int64
				all := 0
				for i := range 2 * len(r.nodes) {
					n := r.nodes[i%len(r.nodes)]
					if n == dead {
						continue
					}
					all++
					r.Go(fmt.Sprintf("changer %d at %v", i, r.Elapsed()), func(a *Actor) {
						if err := r.changes(a, n, each, &counts); err != nil {
							r.Errorf("%s: %v", n.name, err)
						}
						ended.Add(1)
					})
				}
				if !r.RunUntil(10*time.Minute, func() bool { return ended.Load() == int64(all) }) && !r.t.Failed() {
					r.Errorf("%d of %d have not ended", int64(all)-ended.Load(), all)
				}
				if done := counts.done.Load(); done < int64(all*each/2) && !r.t.Failed() {
					r.Errorf("of %d changes %d were done, %d not decided", all*each, done, counts.undecided.Load())
				}
				if dead != nil {
					r.back(dead)
				}
				r.sameSchema(10 * time.Second)
			}
		})
	}
}

// changeCounts are how many changes ended which way.
type changeCounts struct {
	done      atomic.Int64 // or somebody else was first
	undecided atomic.Int64
}

// changes makes changes of any kind of tables that others change, too.
func (r *ring) changes(a *Actor, n *Node, count int, counts *changeCounts) error {
	c, err := a.Connect(context.Background(), n)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range count {
		a.Turn()
		table := fmt.Sprintf("ks.s%d", a.Rand.IntN(6))
		column := fmt.Sprintf("x%d", a.Rand.IntN(4))
		text := []string{
			"CREATE TABLE " + table + " (k int PRIMARY KEY, v int)",
			"CREATE TABLE IF NOT EXISTS " + table + " (k int PRIMARY KEY, v int)",
			"DROP TABLE IF EXISTS " + table,
			"ALTER TABLE " + table + " ADD " + column + " int",
			"ALTER TABLE " + table + " DROP " + column,
			"ALTER TABLE " + table + " WITH comment = '" + a.Name + "'",
			fmt.Sprintf("CREATE TYPE IF NOT EXISTS ks.u%d (a int)", i%5),
			fmt.Sprintf("DROP TYPE IF EXISTS ks.u%d", i%5),
			fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS z%d WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}", i%3),
			fmt.Sprintf("DROP KEYSPACE IF EXISTS z%d", i%3),
		}[a.Rand.IntN(10)]
		_, err := c.Query(context.Background(), text)
		var e *helenus.Error
		switch {
		case err == nil:
			counts.done.Add(1)
		case errors.As(err, &e) && (e.Code == helenus.CodeInvalid || e.Code == helenus.CodeAlreadyExists):
			counts.done.Add(1)
		case errors.As(err, &e) && e.Code == helenus.CodeServer:
			counts.undecided.Add(1)
		default:
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// sameSchema wants all nodes at one epoch, with the same metadata and the same
// description of it.
func (r *ring) sameSchema(within time.Duration) {
	if r.t.Failed() {
		return
	}
	if !r.RunUntil(within, r.agreed) {
		r.Errorf("%v after the last change nodes are at different epochs", within)
		return
	}
	r.RunFor(time.Second) // their stores make the tables
	digests, described := map[[32]byte]bool{}, map[string]bool{}
	for _, n := range r.nodes {
		digests[sha256.Sum256(meta.EncodeState(nil, n.State()))] = true
		text, err := r.ask(n, helenus.One, "DESCRIBE SCHEMA")
		if err != nil {
			r.Errorf("%s: %v", n.name, err)
		}
		described[text] = true
	}
	if len(digests) != 1 || len(described) != 1 {
		r.Errorf("%d schemas, %d descriptions", len(digests), len(described))
	}
}

// TestChangesWhileAway is scenario 68: whoever was away for a change has it soon
// after it is back, each node in turn, killed, or cut off.
func TestChangesWhileAway(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 4, Racks: 2}, func(r *ring) {
			r.define("CREATE TABLE ks.a (k int PRIMARY KEY)")
			for i := range 2 * len(r.nodes) {
				away, by := r.nodes[i%len(r.nodes)], r.nodes[(i+1)%len(r.nodes)]
				cut := Fault{Kind: Isolate, A: i % len(r.nodes)}
				if i < len(r.nodes) {
					r.die(away)
				} else {
					r.spoil(r.nodes, cut)
					r.RunFor(convicted)
				}
				r.must(by, helenus.One, fmt.Sprintf("ALTER TABLE ks.a ADD x%d int", i), fmt.Sprintf("CREATE TABLE ks.a%d (k int PRIMARY KEY, v int)", i))
				if i < len(r.nodes) {
					r.back(away)
				} else {
					r.mend(r.nodes, cut)
				}
				r.sameSchema(10 * time.Second)
				r.must(away, helenus.One, fmt.Sprintf("INSERT INTO ks.a (k, x%d) VALUES (1, %d)", i, i), fmt.Sprintf("INSERT INTO ks.a%d (k, v) VALUES (1, 2)", i))
			}
		})
	}
}

// TestColumnThatCameBack is scenario 69: the values of a column that was dropped
// are not seen under a new one of that name: not from memory, files, the log or
// hints, and not on a replica that was away for both changes.
func TestColumnThatCameBack(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			r.define("CREATE TABLE ks.c (k int PRIMARY KEY, v int, w int) WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': '2'}")
			write := func(from, to int) {
				for k := from; k < to; k++ {
					r.must(r.nodes[0], helenus.Quorum, fmt.Sprintf("INSERT INTO ks.c (k, v, w) VALUES (%d, 1, 1)", k))
				}
			}
			flush := func(nodes ...*Node) {
				for _, n := range nodes {
					r.do("operator", func(*Actor) error { return n.Flush(context.Background(), "ks", "c") })
				}
			}
			check := func(when string) {
				if t.Failed() {
					return
				}
				for _, n := range r.nodes {
					for _, cl := range []helenus.Consistency{helenus.One, helenus.All} {
						got, err := r.ask(n, cl, "SELECT v, w FROM ks.c")
						if err != nil || strings.Contains(got, "null") == strings.Contains(got, "1 1") || strings.Count(got, "null 1") != 20 {
							r.Errorf("%s, at %s by %s: %q, %v", when, cl, n.name, got, err)
						}
					}
				}
			}
			write(0, 10)
			flush(r.nodes[0]) // one has files, the others have not
			r.die(r.nodes[2])
			write(10, 20) // what the third node misses is kept as hints
			r.must(r.nodes[1], helenus.One, "ALTER TABLE ks.c DROP v", "ALTER TABLE ks.c ADD v int")
			r.back(r.nodes[2])
			r.sameSchema(10 * time.Second)
			r.RunFor(deliveredAfter)
			check("after the changes")
			for _, n := range r.nodes {
				r.kill(n)
			}
			r.back(r.nodes...)
			check("after a restart")
			flush(r.nodes...)
			for _, n := range r.nodes[1:] {
				r.must(n, helenus.All, "INSERT INTO ks.c (k, w) VALUES (0, 1)")
				flush(r.nodes...)
			}
			r.RunFor(time.Minute)
			check("after compaction")
			for _, n := range r.nodes {
				r.kill(n)
			}
			r.back(r.nodes...)
			check("after compaction and a restart")
			r.must(r.nodes[0], helenus.All, "INSERT INTO ks.c (k, v, w) VALUES (0, 7, 1)")
			r.wants(r.nodes[2], helenus.One, "SELECT v, w FROM ks.c WHERE k = 0", "7 1")
		})
	}
}

// TestStatementsDuringDisagreement is scenario 70: while a node does not know of
// a change yet, what does not touch the column works by all nodes; a prepared
// statement never shows values under wrong columns.
func TestStatementsDuringDisagreement(t *testing.T) {
	for _, seed := range seeds(t, 2) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			r.define("CREATE TABLE ks.d (k int PRIMARY KEY, b int, m int)")
			prepared := make([]*client.Prepared, 3)
			r.do("preparer", func(a *Actor) error {
				for i, n := range r.nodes {
					c, err := r.conn(context.Background(), a, n)
					if err == nil {
						prepared[i], err = c.Prepare(context.Background(), "SELECT * FROM ks.d WHERE k = 1", "")
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			behind := r.nodes[2]
			for round, change := range []string{"ADD a int", "DROP m", "ADD z text", "DROP b"} {
				behind.Pause(true)
				r.must(r.nodes[0], helenus.One, "ALTER TABLE ks.d "+change)
				behind.Pause(false)
				if r.agreed() {
					r.Errorf("%s: the node that stood still has it already", change)
				}
				for i, n := range []*Node{behind, r.nodes[0], r.nodes[1]} {
					r.must(n, helenus.Quorum, fmt.Sprintf("UPDATE ks.d SET %s = %d WHERE k = 1", []string{"b", "b", "a", "a"}[round], 10*round+i))
				}
				r.do("reader", func(a *Actor) error {
					for i, n := range r.nodes {
						if err := r.readByName(a, n, prepared[i], round); err != nil {
							return fmt.Errorf("%s by %s: %w", change, n.name, err)
						}
					}
					return nil
				})
				r.sameSchema(10 * time.Second)
			}
		})
	}
}

// readByName executes a prepared SELECT * and looks at each column's value.
func (r *ring) readByName(a *Actor, n *Node, p *client.Prepared, round int) error {
	ctx := context.Background()
	c, err := r.conn(ctx, a, n)
	if err != nil {
		return err
	}
	req := c.ExecuteRequest(p)
	req.Params.Consistency = helenus.All
	res, err := c.DoPrepared(ctx, p, req)
	if err != nil {
		return err
	}
	line, err := linesOf(res)
	var names []string
	for _, col := range res.Rows.Columns {
		names = append(names, col.Name)
	}
	values := strings.Fields(line)
	if err != nil || len(values) != len(names) {
		return fmt.Errorf("columns %q, values %q: %w", names, values, err)
	}
	want := map[string]string{"k": "1", "b": []string{"2", "12", "12", ""}[round], "a": []string{"null", "null", "22", "32"}[round], "m": "null", "z": "null"}
	for i, name := range names {
		if values[i] != want[name] {
			return fmt.Errorf("columns %q, values %q", names, values)
		}
	}
	if !slices.Contains(names, "k") || round >= 1 && slices.Contains(names, "m") || round == 3 && slices.Contains(names, "b") {
		return fmt.Errorf("columns %q", names)
	}
	return nil
}
