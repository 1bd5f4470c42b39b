package query

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"helenus"
)

// TestOversizedMutation: the error names the sizes, the keyspace and the largest
// partitions first, in a batch too.
func TestOversizedMutation(t *testing.T) {
	n := newNode(t, false)
	n.engine.opts.Limits.MaxMutationBytes = 2000
	to := newNodeTarget(n)
	open(t, to, "q")
	mustRun(t, to, "CREATE TABLE t (k int PRIMARY KEY, v text)")
	mustRun(t, to, "CREATE TABLE u (a text, b uuid, v text, PRIMARY KEY ((a, b)))")
	row := func(k, bytes int) string {
		return fmt.Sprintf("INSERT INTO t (k, v) VALUES (%d, '%s') ", k, strings.Repeat("x", bytes))
	}
	many := "BEGIN UNLOGGED BATCH "
	for k := range 300 {
		many += row(1000000+k, 1)
	}
	for _, c := range []struct{ text, want string }{
		{row(1, 1900), ""},
		{row(-1, 2000), `^Rejected an oversized mutation \((\d+)/2000\) for keyspace: q\. Top keys are: t\.-1$`},
		{"INSERT INTO u (a, b, v) VALUES ('A', 00000000-0000-0000-0000-000000000001, '" + strings.Repeat("x", 2000) + "')",
			`Top keys are: u\.A:00000000-0000-0000-0000-000000000001$`},
		{"BEGIN UNLOGGED BATCH " + row(1, 500) + row(2, 1000) + row(3, 900) + "APPLY BATCH", `Top keys are: t\.2, t\.3, t\.1$`},
		{many + "APPLY BATCH", `Top keys are: t\.1000000, .* and \d+ more\.$`},
	} {
		got := to.do(ask{text: c.text, cl: helenus.One})
		switch {
		case c.want == "":
			if got.err != nil {
				t.Errorf("refused: %v", got.err)
			}
		case got.err == nil || got.err.Code != helenus.CodeInvalid || !regexp.MustCompile(c.want).MatchString(got.err.Message):
			t.Errorf("%v, want %s", got.err, c.want)
		case len(got.err.Message) > 2*topKeysLength:
			t.Errorf("an error of %d bytes", len(got.err.Message))
		}
	}
}
