package ctl

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// fakeNodetool keeps a ring in files: tokens.NODE, a line for each of its
// tokens, status as nodetool prints it, and log, what was done.
const fakeNodetool = `#!/bin/sh
host=$2; shift 2
case $1 in
info) [ -f "tokens.$host" ] && sed 's/^/Token                  : /' "tokens.$host" ;;
move) echo "$host move $3" >> log; echo "$3" > "tokens.$host" ;;
cleanup) echo "$host cleanup" >> log; [ -f "tokens.$host" ] ;;
netstats) [ -f "tokens.$host" ] && echo "Mode: NORMAL" ;;
status) [ -f "tokens.$host" ] && cat status ;;
decommission) echo "$host decommission" >> log; rm "tokens.$host"; grep -v "of $host\$" status > rest; mv rest status ;;
esac
`

// stage is a directory with a fake nodetool and a script.
type stage struct {
	t      *testing.T
	script string
}

func newStage(t *testing.T) *stage {
	t.Chdir(t.TempDir())
	s := &stage{t: t}
	s.write("nodetool", fakeNodetool)
	s.write("log", "")
	return s
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// plan has ctl balance write the script.
func (s *stage) plan(line ...string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	args := append([]string{"balance"}, line...)
	if code := Run(s.t.Context(), Env{Args: append(args, "--ring-file", "ring.json", "-o", "commands"), Out: &out, Err: &errs}); code != 0 {
		s.t.Fatalf("%s: code %d\n%s%s", line, code, out.String(), errs.String())
	}
	s.script = out.String()
}

// run runs the script, and tells what it did and how it ended.
func (s *stage) run() (code int, log, text string) {
	s.t.Helper()
	s.write("log", "")
	cmd := exec.Command("sh", "-s")
	cmd.Stdin, cmd.Env = strings.NewReader(s.script), append(os.Environ(), "NODETOOL=./nodetool")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	done, err := os.ReadFile("log")
	if err != nil {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(done), string(out)
}

// want runs the script and holds what it did against what it should do.
func (s *stage) want(what string, code int, log, says string) {
	s.t.Helper()
	gotCode, gotLog, text := s.run()
	if gotCode != code || gotLog != log || !strings.Contains(text, says) {
		s.t.Errorf("%s: code %d, did %q, not %d and %q, or does not say %q\n%s\n%s", what, gotCode, gotLog, code, log, says, text, s.script)
	}
}

// TestScript runs the printed commands: they are done in order, a second run
// finds all done, and a ring that has changed stops them.
func TestScript(t *testing.T) {
	s := newStage(t)
	s.write("ring.json", `{"circumference":"300","min":"-150","nodes":[
		{"id":"a","dc":"d","rack":"r","tokens":["-150"]},{"id":"b","dc":"d","rack":"r","tokens":["-95"]},{"id":"c's","dc":"d","rack":"r","tokens":["50"]}],
		"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1}]}`)
	s.plan("plan")
	s.write("tokens.a", "-150\n")
	s.write("tokens.b", "-95\n")
	s.write("tokens.c's", "50\n")
	s.want("first", 0, "b move -50\nb cleanup\nc's cleanup\n", "")
	s.want("again", 0, "b cleanup\nc's cleanup\n", "b is at -50 already")
	s.write("tokens.b", "-90\n")
	s.want("changed ring", exitStale, "", "the ring has changed")
	if err := os.Remove("tokens.b"); err != nil {
		t.Fatal(err)
	}
	s.want("no answer", 1, "", "cannot reach b")
}

// TestScriptMovesTwice runs a plan again that moves a node out of the way first.
func TestScriptMovesTwice(t *testing.T) {
	s := newStage(t)
	s.write("ring.json", `{"circumference":300,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[100]},{"id":"c","tokens":[210]}],
		"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1}]}`)
	s.write("plan.json", `{"steps":[{"n":1,"op":"move","node":"c","from":"210","to":"250","cleanup":["a","c"]},
		{"n":2,"op":"move","node":"c","from":"250","to":"200","cleanup":["a","c"]}]}`)
	s.plan("show", "plan.json")
	s.write("tokens.a", "0\n")
	s.write("tokens.c", "210\n")
	s.want("first", 0, "c move 250\na cleanup\nc cleanup\nc move 200\na cleanup\nc cleanup\n", "")
	s.want("again", 0, "a cleanup\nc cleanup\na cleanup\nc cleanup\n", "c is at 200 already")
	s.write("tokens.c", "250\n")
	s.want("after the first step", 0, "a cleanup\nc cleanup\nc move 200\na cleanup\nc cleanup\n", "c is at 250 already")
	s.write("tokens.c", "251\n")
	s.want("elsewhere", exitStale, "", "c is not at 210")
}

// TestScriptLeaves holds that a node is taken for gone only when another one's
// status says so, however the plan calls it.
func TestScriptLeaves(t *testing.T) {
	const rest = `"dc":"d","rack":"r"`
	for _, c := range []struct{ name, ring, status string }{
		{"addresses", `{"id":"10.0.0.1",` + rest + `,"tokens":[0]},{"id":"2001:db8::1",` + rest + `,"tokens":[75]},{"id":"2001:db8::a0b:2",` + rest + `,"tokens":[150]},{"id":"10.0.0.4",` + rest + `,"tokens":[225]}`,
			"UN  10.0.0.1  1 KiB  1  ?  h1  r of 10.0.0.1\nUN  2001:db8:0:0:0:0:0:1  1 KiB  1  ?  h2  r of 2001:db8::1\nUN  2001:db8:0:0:0:0:a0b:2  1 KiB  1  ?  h3  r of 2001:db8::a0b:2\nUN  10.0.0.4  1 KiB  1  ?  h4  r of 10.0.0.4\n"},
		{"host ids, and names", `{"id":"10.0.0.1","host_id":"h1",` + rest + `,"tokens":[0]},{"id":"2001:db8::1","host_id":"h2",` + rest + `,"tokens":[75]},{"id":"2001:db8::a0b:2","host_id":"h3",` + rest + `,"tokens":[150]},{"id":"10.0.0.4","host_id":"h4",` + rest + `,"tokens":[225]}`,
			"UN  n1  1 KiB  1  ?  h1  r of 10.0.0.1\nUN  n2  1 KiB  1  ?  h2  r of 2001:db8::1\nUN  n3  1 KiB  1  ?  h3  r of 2001:db8::a0b:2\nUN  n4  1 KiB  1  ?  h4  r of 10.0.0.4\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.write("ring.json", `{"circumference":300,"nodes":[`+c.ring+`],"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1}]}`)
			s.write("plan.json", `{"goal":{"tolerance":"0.9","leave":["2001:db8::1","2001:db8::a0b:2"]},"steps":[
				{"n":1,"op":"decommission","node":"2001:db8::1","cleanup":["2001:db8::a0b:2"]},
				{"n":2,"op":"decommission","node":"2001:db8::a0b:2","cleanup":["10.0.0.4"]}]}`)
			s.plan("show", "plan.json")
			for _, id := range []string{"10.0.0.1", "2001:db8::1", "2001:db8::a0b:2", "10.0.0.4"} {
				s.write("tokens."+id, "0\n")
			}
			s.write("status", strings.ReplaceAll(c.status, "UN", "DL"))
			if err := os.Rename("tokens.10.0.0.1", "away"); err != nil {
				t.Fatal(err)
			}
			s.want("the node that is asked is away", 1, "", "nodetool cannot reach 10.0.0.1")
			if err := os.Rename("away", "tokens.10.0.0.1"); err != nil {
				t.Fatal(err)
			}
			s.write("status", "UN  elsewhere  1 KiB  1  ?  h9  r\n")
			s.want("status writes nodes otherwise", 1, "", "whether 2001:db8::1 has left is not known")
			s.write("status", c.status)
			s.want("first", 0, "2001:db8::1 decommission\n2001:db8::a0b:2 cleanup\n2001:db8::a0b:2 decommission\n10.0.0.4 cleanup\n", "")
			s.want("again", 0, "10.0.0.4 cleanup\n", "2001:db8::1 has left already")
		})
	}
}

// TestScriptJoins waits for a node that somebody starts, with its tokens.
func TestScriptJoins(t *testing.T) {
	s := newStage(t)
	s.write("ring.json", `{"circumference":300,"nodes":[{"id":"a","dc":"d","rack":"r","tokens":[0]},{"id":"b","dc":"d","rack":"r","tokens":[100]}],
		"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1}]}`)
	s.plan("plan", "--join", "n@d/r")
	s.write("tokens.a", "0\n")
	s.write("tokens.b", "100\n")
	s.write("tokens.n", "200\n")
	s.want("first", 0, "a cleanup\n", "num_tokens: 1, initial_token: 200")
	s.write("plan.json", `{"goal":{"join":["n@d/r"]},"steps":[{"n":1,"op":"bootstrap","node":"n","to":"250","cleanup":["a"]},
		{"n":2,"op":"move","node":"n","from":"250","to":"200","cleanup":["a","n"]}]}`)
	s.plan("show", "plan.json")
	s.want("again, and moved on", 0, "a cleanup\na cleanup\nn cleanup\n", "n is at 200 already")
	s.write("tokens.n", "201\n")
	s.want("with another token", exitStale, "", "n has joined without token 250")
}
