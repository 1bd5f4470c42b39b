package sim

import (
	"fmt"
	"slices"
	"testing"

	"helenus"
)

// TestLevels is scenario 1: every level of writes with every level of reads and
// every number of dead replicas. A request succeeds if enough replicas live, else
// it is Unavailable with the numbers; and where the replicas of write and read
// overlap, the read gives the last insert, update or delete, though others are
// dead by then: those that had missed it.
func TestLevels(t *testing.T) {
	for _, s := range []struct {
		layout Layout
		few    [][]int // dead replicas in each datacenter
	}{
		// The last node has no replica, so that somebody can always be asked.
		{Layout{Nodes: 4, Racks: 3}, [][]int{{0}, {1}, {2}, {3}}},
		{Layout{Nodes: 7, Racks: 3, Datacenters: 2}, [][]int{{1, 1}, {2, 0}, {0, 3}}},
	} {
		dead := s.few
		if s.layout.Datacenters == 2 && long() {
			dead = nil
			for i := range 16 {
				dead = append(dead, []int{i / 4, i % 4})
			}
		}
		for _, seed := range seeds(t, 1) {
			t.Run(fmt.Sprintf("%d nodes, seed %d", s.layout.Nodes, seed), func(t *testing.T) {
				inCluster(t, seed, s.layout, func(r *ring) {
					m := newMatrix(r, max(s.layout.Datacenters, 1))
					for _, d := range dead {
						m.round(d)
					}
				})
			})
		}
	}
}

// matrix is one run of scenario 1.
type matrix struct {
	*ring
	by       map[helenus.Datacenter]int // replicas
	replicas [][]*Node                  // by datacenter
	asker    *Node
	keys     []string
	used     int
}

var (
	matrixWrites = []helenus.Consistency{helenus.Any, helenus.One, helenus.Two, helenus.Three, helenus.Quorum, helenus.All, helenus.LocalOne, helenus.LocalQuorum, helenus.EachQuorum}
	matrixReads  = []helenus.Consistency{helenus.One, helenus.Two, helenus.Three, helenus.Quorum, helenus.All, helenus.LocalOne, helenus.LocalQuorum, helenus.EachQuorum}
)

func newMatrix(r *ring, dcs int) *matrix {
	m := &matrix{ring: r, by: r.regs.replicas, replicas: make([][]*Node, dcs), asker: r.nodes[len(r.nodes)-1]}
	all := r.nodes[:len(r.nodes)-1]
	for i, n := range all {
		m.replicas[i%dcs] = append(m.replicas[i%dcs], n)
	}
	m.keys = r.keysOf(16*3*len(matrixWrites)*len(matrixReads), all...)
	r.define("CREATE TABLE ks.m (k text PRIMARY KEY, v text)")
	r.operate(m.asker, "/hints/settings", `{"paused": true}`) // who missed something goes without
	return m
}

// chosen are the dead of each datacenter, from the shift-th replica on.
func (m *matrix) chosen(dead []int, shift int) (out []*Node) {
	for dc, count := range dead {
		for i := range count {
			out = append(out, m.replicas[dc][(i+shift)%len(m.replicas[dc])])
		}
	}
	return out
}

// matrixCell is one write at one level that will be read at another.
type matrixCell struct {
	key         string
	write, read helenus.Consistency
	does        string // insert, update or delete
	done        bool
}

func (m *matrix) round(dead []int) {
	if m.t.Failed() {
		return
	}
	live := map[helenus.Datacenter]int{}
	for i, d := range dead {
		dc := helenus.Datacenter(fmt.Sprint("dc", i+1))
		live[dc] = m.by[dc] - d
	}
	var cells []*matrixCell
	for _, w := range matrixWrites {
		for _, r := range matrixReads {
			for _, does := range []string{"insert", "update", "delete"} {
				cells = append(cells, &matrixCell{m.keys[m.used], w, r, does, false})
				m.used++
			}
		}
	}
	m.do("first", func(a *Actor) error {
		for _, c := range cells {
			if c.does == "insert" {
				continue
			}
			if _, err := m.asked(a, m.asker, helenus.All, fmt.Sprintf("INSERT INTO ks.m (k, v) VALUES ('%s', 'old')", c.key)); err != nil {
				return err
			}
		}
		return nil
	})
	first, then := m.chosen(dead, 0), m.chosen(dead, 1)
	m.stop(first...)
	m.do("writer", func(a *Actor) error {
		for _, c := range cells {
			if err := m.write(a, c, live); err != nil {
				return fmt.Errorf("%v dead: %w", dead, err)
			}
		}
		return nil
	})
	both := func(n *Node) bool { return slices.Contains(first, n) && slices.Contains(then, n) }
	m.back(slices.DeleteFunc(slices.Clone(first), both)...)
	m.stop(slices.DeleteFunc(slices.Clone(then), both)...)
	m.do("reader", func(a *Actor) error {
		for _, c := range cells {
			if err := m.read(a, c, live); err != nil {
				return fmt.Errorf("%v dead: %w", dead, err)
			}
		}
		return nil
	})
	m.back(then...)
}

func (m *matrix) write(a *Actor, c *matrixCell, live map[helenus.Datacenter]int) error {
	text := fmt.Sprintf("INSERT INTO ks.m (k, v) VALUES ('%s', 'new')", c.key)
	switch c.does {
	case "update":
		text = fmt.Sprintf("UPDATE ks.m SET v = 'new' WHERE k = '%s'", c.key)
	case "delete":
		text = fmt.Sprintf("DELETE FROM ks.m WHERE k = '%s'", c.key)
	}
	_, err := m.asked(a, m.asker, c.write, text)
	c.done = err == nil
	if ok, required, alive := m.enough(c.write, live); ok != (err == nil) || !ok && !unavailable(err, c.write, required, alive) {
		return fmt.Errorf("%s at %s with %v alive: %w; want %v, %d required, %d alive", c.does, c.write, live, err, ok, required, alive)
	}
	return nil
}

func (m *matrix) read(a *Actor, c *matrixCell, live map[helenus.Datacenter]int) error {
	got, err := m.asked(a, m.asker, c.read, fmt.Sprintf("SELECT v FROM ks.m WHERE k = '%s'", c.key))
	ok, required, alive := m.enough(c.read, live)
	if ok != (err == nil) || !ok && !unavailable(err, c.read, required, alive) {
		return fmt.Errorf("read at %s with %v alive: %w; want %v, %d required, %d alive", c.read, live, err, ok, required, alive)
	}
	before, after := "'old'", "'new'"
	switch c.does {
	case "insert":
		before = ""
	case "delete":
		after = ""
	}
	dc := m.asker.options.Datacenter
	certain := Overlap(m.by, Level{c.write, dc}, Level{c.read, dc})
	if !ok || c.done && got == after || (!c.done || !certain) && got == before {
		return nil
	}
	return fmt.Errorf("%s at %s (done: %v), read at %s with %v alive: %q", c.does, c.write, c.done, c.read, live, got)
}

// enough is what a level asks for, and how much of it there is.
func (m *matrix) enough(cl helenus.Consistency, live map[helenus.Datacenter]int) (ok bool, required, alive int) {
	total, local := 0, m.asker.options.Datacenter
	for dc, n := range m.by {
		total += n
		alive += live[dc]
	}
	switch cl {
	case helenus.Any:
		return true, 0, 0
	case helenus.One, helenus.Two, helenus.Three:
		required = map[helenus.Consistency]int{helenus.One: 1, helenus.Two: 2, helenus.Three: 3}[cl]
	case helenus.Quorum:
		required = total/2 + 1
	case helenus.All:
		required = total
	case helenus.LocalOne:
		required, alive = 1, live[local]
	case helenus.LocalQuorum:
		required, alive = m.by[local]/2+1, live[local]
	case helenus.EachQuorum:
		for i := range m.replicas { // the first that lacks one is named
			dc := helenus.Datacenter(fmt.Sprint("dc", i+1))
			if required, alive = m.by[dc]/2+1, live[dc]; alive < required {
				return false, required, alive
			}
		}
	}
	return alive >= required, required, alive
}

// TestAnyWithoutReplicas is scenario 5: a write at ANY needs no replica, a read
// does; when the replicas are back, they have the row.
func TestAnyWithoutReplicas(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 4, Racks: 3}, func(r *ring) {
			replicas, asker := r.nodes[:3], r.nodes[3]
			key := r.keysOf(1, replicas...)[0]
			r.define("CREATE TABLE ks.m (k text PRIMARY KEY, v text)")
			read := fmt.Sprintf("SELECT v FROM ks.m WHERE k = '%s'", key)
			r.die(replicas...)
			r.must(asker, helenus.Any, fmt.Sprintf("INSERT INTO ks.m (k, v) VALUES ('%s', 'kept')", key))
			if _, err := r.ask(asker, helenus.One, read); !unavailable(err, helenus.One, 1, 0) {
				r.Errorf("read without replicas: %v", err)
			}
			r.back(replicas...)
			r.RunFor(convergenceMax)
			for _, n := range replicas {
				r.wants(n, helenus.One, read, "'kept'")
			}
		})
	}
}
