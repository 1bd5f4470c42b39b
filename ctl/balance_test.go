package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/balance"
	"helenus/ctl/node"
	"helenus/internal/report"
)

// ringNode is a Helenus whose ring and keyspaces a story sets.
type ringNode struct {
	node.Node
	ring    report.Ring
	cluster report.Cluster
	err     error
}

func (n *ringNode) Ring(context.Context, string) (report.Ring, error) { return n.ring, n.err }
func (n *ringNode) Cluster(context.Context) (report.Cluster, error)   { return n.cluster, n.err }
func (n *ringNode) set(t *testing.T, what string, text string, down string) {
	t.Helper()
	if down != "" {
		n.err = &node.Unreachable{Address: down, Cause: errors.New("connection refused")}
		return
	}
	var into any = &n.ring
	if what == "cluster" {
		into = &n.cluster
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// TestBalance reads stories:
//
//	file NAME          a file in the working directory
//	node ring|cluster  what the Helenus at the default address answers
//	ctl [stdin=NAME]   a command line; variables may stand before it
//
// ctl prints the exit code if it is not 0, standard output, standard error.
func TestBalance(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	datadriven.Walk(t, filepath.Join(here, "testdata", "balance"), func(t *testing.T, path string) {
		n := &ringNode{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				if err := os.WriteFile(d.CmdArgs[0].Key, []byte(d.Input), 0o644); err != nil {
					t.Fatal(err)
				}
				return ""
			case "node":
				down := ""
				d.MaybeScanArgs(t, "down", &down)
				n.set(t, d.CmdArgs[0].Key, d.Input, down)
				return ""
			case "ctl":
				return story(t, n, d)
			}
			d.Fatalf(t, "no command %q", d.Cmd)
			return ""
		})
	})
}

// story runs one command line.
func story(t *testing.T, n node.Node, d *datadriven.TestData) string {
	t.Helper()
	var stdin []byte
	name := ""
	if d.MaybeScanArgs(t, "stdin", &name) {
		var err error
		if stdin, err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"LANG": "C.UTF-8"}
	args := strings.Fields(d.Input)
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "-") {
		key, value, _ := strings.Cut(args[0], "=")
		vars[key] = value
		args = args[1:]
	}
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), Env{Args: args, In: bytes.NewReader(stdin), Out: &stdout, Err: &stderr, Terminal: vars["TTY"] != "",
		Getenv: func(name string) string { return vars[name] }, Dial: func(string) node.Node { return n }})
	out := strings.ReplaceAll(stdout.String(), "\x1b", "ESC")
	if save := ""; d.MaybeScanArgs(t, "save", &save) {
		if err := os.WriteFile(save, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		out = ""
	}
	if code != 0 {
		out = fmt.Sprintf("exit code %d\n", code) + out
	}
	return out + stderr.String()
}

// TestPlanIsReadBack holds JSON and YAML to their schema: what plan prints,
// verify and show take.
func TestPlanIsReadBack(t *testing.T) {
	t.Chdir(t.TempDir())
	ring := `{"circumference":300,"min":0,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[90]},{"id":"c","tokens":[200]}],"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":2}]}`
	if err := os.WriteFile("ring.json", []byte(ring), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(line string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), Env{Args: strings.Fields("balance " + line + " --ring-file ring.json"), Out: &out, Err: &errs})
		return code, out.String() + errs.String()
	}
	code, text := run("plan -o json")
	p, err := balance.ParsePlan([]byte(text))
	if code != 0 || err != nil || p.Schema != balance.PlanSchema || p.Summary.Moves != 1 {
		t.Fatalf("%d %v\n%s", code, err, text)
	}
	if err := os.WriteFile("plan.json", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"verify plan.json", "show plan.json", "show plan.json -o svg", "show plan.json -o commands", "show plan.json -o yaml"} {
		if code, text := run(verb); code != 0 || text == "" {
			t.Errorf("%s: %d\n%s", verb, code, text)
		}
	}
	code, text = run("show -o json")
	r, err := balance.Parse([]byte(text))
	if code != 0 || err != nil || r.Hash() != p.RingHash {
		t.Errorf("the ring is not read back: %d %v\n%s", code, err, text)
	}
}

func TestPartsAndBytes(t *testing.T) {
	for in, want := range map[string]balance.Decimal{"": "", "5%": "0.05", "0.05": "0.05", "12.5%": "0.125", "0": "0", "100%": "1"} {
		if got, ok := parsePart(in); !ok || got != want {
			t.Errorf("%q is %q %t, not %q", in, got, ok, want)
		}
	}
	for in, want := range map[string]balance.Amount{"": "", "1000": "1000", "1.5KiB": "1536", "20GB": "20000000000", "200 MiB": "209715200"} {
		if got, ok := parseBytes(in); !ok || got != want {
			t.Errorf("%q is %q %t, not %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"x", "%", "1/2", "1e9", "0x10", "5%%"} {
		if got, ok := parsePart(in); ok {
			t.Errorf("%q is read as %q", in, got)
		}
		if got, ok := parseBytes(in); ok {
			t.Errorf("%q is read as %q", in, got)
		}
	}
}
