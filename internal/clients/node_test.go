package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startTimeout bounds the way from a process to a node that serves.
const startTimeout = time.Minute

// node is what the suites talk to.
type node struct {
	addr    string
	restart string   // a shell command that kills the node and waits for the next
	others  []string // hosts of its cluster
}

// theNode is the one HELENUS_CQL names, or an agent built here.
func theNode(t *testing.T) *node {
	t.Helper()
	if addr := os.Getenv("HELENUS_CQL"); addr != "" {
		return &node{addr: addr, restart: os.Getenv("HELENUS_RESTART")}
	}
	a := newAgent(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.supervise(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text, err := os.ReadFile(a.path("log"))
			t.Logf("the agent said (%v):\n%s", err, text[max(0, len(text)-20_000):])
		}
	})
	select {
	case <-a.ready:
	case err := <-served:
		served <- err
		t.FailNow()
	}
	return &node{addr: fmt.Sprintf("127.0.0.1:%d", a.cql), restart: a.restart()}
}

// agent is a helenus-agent with a folder of its own.
type agent struct {
	dir        string
	cql, admin int
	ready      chan struct{} // closed when it served first
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{dir: t.TempDir(), cql: freePort(t), admin: freePort(t), ready: make(chan struct{})}
	build := exec.Command("go", "build", "-o", a.path("helenus-agent"), "helenus/cmd/helenus-agent")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	text := fmt.Sprintf("cluster_name: clients\nlisten_address: 127.0.0.1\nrpc_address: 127.0.0.1\nnative_transport_port: %d\nstorage_port: %d\n"+
		"admin_address: 127.0.0.1\nadmin_port: %d\ndata_file_directories: [%s]\ncommitlog_directory: %s\n",
		a.cql, freePort(t), a.admin, a.path("data"), a.path("commitlog"))
	if err := os.WriteFile(a.path("helenus.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) path(name string) string { return filepath.Join(a.dir, name) }

// restart kills the agent as a power cut would and waits until supervise has
// written another process id. The file "asked" tells it from a crash.
func (a *agent) restart() string {
	return fmt.Sprintf(`cd '%s' && touch asked && old=$(cat pid) && kill -9 "$old" && for i in $(seq 600); do `+
		`test "$(cat pid)" != "$old" && exit 0; sleep 0.1; done; echo "no new agent"; exit 1`, a.dir)
}

// supervise runs the agent until ctx ends, and again when its end was asked for.
func (a *agent) supervise(ctx context.Context) error {
	log, err := os.Create(a.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	for first := true; ; first = false {
		cmd := exec.CommandContext(ctx, a.path("helenus-agent"), "--config", a.path("helenus.yaml"))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HELENUS_") }) // settings
		if err := cmd.Start(); err != nil {
			return err
		}
		ended, exit := make(chan struct{}), error(nil)
		go func() {
			exit = cmd.Wait()
			close(ended)
		}()
		err := a.awaitReady(ctx, cmd.Process.Pid, ended)
		if err == nil && first {
			close(a.ready)
		} else if err != nil {
			_ = cmd.Process.Kill() // it may have ended by itself
		}
		<-ended
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", err, exit)
		case os.Remove(a.path("asked")) != nil:
			return fmt.Errorf("the agent ended, and nobody had asked it to: %w", exit)
		}
	}
}

// awaitReady waits until the agent serves, and then writes its process id.
func (a *agent) awaitReady(ctx context.Context, pid int, ended <-chan struct{}) error {
	late := time.After(startTimeout)
	for {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v1/ready", a.admin))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ended:
			return errors.New("the agent ended before it served")
		case <-late:
			return fmt.Errorf("the agent does not serve after %v", startTimeout)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	// Another name first: the restarting shell reads the file at any time.
	if err := os.WriteFile(a.path("pid.new"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return err
	}
	return os.Rename(a.path("pid.new"), a.path("pid"))
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
