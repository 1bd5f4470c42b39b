package agent

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helenus/agent/config"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// A generation follows the clock, rises over a clock that was set back, and is
// refused where no other node would believe it; the file is then as it was.
func TestGeneration(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		clock time.Time
		want  int64 // 0: refused
	}{
		{at, at.Unix()},
		{at, at.Unix() + 1},
		{at.AddDate(0, 0, 1), at.AddDate(0, 0, 1).Unix()},
		{at, at.AddDate(0, 0, 1).Unix() + 1},
		{at.AddDate(-1, -1, 0), 0},
		{time.Unix(0, 0), 0},
		{at, at.AddDate(0, 0, 1).Unix() + 2},
	} {
		got, err := nextGeneration(disk, "/d", step.clock)
		if got != step.want || (err == nil) != (step.want != 0) {
			t.Errorf("at %v: %d, %v, want %d", step.clock, got, err, step.want)
		}
		if err != nil && !strings.Contains(err.Error(), "correct the clock, or remove the file") {
			t.Error(err)
		}
	}
	if err := vfs.WriteFile(disk, filepath.Join("/d", "generation"), []byte("4070908800\n")); err != nil {
		t.Fatal(err)
	}
	const want = "/d/generation: the last start was at 2099-01-01T00:00:00Z, and the clock says 2026-01-02T03:04:05Z"
	if _, err := nextGeneration(disk, "/d", at); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// located tells where it listens for other nodes, and answers as an EC2
// instance's metadata service does.
type located struct {
	portZero
	storage chan net.Addr
	zone    string
}

func (l *located) Listen(ctx context.Context, address string) (net.Listener, error) {
	ln, err := l.portZero.Listen(ctx, address)
	if _, port, _ := net.SplitHostPort(address); err == nil && port == "7000" {
		l.storage <- ln.Addr()
	}
	return ln, err
}

func (l *located) Dial(ctx context.Context, address string) (net.Conn, error) {
	if !strings.HasPrefix(address, "169.254.169.254:") {
		return l.portZero.Dial(ctx, address)
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		r, err := http.ReadRequest(bufio.NewReader(there))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = io.WriteString(w, "token")
		case "/latest/meta-data/placement/availability-zone":
			_, _ = io.WriteString(w, l.zone)
		default:
			http.Error(w, "", http.StatusNotFound)
		}
		_ = w.Result().Write(there) // the client may have gone
	}()
	return here, nil
}

// onLocated makes an agent on such a network, with a file beside its
// configuration.
func onLocated(t *testing.T, n *located, rackDC string, settings map[string]string) *Agent {
	t.Helper()
	return onNet(t, n, n, rackDC, settings)
}

// onNet is onLocated with a network around it.
func onNet(t *testing.T, around Net, n *located, rackDC string, settings map[string]string) *Agent {
	t.Helper()
	flags := map[string]string{"cluster_name": "zones", "listen_address": "127.0.0.1", "rpc_address": "127.0.0.1",
		"data_file_directories": "/data", "commitlog_directory": "/log", "memory_limit": "256MiB"}
	maps.Copy(flags, settings)
	loaded, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	n.portZero, n.storage = make(portZero, 1), make(chan net.Addr, 1)
	random := bytesOfChance()
	if n.zone != "" {
		random(make([]byte, 1)) // another node has other ids
	}
	a, err := New(loaded.Config, Env{FS: vfs.NewMem(), Net: around, Now: time.Now, Rand: random, Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
		ReadFile: func(name string) ([]byte, error) {
			if name != "cassandra-rackdc.properties" || rackDC == "" {
				return nil, fs.ErrNotExist
			}
			return []byte(rackDC), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// A node in EC2 does not join a cluster whose zones have names of the other
// scheme; nobody hears of it.
func TestNamesOfZones(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var founder located
	first := onLocated(t, &founder, "dc=us-east\nrack=1b\n", map[string]string{"endpoint_snitch": "GossipingPropertyFileSnitch"})
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	seed := (<-founder.storage).String()
	joins := onLocated(t, &located{zone: "us-east-1a"}, "", map[string]string{"endpoint_snitch": "Ec2Snitch", "seed_provider": seed, "listen_address": "127.0.0.2"})
	err := joins.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "set ec2_naming_scheme in cassandra-rackdc.properties to legacy") {
		t.Errorf("Run: %v", err)
	}
	if n := len(first.cluster.State().Nodes); n != 1 || joins.cluster.State().Founded() {
		t.Errorf("%d members", n)
	}
}
