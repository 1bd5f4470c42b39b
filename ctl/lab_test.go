package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"helenus/internal/report"
)

// agentMode makes the test binary play helenus-agent: "serve", "die" or "deaf"
// (it does not listen to SIGTERM).
const agentMode = "CTL_TEST_AGENT"

func TestMain(m *testing.M) {
	if mode := os.Getenv(agentMode); mode != "" {
		os.Exit(playAgent(mode))
	}
	os.Exit(m.Run())
}

// playAgent serves just what up looks for.
func playAgent(mode string) int {
	if mode == "die" {
		fmt.Println("FATAL: the disk is made of cheese")
		return 3
	}
	at, err := lab{filepath.Dir(os.Args[2])}.configure(addresses{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cql, err := net.Listen("tcp", at.cql())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go answerOptions(cql)
	go func() {
		_ = http.ListenAndServe(at.admin(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(report.Ready{PID: os.Getpid(), CQLAddress: at.cql()})
		}))
	}()
	stop := make(chan os.Signal, 1)
	if mode == "deaf" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(stop, syscall.SIGTERM)
	}
	<-stop
	return 0
}

// answerOptions answers every frame with SUPPORTED.
func answerOptions(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		var header [9]byte
		if _, err := io.ReadFull(conn, header[:]); err == nil {
			header[0], header[4] = 0x84, 0x06
			_, _ = conn.Write(header[:])
		}
		conn.Close()
	}
}

// bench is a lab folder with two free ports.
type bench struct {
	t     *testing.T
	dir   string
	cql   int
	admin int
}

func newBench(t *testing.T, mode string) *bench {
	t.Setenv(agentMode, mode)
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "lab"), cql: freeTestPort(t), admin: freeTestPort(t)}
	t.Cleanup(func() {
		if p, alive, err := (lab{b.dir}).running(); err == nil && alive {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	})
	return b
}

func freeTestPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// ctl runs a command line in the lab and keeps what it printed.
func (b *bench) ctl(line string, wantCode int) string {
	b.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	args := append(strings.Fields(line), "--dir", b.dir)
	if strings.HasPrefix(line, "up") {
		args = append(args, "-p", strconv.Itoa(b.admin), "--cql-port", strconv.Itoa(b.cql), "--agent", exe)
	}
	var out bytes.Buffer
	code := Run(context.Background(), Env{Args: args, Out: &out, Err: &out, Exe: exe})
	if code != wantCode {
		b.t.Fatalf("ctl %s: code %d, want %d\n%s", line, code, wantCode, out.String())
	}
	return out.String()
}

func (b *bench) wants(got string, parts ...string) {
	b.t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			b.t.Errorf("no %q in\n%s", part, got)
		}
	}
}

func TestUpAndDown(t *testing.T) {
	b := newBench(t, "serve")
	b.wants(b.ctl("down", 0), "There is no lab")
	out := b.ctl("up", 0)
	first, alive, err := lab{b.dir}.running()
	if err != nil || !alive {
		t.Fatalf("alive %v, error %v", alive, err)
	}
	b.wants(out, fmt.Sprintf("Helenus is up: process %d", first.PID), fmt.Sprintf("cqlsh 127.0.0.1 %d", b.cql),
		fmt.Sprintf("ctl -p %d status", b.admin))
	b.wants(out, "End it with ctl down --dir "+b.dir)
	b.wants(b.ctl("up", 0), fmt.Sprintf("Helenus is up already: process %d", first.PID))
	b.wants(b.ctl("up -o json", 0), `"already": true`, fmt.Sprintf(`"pid": %d`, first.PID), fmt.Sprintf(`"cql_address": "127.0.0.1:%d"`, b.cql))
	b.wants(b.ctl("down", 0), "Helenus is down")
	if first.alive() {
		t.Error("the process is still there")
	}
	b.wants(b.ctl("down", 0), "is not running")
	b.wants(b.ctl("down -o yaml", 0), "state: down\nalready: true\n")
	// The configuration stays, and no flag quietly differs from it.
	admin := b.admin
	b.admin = freeTestPort(t)
	b.wants(b.ctl("up", 1), fmt.Sprintf("says port %d, --port says %d", admin, b.admin))
}

// TestDownLeavesStrangersAlone: a process with the number in the file, but not the one.
func TestDownLeavesStrangersAlone(t *testing.T) {
	b := newBench(t, "serve")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"pid": %d, "started": "long ago"}`, os.Getpid())
	if err := os.WriteFile(filepath.Join(b.dir, "agent.pid"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("down", 0), "is not running") // this test would not get here otherwise
}

func TestUpNamesTheOwnerOfAPort(t *testing.T) {
	b := newBench(t, "serve")
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.cql)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out := b.ctl("up", 1)
	b.wants(out, fmt.Sprintf("CQL: 127.0.0.1:%d is taken", b.cql))
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		b.wants(out, fmt.Sprintf("by process %d: ", os.Getpid()))
	}
	// A port that cannot be is not written down, so that another one may follow.
	b.cql = 99999
	b.wants(b.ctl("up", 1), "CQL: 99999 is not a port")
	b.cql = freeTestPort(t)
	b.wants(b.ctl("up", 0), "Helenus is up")
	b.ctl("down", 0)
}

func TestUpTellsWhyTheAgentEnded(t *testing.T) {
	b := newBench(t, "die")
	b.wants(b.ctl("up", 2), "the disk is made of cheese")
	b.wants(b.ctl("down", 0), "is not running")
}

func TestDownDoesNotKill(t *testing.T) {
	b := newBench(t, "deaf")
	b.ctl("up", 0)
	b.wants(b.ctl("down --timeout 200ms", 2), "still runs after 200ms", "agent.log")
	if _, alive, err := (lab{b.dir}).running(); err != nil || !alive {
		t.Errorf("alive %v, error %v", alive, err)
	}
}

func TestOneAtATime(t *testing.T) {
	b := newBench(t, "serve")
	unlock, err := lab{b.dir}.open()
	if err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("up", 1), "another ctl is at work")
	unlock()
}

func TestBadConfiguration(t *testing.T) {
	b := newBench(t, "serve")
	for text, want := range map[string]string{"a: [": "line 1", "- x": "want keys", "admin_port: many": "helenus.yaml:1: many is not a port"} {
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "helenus.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		b.wants(b.ctl("up", 1), want)
	}
}
