package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"helenus/agent/config"
	"helenus/internal/cql/client"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// running is an Agent that serves on ports of the kernel's choice.
type running struct {
	*Agent
	*client.Conn
	t    *testing.T
	stop func()
}

// portZero listens where the kernel likes, and tells where clients are served.
type portZero chan net.Addr

func (p portZero) Listen(_ context.Context, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if _, port, _ := net.SplitHostPort(address); err == nil && port == "9042" {
		p <- ln.Addr()
	}
	return ln, err
}

func (portZero) ListenPacket(context.Context, string) (net.PacketConn, error) {
	return net.ListenPacket("udp", "127.0.0.1:0")
}

func (portZero) Dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// bytesOfChance gives other bytes each time, and the same in each run.
func bytesOfChance() func([]byte) {
	var n atomic.Uint64
	return func(b []byte) {
		for i := 0; i < len(b); i += sha256.Size {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n.Add(1)))
			copy(b[i:], sum[:])
		}
	}
}

// start opens an agent on a disk, with settings as name=value.
func start(t *testing.T, disk vfs.FS, settings ...string) *running {
	t.Helper()
	flags := map[string]string{"cluster_name": "assembled", "num_tokens": "4", "listen_address": "127.0.0.1", "rpc_address": "127.0.0.1",
		"data_file_directories": "/data", "commitlog_directory": "/log", "memory_limit": "256MiB", "commitlog_segment_size": "1MiB"}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		flags[name] = value
	}
	loaded, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	addresses := make(portZero, 1)
	a, err := New(loaded.Config, Env{FS: disk, Net: addresses, Now: time.Now, Rand: bytesOfChance(), Log: slog.New(slog.DiscardHandler),
		Metrics: metrics.New(), Build: "test", PID: 7, Settings: loaded.Origins})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r := &running{Agent: a, t: t}
	r.Conn, err = client.Connect(ctx, (<-addresses).String(), client.Config{DriverName: "ours",
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		r.Conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// cql runs statements and gives the rows of the last, as literals.
func (r *running) cql(texts ...string) string {
	r.t.Helper()
	var out strings.Builder
	for _, text := range texts {
		res, err := r.Query(r.t.Context(), text)
		if err != nil {
			r.t.Fatalf("%s: %v", text, err)
		}
		rows, err := res.All()
		if err != nil {
			r.t.Fatalf("%s: %v", text, err)
		}
		out.Reset()
		for _, row := range rows {
			for i, c := range row {
				fmt.Fprint(&out, strings.Repeat(" ", min(i, 1)), res.Rows.Columns[i].Type.FormatLiteral(c))
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (r *running) wants(text, want string) {
	r.t.Helper()
	if got := r.cql(text); got != want {
		r.t.Errorf("%s:\n%swant\n%s", text, got, want)
	}
}

// ask sends a request to the admin API: a path to read, or a path and a body.
func (r *running) ask(path, body string) (int, string) {
	method := "GET"
	if body != "" {
		method = "POST"
	}
	req := httptest.NewRequest(method, "http://127.0.0.1:7199/v1"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	r.admin.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

const keyspaceKS = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"

// What was written is there in the next life of the same disk: rows that were
// flushed, rows that are only in the log, the schema, and who the node is.
func TestRestart(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, disk)
	r.cql(keyspaceKS, "CREATE TABLE ks.t (k int, c int, v text, PRIMARY KEY (k, c))", "INSERT INTO ks.t (k, c, v) VALUES (1, 1, 'flushed')",
		"INSERT INTO ks.t (k, c, v) VALUES (1, 2, 'gone')")
	if code, body := r.ask("/flush", `{"keyspace": "ks"}`); code != 200 {
		t.Fatal(code, body)
	}
	r.cql("INSERT INTO ks.t (k, c, v) VALUES (1, 3, 'in the log')", "DELETE FROM ks.t WHERE k = 1 AND c = 2",
		"UPDATE ks.t SET v = 'later' WHERE k = 1 AND c = 3 IF v = 'in the log'", "ALTER TABLE ks.t ADD w int")
	who := r.cql("SELECT host_id, tokens, schema_version FROM system.local")
	const rows = "1 1 'flushed' null\n1 3 'later' null\n"
	r.wants("SELECT * FROM ks.t", rows)
	for range 2 {
		r.stop()
		r = start(t, disk)
		r.wants("SELECT * FROM ks.t", rows)
		r.wants("SELECT host_id, tokens, schema_version FROM system.local", who)
	}
}

// Two agents cannot work on one disk, and a failed start leaves nothing behind
// that the next one trips over.
func TestOneAgentPerDisk(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, disk)
	if _, err := New(r.cfg, r.env); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Fatalf("a second agent: %v", err)
	}
	r.cql(keyspaceKS)
	r.stop()
	cfg := r.cfg
	cfg.Partitioner = "RandomPartitioner"
	if _, err := New(cfg, r.env); err == nil || !strings.Contains(err.Error(), "artitioner") {
		t.Fatalf("another partitioner: %v", err)
	}
	start(t, disk).wants("SELECT durable_writes FROM system_schema.keyspaces WHERE keyspace_name = 'ks'", "true\n")
}

// packetsTaken is a network on which the storage port is free by TCP and taken
// by UDP.
type packetsTaken struct{ portZero }

func (packetsTaken) ListenPacket(_ context.Context, address string) (net.PacketConn, error) {
	return nil, &net.OpError{Op: "listen", Net: "udp", Err: fmt.Errorf("%s: %w", address, syscall.EADDRINUSE)}
}

// A node that could not gossip does not become a member: it ends before it asks
// anybody.
func TestTakenPacketPort(t *testing.T) {
	loaded, err := config.Load(config.Sources{Flags: map[string]string{"cluster_name": "assembled", "listen_address": "127.0.0.1", "rpc_address": "127.0.0.1",
		"data_file_directories": "/data", "commitlog_directory": "/log", "memory_limit": "256MiB", "seed_provider": "127.0.0.9"}})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a, err := New(loaded.Config, Env{FS: vfs.NewMem(), Net: packetsTaken{make(portZero, 1)}, Now: time.Now, Rand: bytesOfChance(),
		Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics.New()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for a node that does not end by itself
	defer cancel()
	err = a.Run(ctx)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "by UDP (listen_address, storage_port)") || !strings.Contains(err.Error(), "127.0.0.1:7000") {
		t.Errorf("Run: %v", err)
	}
	if strings.Contains(log.String(), "no cluster yet") {
		t.Errorf("it has asked for a cluster:\n%s", log.String())
	}
}
