package query

import (
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/cql/types"
	"helenus/internal/peer"
)

// The stories in testdata are CQL with the answers of Apache Cassandra 5.0.9.
// To write them anew:
//
//	HELENUS_PEER_CQL=host:port go test -run TestPeer ./agent/query -rewrite
//
// runs them on a real node, in keyspaces of their own that are dropped
// afterwards. Without -rewrite it compares. Commands:
//
//	cql [class] [now=N] [page=N] [cl=LEVEL] [serial=LEVEL]  statements, each ended by ; at the end of a line
//	bind [...]       a statement to prepare, then a line of values for each execution
//	named [...]      likewise, unprepared, with name=value
//	prepare          a statement; shows ids, markers and columns
//	batch [unlogged|counter] [ts=N] [...]  a BATCH frame; values behind |
//
// class leaves the text of errors out; differs marks what differs on purpose
// and is not run on the peer (TestStories -rewrite writes it). Between the values of a line stands |.

var stories = flag.String("story", "*", "which stories of testdata to run")

// ask is one request of a story.
type ask struct {
	verb   Verb
	text   string
	values []Value
	names  []string
	batch  []ask
	kind   BatchKind
	id     []byte
	page   int
	paging []byte
	now    int64
	ts     int64
	cl     helenus.Consistency
	serial helenus.Consistency
}

// answer is what came of it.
type answer struct {
	err      *helenus.Error
	kind     ResultKind
	columns  []ColumnSpec
	rows     [][][]byte
	paging   []byte
	keyspace string
	change   SchemaChange
	warnings []string
	id       []byte
	resultID []byte
	params   []ColumnSpec
	keys     []int
}

// target executes the requests of one session.
type target interface {
	do(a ask) answer
}

// storyRun runs the commands of one story.
type storyRun struct {
	target target
	pages  bool // run each SELECT page by page too
	peer   bool
}

func (s *storyRun) command(t *testing.T, d *datadriven.TestData) string {
	a := ask{cl: helenus.LocalOne, serial: helenus.Serial, now: epoch}
	class, differs := false, false
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch arg.Key {
		case "class":
			class = true
		case "differs":
			differs = true
		case "now":
			a.now += n
		case "page":
			a.page = int(n)
		case "ts":
			a.ts = n
		case "cl":
			a.cl, _ = helenus.ParseConsistency(value)
		case "serial":
			a.serial, _ = helenus.ParseConsistency(value)
		case "unlogged":
			a.kind = BatchUnlogged
		case "counter":
			a.kind = BatchCounter
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	var out strings.Builder
	if differs && s.peer {
		return d.Expected
	}
	switch d.Cmd {
	case "cql":
		for _, text := range statements(d.Input) {
			b := a
			b.text = text
			s.show(&out, b, class)
		}
	case "bind", "named":
		s.bind(t, &out, a, d, class)
	case "prepare":
		a.verb, a.text = VerbPrepare, strings.TrimSuffix(d.Input, ";")
		showPrepared(&out, s.target.do(a), class)
	case "batch":
		s.batch(t, &out, a, d.Input, class)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return out.String()
}

func statements(input string) []string {
	var out []string
	var current []string
	for line := range strings.Lines(input) {
		line = strings.TrimRight(line, "\n ")
		current = append(current, line)
		if strings.HasSuffix(line, ";") {
			out = append(out, strings.TrimSuffix(strings.Join(current, "\n"), ";"))
			current = nil
		}
	}
	if len(current) > 0 {
		out = append(out, strings.Join(current, "\n"))
	}
	return out
}

// show runs a request and writes its answer.
func (s *storyRun) show(out *strings.Builder, a ask, class bool) {
	got := s.target.do(a)
	showAnswer(out, got, class)
	if s.pages && a.page == 0 && got.err == nil && got.kind == ResultRows && isSelect(a.text) {
		for page := 1; page <= 3; page++ {
			if text := s.paged(a, got, page); text != "" {
				fmt.Fprintf(out, "page size %d differs: %s", page, text)
			}
		}
	}
}

func isSelect(text string) bool {
	return strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "SELECT")
}

// paged reads a result in pages and tells how it differs from all at once.
func (s *storyRun) paged(a ask, whole answer, page int) string {
	a.page = page
	var rows [][][]byte
	for n := 0; ; n++ {
		got := s.target.do(a)
		if got.err != nil {
			if strings.HasPrefix(got.err.Message, "Cannot page queries with both ORDER BY") {
				return ""
			}
			return got.err.Message + "\n"
		}
		if len(got.rows) > page {
			return fmt.Sprintf("%d rows in a page\n", len(got.rows))
		}
		rows = append(rows, got.rows...)
		if got.paging == nil {
			break
		}
		a.paging = got.paging
		if n > len(whole.rows)+1 {
			return "it does not end\n"
		}
	}
	var want, got strings.Builder
	showRows(&want, whole.columns, whole.rows)
	showRows(&got, whole.columns, rows)
	if want.String() == got.String() {
		return ""
	}
	return "\n" + got.String()
}

func showAnswer(out *strings.Builder, a answer, class bool) {
	for _, w := range a.warnings {
		fmt.Fprintf(out, "warning: %s\n", w)
	}
	if a.err != nil {
		fmt.Fprintf(out, "error 0x%04x", int(a.err.Code))
		if !class {
			fmt.Fprintf(out, ": %s", strings.ReplaceAll(inOrder(a.err.Message), "\n", `\n`))
		}
		out.WriteByte('\n')
		return
	}
	switch a.kind {
	case ResultVoid:
		out.WriteString("ok\n")
	case ResultRows:
		showRows(out, a.columns, a.rows)
		if a.paging != nil {
			out.WriteString("(more)\n")
		}
	case ResultSetKeyspace:
		fmt.Fprintf(out, "use %s\n", a.keyspace)
	case ResultSchemaChange:
		fmt.Fprintf(out, "%s %s %s %s\n", a.change.Change, a.change.Target, a.change.Keyspace, a.change.Name)
	default:
		fmt.Fprintf(out, "result of kind %d\n", a.kind)
	}
}

// plain is a type as the wire shows it: frozen is not to be seen.
func plain(t *types.Type) *types.Type {
	c := *t
	c.Frozen = false
	c.Elems = nil
	for _, e := range t.Elems {
		c.Elems = append(c.Elems, plain(e))
	}
	return &c
}

func showRows(out *strings.Builder, columns []ColumnSpec, rows [][][]byte) {
	for i, c := range columns {
		if i > 0 {
			out.WriteString(" | ")
		}
		fmt.Fprintf(out, "%s %s", c.Name, plain(c.Type))
	}
	out.WriteByte('\n')
	for _, r := range rows {
		out.WriteByte(' ')
		for i, v := range r {
			if i > 0 {
				out.WriteString(" | ")
			}
			switch {
			case v == nil:
				out.WriteString("null")
			case len(v) == 0:
				out.WriteString("empty")
			case columns[i].Type.Validate(v) != nil:
				out.WriteString("bad 0x" + hex.EncodeToString(v))
			default:
				out.WriteString(columns[i].Type.FormatLiteral(v))
			}
		}
		out.WriteByte('\n')
	}
	if len(rows) == 0 {
		out.WriteString("(no rows)\n")
	}
}

func showPrepared(out *strings.Builder, a answer, class bool) {
	if a.err != nil || a.kind != ResultPrepared {
		showAnswer(out, a, class)
		return
	}
	fmt.Fprintf(out, "id %x\n", a.id)
	for _, p := range a.params {
		fmt.Fprintf(out, "marker %s %s of %s.%s\n", p.Name, plain(p.Type), p.Keyspace, p.Table)
	}
	fmt.Fprintf(out, "key %v\n", a.keys)
	for _, c := range a.columns {
		fmt.Fprintf(out, "column %s %s of %s.%s\n", c.Name, plain(c.Type), c.Keyspace, c.Table)
	}
	if a.resultID != nil {
		fmt.Fprintf(out, "result %x\n", a.resultID)
	}
}

// bind prepares the first line and runs it with the values of each other line;
// for named the values go with the text.
func (s *storyRun) bind(t *testing.T, out *strings.Builder, a ask, d *datadriven.TestData, class bool) {
	text, rest, _ := strings.Cut(d.Input, ";\n")
	p := a
	p.verb, p.text = VerbPrepare, strings.TrimSuffix(text, ";")
	prepared := s.target.do(p)
	if prepared.err != nil {
		showAnswer(out, prepared, class)
		return
	}
	for line := range strings.Lines(rest) {
		x := a
		x.verb, x.id, x.text = VerbExecute, prepared.id, p.text
		var parts []string
		if line = strings.TrimSpace(line); line != "-" {
			parts = strings.Split(line, " | ")
		}
		if d.Cmd == "named" {
			x.verb = VerbQuery
			for i, part := range parts {
				name, v, _ := strings.Cut(part, "=")
				x.names, parts[i] = append(x.names, name), v
			}
		}
		for i, part := range parts {
			typ := types.Native(types.Blob)
			for j, m := range prepared.params {
				if (x.names == nil && i == j) || (x.names != nil && x.names[i] == m.Name) {
					typ = m.Type
				}
			}
			v, err := valueOf(typ, part)
			if err != nil {
				d.Fatalf(t, "%s: %v", part, err)
			}
			x.values = append(x.values, v)
		}
		s.show(out, x, class)
	}
}

// valueOf reads a value: null, unset, a hexadecimal of its bytes, or a constant.
func valueOf(t *types.Type, text string) (Value, error) {
	switch {
	case text == "null":
		return Value{}, nil
	case text == "unset":
		return Value{Unset: true}, nil
	case strings.HasPrefix(text, "0x"):
		b, err := hex.DecodeString(text[2:])
		return Value{Bytes: append([]byte{}, b...)}, err
	}
	kind := types.IntegerConst
	switch {
	case strings.HasPrefix(text, "'"):
		kind, text = types.StringConst, strings.Trim(text, "'")
	case text == "true" || text == "false":
		kind = types.BooleanConst
	case strings.Count(text, "-") == 4:
		kind = types.UUIDConst
	case strings.Contains(text, "."):
		kind = types.FloatConst
	}
	b, err := t.ParseConstant(kind, text)
	return Value{Bytes: b}, err
}

func (s *storyRun) batch(t *testing.T, out *strings.Builder, a ask, input string, class bool) {
	a.verb = VerbBatch
	for line := range strings.Lines(input) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		item := ask{text: parts[0]}
		if strings.Contains(parts[0], "?") {
			p := a
			p.verb, p.text = VerbPrepare, parts[0]
			prepared := s.target.do(p)
			if prepared.err != nil {
				t.Fatal(prepared.err)
			}
			item.id = prepared.id
			for i, part := range parts[1:] {
				v, err := valueOf(prepared.params[i].Type, part)
				if err != nil {
					t.Fatal(err)
				}
				item.values = append(item.values, v)
			}
		}
		a.batch = append(a.batch, item)
	}
	s.show(out, a, class)
}

// nodeTarget runs requests on an Engine, all on one Request value.
type nodeTarget struct {
	*node
	request Request
	session Session
}

func newNodeTarget(n *node) *nodeTarget {
	return &nodeTarget{node: n, session: Session{Version: 5}}
}

func (n *nodeTarget) do(a ask) answer {
	r := &n.request
	r.Session, r.Verb, r.Text, r.ID, r.BatchKind = &n.session, a.verb, a.text, a.id, a.kind
	r.Params = Params{Consistency: a.cl, SerialConsistency: a.serial, Values: a.values, Names: a.names, PageSize: a.page,
		PagingState: a.paging, NowSeconds: a.now, HasNow: true, Timestamp: a.ts, HasTimestamp: a.ts != 0}
	r.Batch = nil
	for _, b := range a.batch {
		r.Batch = append(r.Batch, BatchItem{Text: b.text, ID: b.id, Values: b.values})
	}
	out, res := n.execute(r)
	got := answer{err: res.Err, kind: res.Kind, rows: out.rows, paging: out.paging, keyspace: res.Keyspace, change: res.Change, warnings: res.Warnings}
	if out.meta != nil {
		got.columns = out.meta.Columns
	}
	if p := res.Prepared; p != nil {
		got.id, got.params, got.keys = p.ID[:], p.Params, p.KeyIndexes
		if p.Result != nil {
			got.columns, got.resultID = p.Result.Columns, p.Result.ID[:]
		}
	}
	if got.err == nil && got.kind == ResultRows && !out.ended {
		got.err = helenus.Errorf(helenus.CodeServer, "the rows were not ended")
	}
	return got
}

func storyFiles(t *testing.T) []string {
	files, err := filepath.Glob("testdata/" + *stories + ".txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	return files
}

func keyspaceOf(file string) string {
	return "q_" + strings.TrimSuffix(filepath.Base(file), ".txt")
}

// open makes the story's keyspace and uses it.
func open(t *testing.T, to target, keyspace string) {
	t.Helper()
	for _, text := range []string{
		"DROP KEYSPACE IF EXISTS " + keyspace,
		"CREATE KEYSPACE " + keyspace + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		"USE " + keyspace,
	} {
		if got := to.do(ask{text: text, cl: helenus.One}); got.err != nil {
			t.Fatalf("%s: %v", text, got.err)
		}
	}
}

// TestStories runs each story on an Engine, with completion at once and from
// another goroutine, twice on one Request.
func TestStories(t *testing.T) {
	rewrite := flag.Lookup("rewrite").Value.String() == "true"
	for _, file := range storyFiles(t) {
		for _, elsewhere := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/elsewhere=%v", filepath.Base(file), elsewhere), func(t *testing.T) {
				to := newNodeTarget(newNode(t, elsewhere))
				var wrong []string // reported at the end, so that the story goes on
				for range 2 {
					open(t, to, keyspaceOf(file))
					s := storyRun{target: to, pages: true}
					datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
						got := s.command(t, d)
						if rewrite && d.HasArg("differs") {
							return got // of all else only the peer says what is right
						}
						if got != d.Expected {
							wrong = append(wrong, fmt.Sprintf("%s: %s\n%s", d.Pos, d.Cmd, differences(d.Expected, got)))
						}
						return d.Expected
					})
				}
				for _, text := range wrong {
					t.Error(text)
				}
			})
		}
	}
}

// differences shows the lines in which two answers differ: a walk along their
// longest common subsequence.
func differences(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	common := make([][]int, len(w)+1)
	for i := range common {
		common[i] = make([]int, len(g)+1)
	}
	for i := len(w) - 1; i >= 0; i-- {
		for j := len(g) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if w[i] == g[j] {
				common[i][j] = 1 + common[i+1][j+1]
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(w) || j < len(g); {
		switch {
		case i < len(w) && j < len(g) && w[i] == g[j]:
			i, j = i+1, j+1
		case j == len(g) || (i < len(w) && common[i+1][j] >= common[i][j+1]):
			fmt.Fprintf(&out, "%4d want %s\n", i+1, w[i])
			i++
		default:
			fmt.Fprintf(&out, "     got  %s\n", g[j])
			j++
		}
	}
	return out.String()
}

// inOrder sorts the signatures in a message: Cassandra lists them in an order
// that differs from process to process.
func inOrder(message string) string {
	const before, between = "(known type signatures: ", ", system."
	head, list, ok := strings.Cut(message, before)
	if !ok {
		return message
	}
	signatures := strings.Split(strings.TrimSuffix(strings.TrimPrefix(list, "system."), ")"), between)
	slices.Sort(signatures)
	return head + before + "system." + strings.Join(signatures, between) + ")"
}

// TestPeer runs each story on a real Cassandra: the one that HELENUS_PEER_CQL
// names, or one of its own.
func TestPeer(t *testing.T) {
	addr := os.Getenv("HELENUS_PEER_CQL")
	if addr == "" {
		addr = net.JoinHostPort(peer.Start(t, peer.Options{}).Address(), "9042")
	}
	for _, file := range storyFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			to := newPeerTarget(t, addr)
			open(t, to, keyspaceOf(file))
			defer to.do(ask{text: "DROP KEYSPACE IF EXISTS " + keyspaceOf(file), cl: helenus.One})
			s := storyRun{target: to, peer: true}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string { return s.command(t, d) })
		})
	}
}
