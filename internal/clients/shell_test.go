package clients

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell is a driver in a process of its own, which reads a command a line and
// answers each with a line:
//
//	connect ADDRESS PORT token|robin   a session by one contact point that routes so
//	hosts                              addresses of the nodes that it takes for up
//	at LEVEL STATEMENT                 the rows, or the error's class and text
//	requests N KEYSPACE LEVEL          writes and reads back N rows of KEYSPACE.t by key
//	heard                              what the session's listener was told, counted
//
// python/shell.py and gocql/shell_test.go are such programs.
type shell struct {
	t       *testing.T
	name    string
	in      io.WriteCloser
	out     chan string
	invalid string // the driver's class of a statement that is refused
}

// shells starts one of each driver.
func shells(t *testing.T, program string) (python, goDriver *shell) {
	t.Helper()
	compiled := filepath.Join(t.TempDir(), "gocql.test")
	build := exec.Command("go", "test", "-c", "-o", compiled, ".")
	build.Dir = "gocql"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	python = newShell(t, "python", program, "python/shell.py")
	python.invalid = "InvalidRequest"
	goDriver = newShell(t, "gocql", compiled, "-test.run=^TestShell$")
	goDriver.invalid = "*gocql.RequestErrInvalid"
	return python, goDriver
}

func newShell(t *testing.T, name, program string, args ...string) *shell {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HELENUS_SHELL=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	said := new(strings.Builder)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, name: name, in: in, out: make(chan string)}
	go func() {
		defer close(s.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case s.out <- lines.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill() // its work is done
		_ = cmd.Wait()
		if t.Failed() {
			text := said.String()
			t.Logf("%s said:\n%s", name, text[max(0, len(text)-10_000):])
		}
	})
	return s
}

// ask gives the answer to a command; one that fails begins with "error".
func (s *shell) ask(command string, args ...any) string {
	s.t.Helper()
	command = fmt.Sprintf(command, args...)
	if _, err := fmt.Fprintln(s.in, command); err != nil {
		s.t.Fatalf("%s: %s: %v", s.name, command, err)
	}
	select {
	case answer, ok := <-s.out:
		if !ok {
			s.t.Fatalf("%s: %s: it has gone", s.name, command)
		}
		return answer
	case <-time.After(2 * patience):
		s.t.Fatalf("%s: %s: no answer", s.name, command)
	}
	return ""
}

// want fails unless the answer to a command is this.
func (s *shell) want(t *testing.T, answer, command string, args ...any) {
	t.Helper()
	if got := s.ask(command, args...); got != answer {
		t.Errorf("%s: %s\n got %s\nwant %s", s.name, fmt.Sprintf(command, args...), got, answer)
	}
}
