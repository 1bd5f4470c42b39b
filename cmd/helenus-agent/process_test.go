package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/report"
)

// process is a real helenus-agent with a folder of its own.
type process struct {
	t      *testing.T
	binary string
	dir    string
	host   string
	admin  int
	cql    int
	cmd    *exec.Cmd
	log    *lockedBuffer

	messages int    // the port for other nodes, of a lab's
	operator string // the address of the admin API
	// What follows is os/exec's and net's own, or of a network apart.
	run             func(*exec.Cmd) error
	dial, dialAdmin dialer
}

// dialer connects to an address.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// lockedBuffer keeps what the agent says, for a failing test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// buildAgent compiles the agent once for a test.
func buildAgent(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "helenus-agent")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func newProcess(t *testing.T, more string) *process {
	t.Helper()
	p := &process{t: t, binary: buildAgent(t), dir: t.TempDir(), host: "127.0.0.1", admin: freePort(t), cql: freePort(t), log: new(lockedBuffer),
		operator: "127.0.0.1"}
	p.onMachine()
	text := fmt.Sprintf("cluster_name: test\nlisten_address: 127.0.0.1\nrpc_address: 127.0.0.1\nnative_transport_port: %d\nstorage_port: %d\n"+
		"admin_address: 127.0.0.1\nadmin_port: %d\ndata_file_directories: [%s/data]\ncommitlog_directory: %s/commitlog\n%s",
		p.cql, freePort(t), p.admin, p.dir, p.dir, more)
	if err := os.WriteFile(p.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("the agent said:\n%s", p.log)
		}
	})
	return p
}

// onMachine runs the agent in the machine's own network.
func (p *process) onMachine() {
	p.run, p.dial, p.dialAdmin = (*exec.Cmd).Start, new(net.Dialer).DialContext, new(net.Dialer).DialContext
}

func (p *process) config() string { return filepath.Join(p.dir, "helenus.yaml") }

// start runs the agent and waits until it serves.
func (p *process) start() {
	p.t.Helper()
	p.launch()
	deadline := time.Now().Add(60 * time.Second)
	for {
		if p.ready() {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the agent does not serve after a minute")
		}
		wait(20 * time.Millisecond)
	}
}

// launch runs the agent.
func (p *process) launch() {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, "--config", p.config())
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.run(p.cmd); err != nil {
		p.t.Fatal(err)
	}
}

// wait lets real time pass: the other side is another process.
func wait(d time.Duration) { <-time.After(d) }

func (p *process) ready() bool {
	var r report.Ready
	return p.ask("/ready", nil, &r) == nil && r.PID == p.cmd.Process.Pid
}

// askTimeout bounds a question to the admin API.
const askTimeout = 5 * time.Second

// ask asks the admin API, by GET when there is nothing to say.
func (p *process) ask(path string, say, answer any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if say != nil {
		b, err := json.Marshal(say)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, fmt.Sprintf("http://%s:%d/v1%s", p.operator, p.admin, path), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	c := http.Client{Timeout: askTimeout, Transport: &http.Transport{DialContext: p.dialAdmin, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// kill ends the agent as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself, which the test sees
	_ = p.cmd.Wait()         // killed: never nil
	p.cmd = nil
}

func (p *process) connect(ctx context.Context) (*client.Conn, error) {
	return client.Connect(ctx, fmt.Sprintf("%s:%d", p.host, p.cql), client.Config{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		return p.dial(ctx, "tcp", addr)
	}})
}

// session is a connection that must come about.
func (p *process) session() *client.Conn {
	p.t.Helper()
	c, err := p.connect(context.Background())
	if err != nil {
		p.t.Fatalf("connect: %v", err)
	}
	return c
}

func (p *process) query(c *client.Conn, text string) [][][]byte {
	p.t.Helper()
	r, err := c.Query(context.Background(), text)
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	rows, err := r.All()
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	return rows
}
