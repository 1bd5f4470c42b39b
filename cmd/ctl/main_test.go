package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"helenus/agent/admin"
	"helenus/agent/job"
	"helenus/ctl"
	"helenus/internal/metrics"
	"helenus/internal/report"
	"helenus/store/vfs"
)

// backend is a node with one keyspace, ks.
func backend() admin.Backend {
	known := func(keyspace string) error {
		if keyspace != "" && keyspace != "ks" {
			return report.Errorf(report.NotFound, "Keyspace [%s] does not exist.", keyspace)
		}
		return nil
	}
	ring := func(_ context.Context, r report.KeyspaceRequest) (report.Ring, error) {
		load, owns := int64(2048), 1.0
		return report.Ring{Effective: true, Members: []report.Member{{Address: "127.0.0.1", Port: 7000, HostID: "id", Datacenter: "dc1",
			Rack: "r1", Liveness: report.Up, Movement: report.Normal, LoadBytes: &load, TokenCount: 1, Tokens: []string{"0"}, Owns: &owns}}}, known(r.Keyspace)
	}
	return admin.Backend{
		Status: ring,
		Ring:   ring,
		Info: func(context.Context, report.Empty) (report.Info, error) {
			return report.Info{HostID: "id", BootstrapState: "COMPLETED", Tokens: []string{"0"}}, nil
		},
		Cluster: func(context.Context, report.Empty) (report.Cluster, error) { return report.Cluster{Name: "lab"}, nil },
		Endpoints: func(_ context.Context, r report.KeyRequest) (report.Endpoints, error) {
			return report.Endpoints{Addresses: []string{r.Key}}, known(r.Keyspace)
		},
		Version: func(context.Context, report.Empty) (report.Version, error) {
			return report.Version{Release: "5.0.9"}, nil
		},
		Flush: func(_ context.Context, r report.TablesRequest) (report.Empty, error) {
			return report.Empty{}, known(r.Keyspace)
		},
		Compact: func(_ context.Context, r report.TablesRequest, _ *job.Progress) error { return known(r.Keyspace) },
	}
}

// ringBackend answers for gossip, hints and metadata.
func ringBackend(b admin.Backend) admin.Backend {
	b.Ranges = func(_ context.Context, r report.KeyspaceRequest) (report.TokenRanges, error) {
		if r.Keyspace != "ks" {
			return report.TokenRanges{}, report.Errorf(report.NotFound, "No such keyspace: %s", r.Keyspace)
		}
		return report.TokenRanges{SchemaVersion: "v"}, nil
	}
	b.GossipInfo = func(context.Context, report.Empty) (report.GossipInfo, error) {
		return report.GossipInfo{Nodes: []report.GossipNode{{Address: "127.0.0.1", Port: 7000, Generation: 5, Heartbeat: 6}}}, nil
	}
	b.FailureDetector = func(context.Context, report.Empty) (report.FailureDetector, error) {
		return report.FailureDetector{Nodes: []report.Suspicion{{Address: "127.0.0.2", Port: 7000, Phi: 0.5}}}, nil
	}
	b.GossipService = func(context.Context, report.Empty) (report.Service, error) { return report.Service{Running: true}, nil }
	b.NativeService = func(context.Context, report.Empty) (report.Service, error) { return report.Service{}, nil }
	b.Seeds = func(context.Context, report.Empty) (report.Seeds, error) {
		return report.Seeds{Addresses: []string{"127.0.0.2:7000"}}, nil
	}
	b.ReloadSeeds = func(context.Context, report.Empty) (report.Seeds, error) { return report.Seeds{}, nil }
	b.HintSettings = func(context.Context, report.Empty) (report.HintSettings, error) {
		return report.HintSettings{DisabledDatacenters: []string{"dc2"}, WindowMillis: 10800000}, nil
	}
	b.ChangeHints = func(_ context.Context, r report.HintChange) (report.HintSettings, error) {
		var out report.HintSettings
		if r.Enabled != nil {
			out.Enabled = *r.Enabled
		}
		if r.Paused != nil {
			out.Paused = *r.Paused
		}
		if r.WindowMillis != nil {
			out.WindowMillis = *r.WindowMillis
		}
		if r.ThrottleKiBPerSec != nil {
			out.ThrottleKiBPerSec = *r.ThrottleKiBPerSec
		}
		if r.Datacenter != nil {
			out.DisabledDatacenters = []string{fmt.Sprint(r.Datacenter.Name, r.Datacenter.Enabled)}
		}
		return out, nil
	}
	b.PendingHints = func(context.Context, report.Empty) (report.HintList, error) { return report.HintList{}, nil }
	b.TruncateHints = func(_ context.Context, r report.HintsRequest) (report.Empty, error) {
		if len(r.Addresses) > 0 {
			return report.Empty{}, report.Errorf(report.NotFound, "no node at %s", r.Addresses[0])
		}
		return report.Empty{}, nil
	}
	b.Metadata = func(context.Context, report.Empty) (report.Metadata, error) { return report.Metadata{Epoch: 7}, nil }
	return b
}

// line is a command line, and how it must end.
type line struct {
	text string
	code int
	want string
}

// runLines runs each line against the real admin server.
func runLines(t *testing.T, backend admin.Backend, lines []line) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	journal, err := job.Open(fs, "/d", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	s, err := admin.New(admin.Options{Journal: journal, Registry: metrics.New(), Log: quiet}, admin.NodeOperations(backend))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range lines {
		t.Run(tt.text, func(t *testing.T) {
			var out bytes.Buffer
			code := ctl.Run(context.Background(), ctl.Env{Args: append(strings.Fields(tt.text), "-p", port), Out: &out, Err: &out})
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("code %d\n%s", code, out.String())
			}
		})
	}
}

func TestVerbsOverTheAdminAPI(t *testing.T) {
	runLines(t, backend(), []line{
		{"status", 0, "UN  127.0.0.1  2 KiB  1       100.0%            id       r1  "},
		{"status nope", 1, "The keyspace nope, does not exist"},
		{"ring ks", 0, "127.0.0.1       r1          Up     Normal  2 KiB           100.00%             0"},
		{"info", 0, "Token                  : 0"},
		{"describecluster", 0, "\tName: lab\n"},
		{"getendpoints ks t a%b/c?d&e=f", 0, "a%b/c?d&e=f\n"},
		{"getendpoints nope t k", 1, "ctl: Keyspace [nope] does not exist."},
		{"version", 0, "ReleaseVersion: 5.0.9\n"},
		{"flush ks t", 0, ""},
		{"flush nope", 1, "ctl: Keyspace [nope] does not exist."},
		{"compact ks t", 0, ""},
		{"compact nope", 1, "compact of nope: failed: Keyspace [nope] does not exist."},
		{"jobs", 0, "ks.t"},
		{"jobs cancel x", 1, "no job x"},
		{"status -o json", 0, `"load_bytes": 2048`},
		{"status -o yaml", 0, "load_bytes: 2048"},
	})
}

func TestRingVerbsOverTheAdminAPI(t *testing.T) {
	runLines(t, ringBackend(backend()), []line{
		{"describering ks", 0, "Schema Version:v\nTokenRange: \n"},
		{"describering nope", 1, "ctl: No such keyspace: nope"},
		{"gossipinfo", 0, "/127.0.0.1\n  generation:5\n  heartbeat:6\n  TOKENS: not present\n"},
		{"failuredetector -pp", 0, "  Endpoint,             Phi\n/127.0.0.2:7000,      0.50000000\n"},
		{"statusgossip", 0, "running\n"},
		{"statusbinary", 0, "not running\n"},
		{"getseeds", 0, "Current list of seed node IPs, excluding the current node's IP: /127.0.0.2:7000\n"},
		{"reloadseeds", 0, "Seed node list does not contain any remote node IPs\n"},
		{"statushandoff", 0, "Hinted handoff is not running\nData center dc2 is disabled\n"},
		{"getmaxhintwindow", 0, "Current max hint window: 10800000 ms\n"},
		{"enablehandoff -o json", 0, `"enabled": true`},
		{"disablehandoff -o json", 0, `"enabled": false`},
		{"pausehandoff -o json", 0, `"paused": true`},
		{"resumehandoff -o json", 0, `"paused": false`},
		{"enablehintsfordc dc2 -o json", 0, `"dc2true"`},
		{"disablehintsfordc dc2 -o json", 0, `"dc2false"`},
		{"setmaxhintwindow 5 -o json", 0, `"window_millis": 5`},
		{"sethintedhandoffthrottlekb 5 -o json", 0, `"throttle_kib_per_sec": 5`},
		{"listpendinghints", 0, "This node does not have any pending hints\n"},
		{"truncatehints", 0, ""},
		{"truncatehints 127.0.0.9", 1, "ctl: no node at 127.0.0.9"},
		{"metadata status", 0, "Epoch            : 7\n"},
		{"metadata recover --yes", 1, "ctl: not on this node yet: recover_metadata"},
	})
}
