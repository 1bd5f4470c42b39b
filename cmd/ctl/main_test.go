package main

import (
	"bytes"
	"context"
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

// TestVerbsOverTheAdminAPI runs each verb against the real admin server.
func TestVerbsOverTheAdminAPI(t *testing.T) {
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
	s, err := admin.New(admin.Options{Journal: journal, Registry: metrics.New(), Log: quiet}, admin.NodeOperations(backend()))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line string
		code int
		want string
	}{
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
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			var out bytes.Buffer
			code := ctl.Run(context.Background(), ctl.Env{Args: append(strings.Fields(tt.line), "-p", port), Out: &out, Err: &out})
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("code %d\n%s", code, out.String())
			}
		})
	}
}
