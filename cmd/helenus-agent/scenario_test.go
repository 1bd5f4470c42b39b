//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// subject is three nodes in three racks of datacenter1 of which a story is told:
// Helenus', or as a control Cassandra's. Nodes count from 0. A method that cannot
// do its work fails the test.
type subject interface {
	address(i int) string
	connect(ctx context.Context, i int) (*client.Conn, error)
	kill(i int)
	start(nodes []int)
	pause(i int)
	resume(i int)
	cut(i int)
	join(i int)
	keepHints(on bool) // for nodes that are away, at all that live
	hintsLeft() bool
	allServe(i int) bool // as far as node i knows
}

// everyday are the stories that need no node to be held for dead, which takes
// some seconds; HELENUS_RING_ROUNDS asks for all.
var everyday = []string{"pages", "schema", "stall"}

// TestScenarios tells the stories of testdata/scenarios of three real processes:
// what clients see while nodes are killed, paused and cut off. Each story has a
// keyspace of its own with a table t, and finds all nodes alive. Nodes have the
// numbers 1 to 3. A command with await is done again until its result is the
// expected one.
//
//	keyspace FACTOR                          the first; input: what else is to be made
//	kill 3 | pause 3 | cut 3                 start 3 | resume 3 | join 3 undo it
//	cql NODE LEVEL [await]                   input: statements, a line each
//	fill NODE LEVEL FIRST-LAST               rows of t
//	find NODE LEVEL FIRST-LAST [await] [within=4s]   of which each is read
//	levels NODE                              what can be written and read, by level
//	page NODE LEVEL SIZE [await]             the next page; input: the first one's statement
//	hints off | hints on | delivered
//	wait 1s
//	watch NODE | heard NODE [await]          what a client is told of nodes
func TestScenarios(t *testing.T) {
	files := storyFiles(t)
	if _, long := ringRounds(t, 1); !long {
		files = slices.DeleteFunc(files, func(f string) bool { return !slices.Contains(everyday, storyName(f)) })
	}
	needsCuts(t)
	l := &lab{t: t, apart: true, more: "phi_convict_threshold: 5\n"}
	l.begin(racks("datacenter1", 3)...)
	tell(t, l, files)
}

func storyFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	return files
}

func storyName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txt") }

func tell(t *testing.T, of subject, files []string) {
	for _, file := range files {
		t.Run(storyName(file), func(t *testing.T) {
			s := &story{t: t, of: of, keyspace: "s_" + storyName(file), undo: map[int]func(int){}}
			defer s.end()
			began := time.Now()
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				step := time.Now()
				defer func() { t.Logf("%s: %s after %s", d.Pos, d.Cmd, time.Since(step).Round(time.Millisecond)) }()
				return s.command(d)
			})
			t.Logf("told in %s", time.Since(began).Round(time.Millisecond))
		})
	}
}

type story struct {
	t        *testing.T
	of       subject
	keyspace string
	undo     map[int]func(int) // how nodes that are away come back
	noHints  bool
	pages    pages
	watch    *client.Conn
	heard    []string
}

// pages is a SELECT on its way.
type pages struct {
	text  string
	state []byte
}

// end brings all nodes back, also of a story that failed.
func (s *story) end() {
	if s.watch != nil {
		s.watch.Close()
	}
	var dead []int
	for i, undo := range s.undo {
		if undo == nil {
			dead = append(dead, i)
		} else {
			undo(i)
		}
	}
	s.of.start(dead)
	if s.noHints {
		s.of.keepHints(true)
	}
}

func (s *story) command(d *datadriven.TestData) string {
	s.t.Helper()
	var args []string
	for _, a := range d.CmdArgs {
		if a.Key != "await" && a.Key != "within" {
			args = append(args, a.Key)
		}
	}
	if !d.HasArg("await") {
		return s.do(d, args)
	}
	var out string
	for deadline := time.Now().Add(2 * time.Minute); ; wait(200 * time.Millisecond) {
		if out = s.do(d, args); out == d.Expected || time.Now().After(deadline) {
			return out
		}
	}
}

func (s *story) do(d *datadriven.TestData, args []string) string {
	s.t.Helper()
	switch d.Cmd {
	case "keyspace":
		return s.create(args[0], d.Input)
	case "kill", "pause", "cut", "start", "resume", "join":
		s.fault(d.Cmd, args)
		return ""
	case "cql":
		return s.cql(s.node(args[0]), s.level(args[1]), d.Input)
	case "fill":
		return s.fill(s.node(args[0]), s.level(args[1]), args[2])
	case "find":
		var within time.Duration
		if d.HasArg("within") {
			var text string
			d.ScanArgs(s.t, "within", &text)
			within, _ = time.ParseDuration(text)
		}
		return s.find(s.node(args[0]), s.level(args[1]), args[2], within)
	case "levels":
		return s.levels(s.node(args[0]))
	case "page":
		return s.page(s.node(args[0]), s.level(args[1]), s.number(args[2]), d.Input)
	case "hints":
		s.noHints = args[0] == "off"
		s.of.keepHints(!s.noHints)
		return ""
	case "delivered":
		eventually(s.t, "all hints delivered", func() bool { return !s.of.hintsLeft() })
		return ""
	case "wait":
		pause, err := time.ParseDuration(args[0])
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		wait(pause)
		return ""
	case "watch", "heard":
		return s.events(d.Cmd, s.node(args[0]))
	}
	d.Fatalf(s.t, "what is %s?", d.Cmd)
	return ""
}

func (s *story) number(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *story) node(text string) int { return s.number(text) - 1 }

func (s *story) level(text string) helenus.Consistency {
	s.t.Helper()
	level, err := helenus.ParseConsistency(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return level
}

func (s *story) fault(what string, args []string) {
	var nodes []int
	for _, a := range args {
		nodes = append(nodes, s.node(a))
	}
	for _, i := range nodes {
		switch what {
		case "kill":
			s.of.kill(i)
			s.undo[i] = nil
		case "pause":
			s.of.pause(i)
			s.undo[i] = s.of.resume
		case "cut":
			s.of.cut(i)
			s.undo[i] = s.of.join
		case "resume", "join":
			s.undo[i](i)
			delete(s.undo, i)
		case "start":
			delete(s.undo, i)
		}
	}
	if what == "start" {
		s.of.start(nodes)
	}
}

// storyPatience is longer than any of a node's own time-outs.
const storyPatience = 15 * time.Second

// with runs f on a connection of its own.
func (s *story) with(i int, f func(ctx context.Context, c *client.Conn) string) string {
	ctx, cancel := context.WithTimeout(context.Background(), storyPatience)
	defer cancel()
	c, err := s.of.connect(ctx, i)
	if err != nil {
		return "no connection\n"
	}
	defer c.Close()
	return f(ctx, c)
}

// ask runs one statement; page sizes and states are those of the request.
func (s *story) ask(c *client.Conn, level helenus.Consistency, text string, more func(*proto.Params), values ...proto.Value) (*client.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storyPatience)
	defer cancel()
	req := c.QueryRequest(text, values...)
	req.Params.Consistency, req.Params.Keyspace = level, []byte(s.keyspace)
	if more != nil {
		more(&req.Params)
	}
	return c.Do(ctx, req)
}

// outcome is an error as a story has it.
func outcome(err error) string {
	var e *helenus.Error
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &e):
		return "no answer"
	case e.Code == helenus.CodeUnavailable && e.Consistency == helenus.EachQuorum:
		// As alive Cassandra counts those of the datacenters it looked at before.
		return fmt.Sprintf("unavailable: %s wants %d", e.Consistency, e.Required)
	case e.Code == helenus.CodeUnavailable:
		return fmt.Sprintf("unavailable: %s wants %d, %d alive", e.Consistency, e.Required, e.Alive)
	case e.Code == helenus.CodeWriteTimeout || e.Code == helenus.CodeReadTimeout:
		return fmt.Sprintf("timed out: %s wants %d, %d answered", e.Consistency, e.Required, e.Alive)
	case e.Code == helenus.CodeWriteFailure || e.Code == helenus.CodeReadFailure:
		return fmt.Sprintf("failed: %s wants %d, %d answered", e.Consistency, e.Required, e.Alive)
	}
	return "refused: " + e.Message
}

func (s *story) create(factor, more string) string {
	c, err := s.of.connect(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Query(s.t.Context(), fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': %s}", s.keyspace, factor)); err != nil {
		s.t.Fatal(err)
	}
	for _, text := range append([]string{"CREATE TABLE t (k int PRIMARY KEY, v int)"}, strings.Split(more, "\n")...) {
		if text == "" {
			continue
		}
		if _, err := s.ask(c, helenus.One, text, nil); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
	}
	for i := range 3 { // what went before is over when each node can reach each
		eventually(s.t, "all nodes alive", func() bool { return s.cql(i, helenus.All, "SELECT k FROM t") == "" })
		// A node that came back in the story before is alive before it serves, and
		// clients hear of that when it does.
		eventually(s.t, "all nodes known to serve", func() bool { return s.of.allServe(i) })
	}
	return ""
}

func (s *story) cql(i int, level helenus.Consistency, input string) string {
	return s.with(i, func(_ context.Context, c *client.Conn) string {
		var out strings.Builder
		for _, text := range strings.Split(input, "\n") {
			res, err := s.ask(c, level, text, nil)
			if err != nil {
				fmt.Fprintln(&out, outcome(err))
				continue
			}
			out.WriteString(rowsText(res))
		}
		return out.String()
	})
}

// rowsText has a line for each row.
func rowsText(res *client.Result) string {
	rows, err := res.All()
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				out.WriteString(", ")
			}
			out.WriteString(res.Rows.Columns[i].Type.FormatLiteral(cell))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// keys parses FIRST-LAST.
func (s *story) keys(text string) (first, last int32) {
	s.t.Helper()
	a, b, _ := strings.Cut(text, "-")
	return int32(s.number(a)), int32(s.number(b))
}

// count says how many requests came out how, the most interesting first.
type count struct {
	order []string
	n     map[string]int
}

func (c *count) add(what string) {
	if c.n == nil {
		c.n = map[string]int{}
	}
	if c.n[what] == 0 {
		c.order = append(c.order, what)
	}
	c.n[what]++
}

// String says "some" where it depends on chance how many.
func (c *count) String() string {
	if len(c.order) == 1 {
		return fmt.Sprintf("%d %s\n", c.n[c.order[0]], c.order[0])
	}
	slices.Sort(c.order)
	var out strings.Builder
	for _, what := range c.order {
		fmt.Fprintf(&out, "some %s\n", what)
	}
	return out.String()
}

func (s *story) fill(i int, level helenus.Consistency, keys string) string {
	first, last := s.keys(keys)
	return s.with(i, func(_ context.Context, c *client.Conn) string {
		var sum count
		for k := first; k <= last; k++ {
			_, err := s.ask(c, level, "INSERT INTO t (k, v) VALUES (?, ?)", nil, int32Value(k), int32Value(k))
			sum.add(strings.Replace(outcome(err), "ok", "written", 1))
		}
		return sum.String()
	})
}

func (s *story) find(i int, level helenus.Consistency, keys string, within time.Duration) string {
	first, last := s.keys(keys)
	return s.with(i, func(_ context.Context, c *client.Conn) string {
		var sum count
		slowest := time.Duration(0)
		for k := first; k <= last; k++ {
			began := time.Now()
			res, err := s.ask(c, level, "SELECT v FROM t WHERE k = ?", nil, int32Value(k))
			slowest = max(slowest, time.Since(began))
			switch {
			case err != nil:
				sum.add(outcome(err))
			case rowsText(res) == fmt.Sprintf("%d\n", k):
				sum.add("found")
			case rowsText(res) == "":
				sum.add("missing")
			default:
				sum.add("wrong")
			}
		}
		switch {
		case within > 0 && slowest <= within:
			return sum.String() + fmt.Sprintf("each within %s\n", within)
		case within > 0:
			return sum.String() + fmt.Sprintf("the slowest took %s\n", slowest)
		}
		return sum.String()
	})
}

// levels writes a row at each level and reads it at each. What was written at
// one level must be read at every level that overlaps with it.
func (s *story) levels(i int) string {
	const factor = 3
	all := []struct {
		level helenus.Consistency
		wants int
	}{{helenus.Any, 0}, {helenus.One, 1}, {helenus.Two, 2}, {helenus.Three, 3}, {helenus.Quorum, 2}, {helenus.All, 3},
		{helenus.LocalQuorum, 2}, {helenus.EachQuorum, 2}, {helenus.LocalOne, 1}}
	return s.with(i, func(_ context.Context, c *client.Conn) string {
		var out strings.Builder
		for n, w := range all {
			for _, v := range []int32{1, 2} { // a row that is there is changed, too
				_, err := s.ask(c, w.level, "INSERT INTO t (k, v) VALUES (?, ?)", nil, int32Value(int32(n)), int32Value(v))
				if v == 1 {
					continue
				}
				_, readErr := s.ask(c, w.level, "SELECT v FROM t WHERE k = ?", nil, int32Value(int32(n)))
				fmt.Fprintf(&out, "%-12s %-42s %s\n", w.level, outcome(err), outcome(readErr))
				if err != nil {
					continue
				}
				for _, r := range all {
					res, err := s.ask(c, r.level, "SELECT v FROM t WHERE k = ?", nil, int32Value(int32(n)))
					if err == nil && w.wants+r.wants > factor && rowsText(res) != "2\n" {
						fmt.Fprintf(&out, "%s does not read what was written at %s\n", r.level, w.level)
					}
				}
			}
		}
		return out.String()
	})
}

func (s *story) page(i int, level helenus.Consistency, size int, text string) string {
	if text != "" {
		s.pages = pages{text: text}
	}
	return s.with(i, func(_ context.Context, c *client.Conn) string {
		res, err := s.ask(c, level, s.pages.text, func(p *proto.Params) {
			p.PageSize, p.PagingState = int32(size), s.pages.state
		})
		if err != nil {
			return outcome(err) + "\n"
		}
		rows, err := res.All()
		if err != nil {
			return err.Error() + "\n"
		}
		s.pages.state = slices.Clone(res.Rows.PagingState)
		more := "and more"
		if s.pages.state == nil {
			more = "and no more"
		}
		return ranges(rows) + more + "\n"
	})
}

// ranges is integers, one a row, in short.
func ranges(rows [][][]byte) string {
	var out []string
	var from, to int
	flush := func() {
		if to > from {
			out = append(out, fmt.Sprintf("%d-%d", from, to))
		} else {
			out = append(out, strconv.Itoa(from))
		}
	}
	for i, row := range rows {
		v := int(int32(binary.BigEndian.Uint32(row[0])))
		if i > 0 && v == to+1 {
			to = v
			continue
		}
		if i > 0 {
			flush()
		}
		from, to = v, v
	}
	if len(rows) > 0 {
		flush()
	}
	return strings.Join(append(out, ""), "\n")
}

func (s *story) events(what string, i int) string {
	if what == "watch" {
		var err error
		if s.watch, err = s.of.connect(s.t.Context(), i); err != nil {
			s.t.Fatal(err)
		}
		if err := s.watch.Register(s.t.Context(), proto.EventStatus, proto.EventTopology); err != nil {
			s.t.Fatal(err)
		}
		return ""
	}
	for {
		select {
		case e, open := <-s.watch.Events():
			if !open {
				return "the connection ended\n"
			}
			name := e.Node.Addr().String()
			for i := range 3 {
				if s.of.address(i) == name {
					name = strconv.Itoa(i + 1)
				}
			}
			s.heard = append(s.heard, e.Change+" "+name+"\n")
		default:
			return strings.Join(s.heard, "")
		}
	}
}
