package clients

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// answerTimeout bounds the wait for the answer to one line typed into cqlsh.
const answerTimeout = 3 * time.Minute

// cqlsh is one cqlsh that believes it has a terminal, so that it prompts and
// pages as it does for people.
type cqlsh struct {
	in     io.WriteCloser
	out    chan []byte
	buffer []byte
}

// stories tells each story of a folder to a cqlsh of its own.
func (n *node) stories(t *testing.T, python, folder string) {
	files, err := filepath.Glob(folder + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			dir := t.TempDir()
			var shell *cqlsh
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				switch d.Cmd {
				case "connect":
					var banner string
					shell, banner = n.cqlsh(t, python, dir)
					return n.normal(banner)
				case "cql":
					return filtered(t, d, n.normal(shell.enter(t, d)))
				case "trace":
					return traced(n.normal(shell.enter(t, d)))
				case "file":
					return write(t, filepath.Join(dir, d.CmdArgs[0].Key), d.Input)
				case "show":
					return strings.Join(lines(t, filepath.Join(dir, d.CmdArgs[0].Key)), "\n") + "\n"
				case "flights":
					return flights(t, python, filepath.Join(dir, d.CmdArgs[0].Key))
				case "same":
					return same(t, filepath.Join(dir, d.CmdArgs[0].Key), filepath.Join(dir, d.CmdArgs[1].Key))
				}
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			})
		})
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return ""
}

// cqlsh starts one in dir and gives what it says first.
func (n *node) cqlsh(t *testing.T, python, dir string) (*cqlsh, string) {
	t.Helper()
	host, port, _ := strings.Cut(n.addr, ":")
	cmd := exec.Command(filepath.Join(filepath.Dir(python), "cqlsh"), "--tty", "--request-timeout=60", host, port)
	cmd.Dir = dir
	// A home of its own: neither a cqlshrc nor a history of the one who tests.
	cmd.Env = append(os.Environ(), "HOME="+dir, "TZ=UTC", "PYTHONUNBUFFERED=1", "PYTHONUTF8=1", "TERM=dumb")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the end of its output is what the story sees
		w.Close()
		close(gone)
	}()
	s := &cqlsh{in: in, out: make(chan []byte)}
	go func() {
		defer close(s.out)
		for {
			piece := make([]byte, 64<<10)
			got, err := out.Read(piece)
			if err != nil {
				return
			}
			select {
			case s.out <- piece[:got]:
			case <-t.Context().Done():
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill() // its work is done; it may have gone with its input
		<-gone
	})
	return s, s.answer(t)
}

// prompt is how cqlsh asks for more: a statement, the rest of one, or a key.
var prompt = regexp.MustCompile(`(^|\n)(cqlsh(:\w+)?> |\s+\.\.\. )$`)

const more = "---MORE---"

// enter types the lines of a story and gives what came back.
func (s *cqlsh) enter(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if s == nil {
		d.Fatalf(t, "a story begins with connect")
	}
	var all strings.Builder
	for line := range strings.SplitSeq(d.Input, "\n") {
		// A line that cannot be empty in a story: the answer to ---MORE---.
		if _, err := fmt.Fprintln(s.in, strings.TrimSuffix(line, "<return>")); err != nil {
			d.Fatalf(t, "type %q: %v", line, err)
		}
		all.WriteString(s.answer(t))
	}
	return all.String()
}

// answer reads up to the next prompt and leaves the prompt out.
func (s *cqlsh) answer(t *testing.T) string {
	t.Helper()
	late := time.After(answerTimeout)
	for {
		if at := prompt.FindIndex(s.buffer); at != nil {
			text := string(s.buffer[:at[0]])
			if at[0] < len(s.buffer) && s.buffer[at[0]] == '\n' {
				text += "\n"
			}
			s.buffer = nil
			return text
		}
		if bytes.HasSuffix(s.buffer, []byte(more)) {
			text := string(s.buffer) + "\n"
			s.buffer = nil
			return text
		}
		select {
		case piece, ok := <-s.out:
			if !ok {
				t.Fatalf("cqlsh has gone:\n%s", s.buffer)
			}
			s.buffer = append(s.buffer, piece...)
		case <-late:
			t.Fatalf("cqlsh does not prompt:\n%s", s.buffer)
		}
	}
}

// replacement is something that is another at each run.
type replacement struct {
	pattern *regexp.Regexp
	by      string
}

var replacements = []replacement{
	{regexp.MustCompile(`(ID = |Tracing session: )[0-9a-f\-]{36}`), "$1<uuid>"},
	{regexp.MustCompile(`(?m)(Connected to|^Cluster:) .*?( at |$)`), "$1 <name>$2"},
	// Configuration; and Cassandra wraps every snitch in its dynamic one, which we
	// do not have yet.
	{regexp.MustCompile(`(?m)^Snitch: .*$`), "Snitch: <snitch>"},
	{regexp.MustCompile(`Cassandra \d[\w.\-]*`), "Cassandra <release>"},
	{regexp.MustCompile(`WARNING: cqlsh was built against .*\n`), ""},
	{regexp.MustCompile(`(?m)^.*Processed: .*\n`), ""},
	// A threshold of cassandra.yaml's, and no matter of what cqlsh does.
	{regexp.MustCompile(`Read \d+ live rows and \d+ tombstone cells .*\n\n`), ""},
	{regexp.MustCompile(`( +-?\d+  \[[^\]]*/<host>:\d+\]\n)+`), " <ranges>\n"},
	{regexp.MustCompile(`Using \d+ child processes`), "Using <n> child processes"},
	{regexp.MustCompile(`in (\d+ day.*|[\d.]+) seconds`), "in <time>"},
}

// normal replaces what is another at each run or node.
func (n *node) normal(text string) string {
	host, _, _ := strings.Cut(n.addr, ":")
	text = strings.ReplaceAll(text, n.addr, "<address>")
	for _, host := range append(n.others, host) {
		text = strings.ReplaceAll(text, host, "<host>")
	}
	for _, r := range replacements {
		text = r.pattern.ReplaceAllString(text, r.by)
	}
	return text
}

// filtered keeps, with words=x, the words that begin with x, in order: where
// others may have keyspaces too.
func filtered(t *testing.T, d *datadriven.TestData, text string) string {
	var want string
	if !d.MaybeScanArgs(t, "words", &want) {
		return text
	}
	var keep []string
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, want) {
			keep = append(keep, word)
		}
	}
	slices.Sort(keep)
	return strings.Join(keep, "\n") + "\n"
}

var (
	event   = regexp.MustCompile(`^\s*(.+?)\s*\|\s*<time>\s*\|\s*<host>\s*\|\s*\d+\s*\|\s*(<host>|[\d.]+)\s*$`)
	instant = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d)?`)
	spaces  = regexp.MustCompile(`[ \-]{2,}`)
)

// traced keeps of a trace its frame: what a node did in between is its own
// affair, as long as it says something.
func traced(text string) string {
	text = instant.ReplaceAllString(text, "<time>")
	var out []string
	var between int
	for line := range strings.SplitSeq(text, "\n") {
		m := event.FindStringSubmatch(line)
		switch {
		case m == nil:
			out = append(out, spaces.ReplaceAllString(line, " "))
		case m[1] == "Execute CQL3 query":
			out, between = append(out, m[1]), 0
		case m[1] == "Request complete":
			if between > 0 {
				out = append(out, "<events>")
			}
			out = append(out, m[1])
		default:
			between++
		}
	}
	return strings.Join(out, "\n")
}
