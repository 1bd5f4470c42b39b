package parse

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"

	"helenus"
)

// render is what the golden files keep of a statement.
func render(t *testing.T, cql string) string {
	s, err := Parse(cql)
	if err == nil {
		return s.String()
	}
	var e *helenus.Error
	if !errors.As(err, &e) || e.Code != helenus.CodeSyntax {
		t.Fatalf("%q: %v is no syntax error", cql, err)
	}
	return e.Message
}

func TestAccepted(t *testing.T) {
	datadriven.RunTest(t, "testdata/accepted.txt", func(t *testing.T, d *datadriven.TestData) string {
		tree, err := Parse(d.Input)
		if err != nil {
			d.Fatalf(t, "%q: %v", d.Input, err)
		}
		again, err := Parse(tree.String())
		if err != nil {
			d.Fatalf(t, "%q prints as %q: %v", d.Input, tree, err)
		}
		if !reflect.DeepEqual(tree, again) {
			d.Fatalf(t, "%q prints as %q, which is another tree", d.Input, tree)
		}
		return tree.String()
	})
}

func TestErrors(t *testing.T) {
	datadriven.RunTest(t, "testdata/errors.txt", func(t *testing.T, d *datadriven.TestData) string {
		return render(t, d.Input)
	})
}

// elsewhere are the statements whose error is in another place than Cassandra's,
// or which are accepted here.
var elsewhere = []string{
	"DROP FUNCTION f(int", "DROP TRIGGER x", // recognised only
	"GRANT EXECUTE ON t TO u", "GRANT SELECT ON ROLE a TO u", // what a permission applies to is no grammar
	"GRANT EXECUTE ON FUNCTION parsetest.f(int, list<text>) TO r",
	"INSERT INTO t (k,c,v) VALUES (1,2,('foo')3)", "CREATE TABLE zz (a int primary key, b 'foo')", // custom types
	"CREATE TABLE zz (a int primary key, b tuple<>)", // Cassandra fails with a null pointer
}

var place = regexp.MustCompile(`^line (\d+:-?\d+) `)

func TestErrorsNear(t *testing.T) {
	datadriven.RunTest(t, "testdata/errors_near.txt", func(t *testing.T, d *datadriven.TestData) string {
		theirs, cql, _ := strings.Cut(d.Input, "\n")
		ours := render(t, cql)
		if theirs == ours {
			d.Fatalf(t, "%q has Cassandra's text: it belongs to errors.txt", cql)
		}
		if !slices.Contains(elsewhere, cql) && place.FindString(theirs) != place.FindString(ours) {
			d.Fatalf(t, "%q\nours: %s\ntheirs: %s", cql, ours, theirs)
		}
		return ours
	})
}

// Data that the golden files cannot hold.
func TestText(t *testing.T) {
	for _, c := range []struct{ cql, want string }{
		{"", "line 0:-1 no viable alternative at input '<EOF>'"},
		{"SELECT k FROM t -- hi\n", "SELECT k FROM t"},
		{"SELECT k FROM t // hi\r", "SELECT k FROM t"},
		{"\n\nSELECT k\r\n FROM t /* a\n * b */ ;\n", "SELECT k FROM t"},
		{"\n  SELEC", "line 2:2 no viable alternative at input 'SELEC' (  [SELEC])"},
		{"SELECT '\U0001F600', # FROM t", "line 1:13 no viable alternative at character '#'"},
		{"SELECT k FROM t WHERE k = $$a'b\n$c$$", "SELECT k FROM t WHERE k = 'a''b\n$c'"},
		{"SELECT k FROM t WHERE k = $$$$", "SELECT k FROM t WHERE k = ''"},
		{`SELECT """", """a", "a""" FROM t`, `SELECT """", """a", "a""" FROM t`},
		{"SELECT k FROM t WHERE k = -- x\n 1", "SELECT k FROM t WHERE k = 1"},
		{"SELECT k FROM t WHERE k=1/2", "SELECT k FROM t WHERE k = 1 / 2"},
		{"SELECT k FROM t WHERE k\xff = 1", "line 1:23 no viable alternative at character '\uFFFD'"},
	} {
		if got := render(t, c.cql); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.cql, got, c.want)
		}
	}
}

func TestMarkers(t *testing.T) {
	for _, c := range []struct {
		cql  string
		want []Marker
	}{
		{"USE ks", nil},
		{"SELECT * FROM t", nil},
		{"SELECT ?, f(:a) FROM t WHERE k IN ? AND c[?] = :b LIMIT ?",
			[]Marker{{0, ""}, {1, "a"}, {2, ""}, {3, ""}, {4, "b"}, {5, ""}}},
		// Attempts that are given up must not leave markers behind.
		{"SELECT (k), (int)?, k FROM t WHERE (a, b) > (?, ?)", []Marker{{0, ""}, {1, ""}, {2, ""}}},
		{"INSERT INTO t (a, b) VALUES (:x, :X) USING TTL :\"X\"", []Marker{{0, "x"}, {1, "x"}, {2, "X"}}},
		{"UPDATE t USING TTL ? SET a = ? + a, m[?] = ? WHERE k = ? IF v IN (?, 1)",
			[]Marker{{0, ""}, {1, ""}, {2, ""}, {3, ""}, {4, ""}, {5, ""}}},
		{"INSERT INTO t JSON :doc", []Marker{{0, "doc"}}},
	} {
		s, err := Parse(c.cql)
		if err != nil {
			t.Fatalf("%q: %v", c.cql, err)
		}
		if !slices.Equal(s.Markers(), c.want) {
			t.Errorf("%q: %v, want %v", c.cql, s.Markers(), c.want)
		}
	}
}

func TestBatchMarkers(t *testing.T) {
	s, err := Parse("BEGIN BATCH USING TIMESTAMP ? INSERT INTO t (a) VALUES (:v); " +
		"UPDATE t SET a = 1 WHERE k = 1; DELETE FROM t WHERE k = ? AND c = ? APPLY BATCH")
	if err != nil {
		t.Fatal(err)
	}
	b := s.(*Batch)
	if len(b.Markers()) != 4 || b.Using.Timestamp.(*BindMarker).Index != 0 {
		t.Errorf("batch: %v", b.Markers())
	}
	want := [][]Marker{{{1, "v"}}, {}, {{2, ""}, {3, ""}}}
	for i, child := range b.Statements {
		if !slices.Equal(child.Markers(), want[i]) {
			t.Errorf("statement %d: %v, want %v", i, child.Markers(), want[i])
		}
	}
	if m := b.Statements[2].(*Delete).Where[1].Value.(*BindMarker); m.Index != 3 {
		t.Errorf("marker of the last relation: %d", m.Index)
	}
}

// The words that Cassandra 5.0.9 refuses as the name of a column, measured word
// by word, and some newer ones that it does not know.
func TestReservedWords(t *testing.T) {
	const reserved = `SELECT FROM WHERE AND ENTRIES FULL INSERT UPDATE WITH LIMIT USING USE SET BEGIN UNLOGGED BATCH
		APPLY TRUNCATE DELETE IN CREATE SCHEMA KEYSPACE COLUMNFAMILY TABLE MATERIALIZED VIEW INDEX ON TO DROP PRIMARY
		INTO ALTER RENAME ADD ORDER BY ASC DESC ALLOW IF IS GRANT OF REVOKE MODIFY AUTHORIZE DESCRIBE EXECUTE
		NORECURSIVE TOKEN NULL NOT NAN INFINITY OR TRUE FALSE`
	const notReserved = `BETWEEN GENERATED SUPERUSERS CHECK INDEXES OFFSET SCALAR EXPR VECTOR ANN MASKED COLUMNFAMILIES`
	words := strings.Fields(reserved)
	for _, w := range words {
		if _, err := Parse("INSERT INTO t (k, c, " + w + ") VALUES (1, 2, 3)"); err == nil {
			t.Errorf("%s is accepted as a column", w)
		}
		if _, err := Parse(`INSERT INTO t (k, c, "` + w + `") VALUES (1, 2, 3)`); err != nil {
			t.Errorf("quoted %s: %v", w, err)
		}
	}
	for w := range keywords {
		if upper := strings.ToUpper(w); !slices.Contains(words, upper) {
			words = append(words, upper)
		}
	}
	for _, w := range append(words[len(strings.Fields(reserved)):], strings.Fields(notReserved)...) {
		s, err := Parse("INSERT INTO t (k, c, " + w + ") VALUES (1, 2, 3)")
		if err != nil {
			t.Errorf("%s: %v", w, err)
		} else if got := s.(*Insert).Columns[2]; got != strings.ToLower(w) {
			t.Errorf("%s is column %q", w, got)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	const many = 200000
	for _, c := range []struct{ before, open, middle, end string }{
		{"SELECT * FROM t WHERE k = ", "[", "1", "]"},
		{"SELECT * FROM t WHERE k = ", "(", "1", ")"},
		{"SELECT * FROM t WHERE k = ", "{", "1", "}"},
		{"SELECT * FROM t WHERE k = ", "{a:", "1", "}"},
		{"SELECT * FROM t WHERE k = ", "f(", "1", ")"},
		{"SELECT * FROM t WHERE k = ", "(int)", "1", ""},
		{"SELECT * FROM t WHERE k = ", "cast(", "1", " as int)"},
		{"SELECT * FROM t WHERE k = 1", " + 1", "", ""},
		{"SELECT * FROM t WHERE k = 1", " * 1", "", ""},
		{"SELECT * FROM t WHERE ", "(", "k = 1", ")"},
		{"SELECT ", "(", "k", ") FROM t"},
		{"SELECT ", "[", "k", "] FROM t"},
		{"SELECT ", "{", "k", "} FROM t"},
		{"SELECT ", "f(", "k", ") FROM t"},
		{"SELECT ", "(int)", "k", " FROM t"},
		{"SELECT ", "- ", "k", " FROM t"},
		{"SELECT k", "[1]", "", " FROM t"},
		{"SELECT k", ".f", "", " FROM t"},
		{"SELECT k", " + k", "", " FROM t"},
		{"CREATE TABLE t (k ", "frozen<", "int", ">)"},
		{"CREATE TABLE t (k ", "list<", "int", ">)"},
	} {
		_, err := Parse(c.before + strings.Repeat(c.open, many) + c.middle + strings.Repeat(c.end, many))
		if err == nil {
			t.Errorf("%s%s... is accepted", c.before, c.open)
		} else if s := err.Error(); !strings.Contains(s, "deeper than 128") && !strings.Contains(s, "operators in a row") {
			t.Errorf("%s%s...: %s", c.before, c.open, s)
		}
	}
	if _, err := Parse("SELECT * FROM t WHERE k = " + strings.Repeat("[", 100) + strings.Repeat("]", 100)); err != nil {
		t.Error(err)
	}
}

func TestListsAndMessagesAreBounded(t *testing.T) {
	properties := "CREATE KEYSPACE k WITH a = 1"
	for i := range 300 {
		properties += fmt.Sprintf(" AND a%d = 1", i)
	}
	access := "CREATE ROLE r WITH LOGIN = true" + strings.Repeat(" AND ACCESS TO ALL DATACENTERS", 300)
	for cql, want := range map[string]string{properties: "more than 256 properties", access: "more than 256 options"} {
		if _, err := Parse(cql); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := Parse("SELECT k FROM t '" + strings.Repeat("\xff\u00e9", 50000))
	if err == nil || len(err.Error()) > 3*messageBytesMax || !utf8.ValidString(err.Error()) {
		t.Errorf("%v", err)
	}
	_, err = Parse("SELECT k FROM t WHERE k = 1 '" + strings.Repeat("\xff\u00e9", 50000) + "'")
	if err == nil || len(err.Error()) > 3*messageBytesMax || !utf8.ValidString(err.Error()) {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

const typicalInsert = "INSERT INTO ks.users (id, name, age, score, active) VALUES " +
	"(123e4567-e89b-12d3-a456-426614174000, 'Ada', 36, 99.5, true)"

// An unprepared INSERT is the tree, its two lists and one slab of constants.
func TestInsertAllocations(t *testing.T) {
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := Parse(typicalInsert); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 4 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkInsert(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(typicalInsert); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("SELECT a, b, c FROM ks.t WHERE pk = ? AND ck >= 10 LIMIT 100"); err != nil {
			b.Fatal(err)
		}
	}
}
