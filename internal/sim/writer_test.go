package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"helenus/internal/cql/client"
)

// writer is an actor that owns two tables and knows what must be in them. It
// does one thing at a time: so after a crash its tables hold what they held
// before that thing, or after it, as a whole.
type writer struct {
	t    testing.TB
	id   int
	node *Node

	mu     sync.Mutex // guards what follows
	now    *state     // what was acknowledged
	next   *state     // what is being done; nil: nothing
	doing  string
	did    int
	filler int
}

// state is the content of the tables: cells by table, partition, row and column.
// A column "" says that the row was inserted.
type state struct {
	cells map[place]string
	extra [2]string // a column that was added to each table, or ""
	gone  bool      // the second table does not exist
	made  bool      // keyspace and tables exist
}

type place struct {
	table  int
	k, c   int // c of statics is -1
	column string
}

func newWriter(t testing.TB, n *Node, id int) *writer {
	return &writer{t: t, id: id, node: n, now: &state{cells: map[place]string{}}, filler: 120}
}

func (s *state) clone() *state {
	next := *s
	next.cells = maps.Clone(s.cells)
	return &next
}

func (s *state) remove(match func(p place) bool) {
	maps.DeleteFunc(s.cells, func(p place, _ string) bool { return match(p) })
}

func (w *writer) table(n int) string { return fmt.Sprintf("ks.t%d%c", w.id, 'a'+n) }

func (w *writer) create(n int) string {
	return fmt.Sprintf("CREATE TABLE %s (k int, c int, s int static, v int, w text, m map<int,text>, PRIMARY KEY (k, c)) "+
		"WITH gc_grace_seconds = 0 AND compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': '2'}", w.table(n))
}

// op is one statement and what it makes of the state.
type op struct {
	statements []string
	next       *state
	flush      int // flush this table instead, counted from 1
}

// choose makes up the next thing to do.
func (w *writer) choose(r *rand.Rand) op {
	next := w.now.clone()
	if !next.made {
		next.made = true
		return op{statements: []string{w.create(0), w.create(1)}, next: next}
	}
	n := r.IntN(2)
	if next.gone {
		n = 0
	}
	k, c := r.IntN(4), r.IntN(4)
	one := func(format string, args ...any) op {
		return op{statements: []string{fmt.Sprintf(format, args...)}, next: next}
	}
	switch x := r.IntN(60); {
	case x < 1:
		next.remove(func(p place) bool { return p.table == n })
		return one("TRUNCATE %s", w.table(n))
	case x < 2:
		return w.alter(next, n)
	case x < 3 && next.gone:
		next.gone = false
		return one("%s", w.create(1))
	case x < 3:
		next.remove(func(p place) bool { return p.table == 1 })
		next.gone, next.extra[1] = true, ""
		return one("DROP TABLE %s", w.table(1))
	case x < 5:
		return op{next: next, flush: n + 1}
	case x < 8:
		next.remove(func(p place) bool { return p.table == n && p.k == k })
		return one("DELETE FROM %s WHERE k = %d", w.table(n), k)
	case x < 12:
		next.remove(func(p place) bool { return p.table == n && p.k == k && p.c >= c })
		return one("DELETE FROM %s WHERE k = %d AND c >= %d", w.table(n), k, c)
	case x < 16:
		next.remove(func(p place) bool { return p.table == n && p.k == k && p.c == c })
		return one("DELETE FROM %s WHERE k = %d AND c = %d", w.table(n), k, c)
	case x < 19:
		delete(next.cells, place{n, k, c, "v"})
		return one("DELETE v FROM %s WHERE k = %d AND c = %d", w.table(n), k, c)
	case x < 22:
		next.cells[place{n, k, -1, "s"}] = integer(w.did)
		return one("INSERT INTO %s (k, s) VALUES (%d, %d)", w.table(n), k, w.did)
	case x < 26:
		next.cells[place{n, k, c, fmt.Sprintf("m%d", w.did%3)}] = "put"
		return one("UPDATE %s SET m[%d] = 'put' WHERE k = %d AND c = %d", w.table(n), w.did%3, k, c)
	case x < 29:
		next.remove(func(p place) bool {
			return p.table == n && p.k == k && p.c == c && p.column != "" && p.column[0] == 'm'
		})
		next.cells[place{n, k, c, "m7"}] = "set"
		return one("UPDATE %s SET m = {7: 'set'} WHERE k = %d AND c = %d", w.table(n), k, c)
	case x < 31 && next.extra[n] != "":
		next.cells[place{n, k, c, next.extra[n]}] = integer(w.did)
		return one("UPDATE %s SET %s = %d WHERE k = %d AND c = %d", w.table(n), next.extra[n], w.did, k, c)
	case x < 34:
		if !next.has(n, k, c) {
			next.put(n, k, c, "v", integer(w.did))
		}
		return one("INSERT INTO %s (k, c, v) VALUES (%d, %d, %d) IF NOT EXISTS", w.table(n), k, c, w.did)
	case x < 44:
		return w.batch(next, r)
	}
	filler := strings.Repeat("x", r.IntN(w.filler))
	next.put(n, k, c, "v", integer(w.did))
	next.put(n, k, c, "w", filler)
	return one("INSERT INTO %s (k, c, v, w) VALUES (%d, %d, %d, '%s')", w.table(n), k, c, w.did, filler)
}

// batch writes to several partitions of both tables.
func (w *writer) batch(next *state, r *rand.Rand) op {
	text := "BEGIN BATCH "
	for range 2 + r.IntN(4) {
		n := r.IntN(2)
		if next.gone {
			n = 0
		}
		k, c := r.IntN(4), r.IntN(4)
		next.put(n, k, c, "v", integer(w.did))
		text += fmt.Sprintf("INSERT INTO %s (k, c, v) VALUES (%d, %d, %d); ", w.table(n), k, c, w.did)
	}
	return op{statements: []string{text + "APPLY BATCH"}, next: next}
}

func (w *writer) alter(next *state, n int) op {
	if x := next.extra[n]; x != "" {
		next.remove(func(p place) bool { return p.table == n && p.column == x })
		next.extra[n] = ""
		return op{statements: []string{fmt.Sprintf("ALTER TABLE %s DROP %s", w.table(n), x)}, next: next}
	}
	next.extra[n] = fmt.Sprintf("x%d", w.did)
	return op{statements: []string{fmt.Sprintf("ALTER TABLE %s ADD %s int", w.table(n), next.extra[n])}, next: next}
}

func (s *state) put(n, k, c int, column, value string) {
	s.cells[place{n, k, c, ""}] = ""
	s.cells[place{n, k, c, column}] = value
}

// has tells whether a row lives.
func (s *state) has(n, k, c int) bool {
	for p := range s.cells {
		if p.table == n && p.k == k && p.c == c {
			return true
		}
	}
	return false
}

func integer(v int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(v))) }

// script does count things, one at each turn.
func (w *writer) script(ctx context.Context, count int) func(a *Actor) {
	return func(a *Actor) {
		c, err := a.Connect(ctx, w.node)
		if err != nil {
			return
		}
		defer c.Close()
		dead := &w.node.life.dead
		for range count {
			a.Turn()
			if dead.Load() {
				return
			}
			w.mu.Lock()
			w.did++
			o := w.choose(a.Rand)
			w.next = o.next
			w.doing = strings.Join(o.statements, "; ")
			w.mu.Unlock()
			a.sim.Note("%s: %.150s", a.Name, w.doing)
			err := w.do(ctx, c, o)
			if dead.Load() {
				return // an answer from beyond the power cut is none
			}
			if err != nil {
				w.t.Errorf("seed %d: %s: %q: %v", a.sim.seed, a.Name, w.doing, err)
				return
			}
			w.mu.Lock()
			w.now, w.next = w.next, nil
			w.mu.Unlock()
		}
	}
}

func (w *writer) do(ctx context.Context, c *client.Conn, o op) error {
	if o.flush > 0 {
		return w.node.Flush(ctx, "ks", strings.TrimPrefix(w.table(o.flush-1), "ks."))
	}
	for _, text := range o.statements {
		if _, err := c.Query(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// show renders a state as read renders what a node answers.
func (w *writer) show(s *state) string {
	if !s.made {
		return ""
	}
	var lines []string
	for n := range 2 {
		if n == 0 || !s.gone {
			lines = append(lines, w.head(n, s.extra[n]))
		}
	}
	rows := map[place]map[string]string{}
	for p, v := range s.cells {
		at := place{p.table, p.k, p.c, ""}
		if rows[at] == nil {
			rows[at] = map[string]string{}
		}
		if p.column != "" {
			rows[at][p.column] = v
		}
	}
	for at, cells := range rows {
		static := s.cells[place{at.table, at.k, -1, "s"}]
		if at.c < 0 {
			alone := true
			for other := range rows {
				alone = alone && (other.table != at.table || other.k != at.k || other.c < 0)
			}
			if alone {
				lines = append(lines, fmt.Sprintf("%s k=%d c=null s=%x", w.table(at.table), at.k, static))
			}
			continue
		}
		line := fmt.Sprintf("%s k=%d c=%d", w.table(at.table), at.k, at.c)
		if static != "" {
			line += fmt.Sprintf(" s=%x", static)
		}
		for _, name := range slices.Sorted(maps.Keys(cells)) {
			line += fmt.Sprintf(" %s=%x", name, cells[name])
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// head tells a table with an added column from one without.
func (w *writer) head(n int, extra string) string {
	return fmt.Sprintf("%s with %q", w.table(n), extra)
}

// read renders what a node holds of the writer's tables.
func (w *writer) read(ctx context.Context, c *client.Conn, s *state) (string, error) {
	if !s.made {
		return "", nil
	}
	var lines []string
	for n := range 2 {
		if n == 1 && s.gone {
			if _, err := c.Query(ctx, "SELECT * FROM "+w.table(n)); err == nil {
				return "", fmt.Errorf("%s was dropped and is there", w.table(n))
			}
			continue
		}
		res, err := c.Query(ctx, "SELECT * FROM "+w.table(n))
		if err != nil {
			return "", err
		}
		rows, err := res.All()
		if err != nil {
			return "", err
		}
		extra := ""
		for _, col := range res.Rows.Columns {
			if col.Name[0] == 'x' {
				extra += col.Name
			}
		}
		lines = append(lines, w.head(n, extra))
		for _, cells := range rows {
			var columns []string
			head := [2]string{}
			for i, col := range res.Rows.Columns {
				switch {
				case col.Name == "k" || col.Name == "c":
					at, text := 0, col.Name+"=null"
					if col.Name == "c" {
						at = 1
					}
					if cells[i] != nil {
						text = fmt.Sprintf("%s=%d", col.Name, int32(binary.BigEndian.Uint32(cells[i])))
					}
					head[at] = text
				case cells[i] == nil:
				case col.Name == "m":
					columns = append(columns, elements(cells[i])...)
				default:
					columns = append(columns, fmt.Sprintf("%s=%x", col.Name, cells[i]))
				}
			}
			slices.SortFunc(columns, func(a, b string) int { // the static first, as show has it
				if as, bs := strings.HasPrefix(a, "s="), strings.HasPrefix(b, "s="); as != bs {
					if as {
						return -1
					}
					return 1
				}
				a, _, _ = strings.Cut(a, "=")
				b, _, _ = strings.Cut(b, "=")
				return strings.Compare(a, b)
			})
			lines = append(lines, strings.Join(append([]string{w.table(n), head[0], head[1]}, columns...), " "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// elements renders the entries of a map<int,text> as cells of their own.
func elements(b []byte) []string {
	var out []string
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	take := func() []byte {
		n := binary.BigEndian.Uint32(b)
		v := b[4 : 4+n]
		b = b[4+n:]
		return v
	}
	for range count {
		key := binary.BigEndian.Uint32(take())
		out = append(out, fmt.Sprintf("m%d=%x", key, take()))
	}
	return out
}

// check compares what a node holds with what it may hold, and takes that over
// when settle says so: after a crash it is the truth from then on.
func (w *writer) check(ctx context.Context, c *client.Conn, settle bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var why []string
	for _, s := range []*state{w.next, w.now} {
		if s == nil {
			continue
		}
		got, err := w.read(ctx, c, s)
		want := w.show(s)
		if err == nil && got == want {
			if settle {
				w.now, w.next = s, nil
			}
			return nil
		}
		why = append(why, fmt.Sprintf("got (error %v)\n%s\nwant\n%s", err, got, want))
	}
	return fmt.Errorf("writer %d, doing %q:\n%s", w.id, w.doing, strings.Join(why, "\nor\n"))
}
