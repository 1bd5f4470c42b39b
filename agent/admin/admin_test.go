package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus/agent/job"
	"helenus/internal/metrics"
	"helenus/internal/report"
	"helenus/store/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// backend answers what was asked, so that tests see how requests arrive.
func backend() Backend {
	return Backend{
		Ready: func(context.Context, report.Empty) (report.Ready, error) {
			return report.Ready{}, report.Errorf(report.Conflict, "replaying the commit log")
		},
		Status: func(_ context.Context, r report.KeyspaceRequest) (report.Ring, error) {
			if r.Keyspace == "nope" {
				return report.Ring{}, report.Errorf(report.NotFound, "no keyspace %s", r.Keyspace)
			}
			return report.Ring{Keyspace: r.Keyspace}, nil
		},
		Endpoints: func(_ context.Context, r report.KeyRequest) (report.Endpoints, error) {
			return report.Endpoints{Addresses: []string{r.Keyspace, r.Table, r.Key}}, nil
		},
		Version: func(context.Context, report.Empty) (report.Version, error) {
			return report.Version{}, errors.New("commitlog: sync: input/output error")
		},
		Info: func(ctx context.Context, _ report.Empty) (report.Info, error) {
			<-ctx.Done()
			return report.Info{}, ctx.Err()
		},
		Flush: func(_ context.Context, r report.TablesRequest) (report.Empty, error) {
			return report.Empty{}, report.Errorf(report.Invalid, "%s %v", r.Keyspace, r.Tables)
		},
		Compact: func(_ context.Context, _ report.TablesRequest, p *job.Progress) error {
			p.Begin(10, "bytes")
			p.Add(10)
			return nil
		},
		Ring:    func(context.Context, report.KeyspaceRequest) (report.Ring, error) { return report.Ring{}, nil },
		Cluster: func(context.Context, report.Empty) (report.Cluster, error) { return report.Cluster{}, nil },
		ChangeHints: func(_ context.Context, r report.HintChange) (report.HintSettings, error) {
			out := report.HintSettings{Enabled: r.Enabled == nil || *r.Enabled}
			if r.Datacenter != nil {
				out.DisabledDatacenters = []string{r.Datacenter.Name}
			}
			return out, nil
		},
		TruncateHints: func(_ context.Context, r report.HintsRequest) (report.Empty, error) {
			return report.Empty{}, report.Errorf(report.NotFound, "no node at %v", r.Addresses)
		},
	}
}

// newServer makes a Server over a backend, with one counter and one histogram.
func newServer(t *testing.T) *Server {
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
	t.Cleanup(journal.Close)
	var writes metrics.Counter
	writes.Add(7)
	var latency, empty metrics.Histogram
	latency.Record(3)
	registry := metrics.New()
	err = registry.Register(metrics.CounterFact("writes", "Writes.", metrics.None, &writes),
		metrics.HistogramFact("latency", "Latency.", metrics.Microseconds, &latency),
		metrics.HistogramFact("unused", "Nothing came.", metrics.Microseconds, &empty))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Journal: journal, Registry: registry, Metrics: true, Log: quiet, Release: "5.0.9"}, NodeOperations(backend()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends one request; body "" is none, header lines are "Name: value".
func ask(s *Server, method, target, body string, headers ...string) (int, string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:7199"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRequests(t *testing.T) {
	s := newServer(t)
	big := `{"keyspace": "` + strings.Repeat("x", bodyBytesMax) + `"}`
	tests := []struct {
		name, method, target, body string
		headers                    []string
		code                       int
		want                       string
	}{
		{"query", "GET", "/v1/status?keyspace=ks", "", nil, 200, `"keyspace":"ks"`},
		{"query with more fields", "GET", "/v1/endpoints?keyspace=ks&table=t&key=a%3Ab", "", nil, 200, `["ks","t","a:b"]`},
		{"not on this node", "GET", "/v1/metadata", "", nil, 501, `{"error":{"kind":"unsupported","message":"not on this node yet: metadata"}}`},
		{"not on this node, with a body", "POST", "/v1/metadata/recover", "{}", nil, 501, "not on this node yet: recover_metadata"},
		{"change of one thing", "POST", "/v1/hints/settings", `{"enabled": false}`, nil, 200, `"enabled":false`},
		{"change of another", "POST", "/v1/hints/settings", `{"datacenter": {"name": "dc1", "enabled": false}}`, nil, 200, `"enabled":true,"paused":false,"disabled_datacenters":["dc1"]`},
		{"change of the unknown", "POST", "/v1/hints/settings", `{"enabld": false}`, nil, 400, "unknown field"},
		{"list in a body", "POST", "/v1/hints/truncate", `{"addresses": ["a", "b"]}`, nil, 404, "no node at [a b]"},
		{"unknown parameter", "GET", "/v1/status?keyspac=ks", "", nil, 400, `unknown parameter \"keyspac\"`},
		{"parameter twice", "GET", "/v1/status?keyspace=a&keyspace=b", "", nil, 400, "2 times"},
		{"not found", "GET", "/v1/status?keyspace=nope", "", nil, 404, `{"error":{"kind":"not_found","message":"no keyspace nope"}}`},
		{"not ready", "GET", "/v1/ready", "", nil, 409, "replaying"},
		{"failure", "GET", "/v1/version", "", nil, 500, `{"error":{"kind":"internal","message":"commitlog: sync: input/output error"}}`},
		{"body", "POST", "/v1/flush", `{"keyspace": "ks", "tables": ["a", "b"]}`, nil, 400, "ks [a b]"},
		{"no body", "POST", "/v1/flush", "", nil, 400, `"kind":"invalid"`},
		{"unknown field", "POST", "/v1/flush", `{"keyspce": "ks"}`, nil, 400, "unknown field"},
		{"two bodies", "POST", "/v1/flush", `{} {}`, nil, 400, "more than one value"},
		{"not JSON", "POST", "/v1/flush", `x`, nil, 400, "body: "},
		{"a form", "POST", "/v1/flush", `x=1`, []string{"Content-Type: application/x-www-form-urlencoded"}, 400, "want Content-Type"},
		{"too large", "POST", "/v1/flush", big, nil, 400, "too large"},
		{"wrong method", "GET", "/v1/flush", "", nil, 404, "no operation GET /v1/flush"},
		{"unknown path", "GET", "/v1/x", "", nil, 404, "no operation"},
		{"no such job", "GET", "/v1/jobs/x", "", nil, 404, "no job x"},
		{"cancel no such job", "POST", "/v1/jobs/x/cancel", "", nil, 404, "no job x"},
		{"metrics", "GET", "/metrics", "", nil, 200, "helenus_writes_total 7"},
		{"rebound name", "GET", "/v1/status", "", []string{"Host: evil.example:7199"}, 403, "not a loopback name"},
		{"rebound name of metrics", "GET", "/metrics", "", []string{"Host: evil.example"}, 403, "not a loopback name"},
		{"address of a network", "GET", "/v1/status", "", []string{"Host: 10.0.0.1:7199"}, 403, "not a loopback name"},
		{"localhost", "GET", "/v1/status", "", []string{"Host: localhost:7199"}, 200, ""},
		{"IPv6", "GET", "/v1/status", "", []string{"Host: [::1]:7199"}, 200, ""},
		{"another loopback address", "GET", "/v1/status", "", []string{"Host: 127.0.8.1"}, 200, ""},
		{"other origin", "POST", "/v1/flush", "{}", []string{"Origin: http://evil.example"}, 403, "other sites"},
		{"other port's origin", "POST", "/v1/flush", "{}", []string{"Origin: http://127.0.0.1:8080"}, 403, "other sites"},
		{"opaque origin", "POST", "/v1/flush", "{}", []string{"Origin: null"}, 403, "other sites"},
		{"own origin", "POST", "/v1/flush", "{}", []string{"Origin: http://127.0.0.1:7199"}, 400, `"kind":"invalid"`},
		{"cross-site", "GET", "/v1/status", "", []string{"Sec-Fetch-Site: cross-site"}, 403, "other sites"},
		{"typed into the browser", "GET", "/v1/status", "", []string{"Sec-Fetch-Site: none"}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body := ask(s, tt.method, tt.target, tt.body, tt.headers...)
			if code != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("%d %.300s\nwant %d with %s", code, body, tt.code, tt.want)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		began := time.Now()
		code, body := ask(s, "GET", "/v1/info", "")
		if took := time.Since(began); code != 504 || !strings.Contains(body, "timeout") || took != deadlineDefault {
			t.Errorf("%d %s after %s", code, body, took)
		}
	})
}

func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		code, body := ask(s, "POST", "/v1/compact", `{"keyspace": "ks", "tables": ["a", "b"]}`)
		var one report.Job
		if err := json.Unmarshal([]byte(body), &one); err != nil || code != 202 || one.Target != "ks.a,ks.b" || one.Kind != "compact" {
			t.Fatalf("%d %s %v", code, body, err)
		}
		synctest.Wait()
		code, body = ask(s, "GET", "/v1/jobs/"+one.ID, "")
		if code != 200 || !strings.Contains(body, `"state":"done","done":10,"total":10,"unit":"bytes"`) {
			t.Errorf("%d %s", code, body)
		}
		if code, body = ask(s, "GET", "/v1/jobs", ""); code != 200 || !strings.Contains(body, one.ID) {
			t.Errorf("%d %s", code, body)
		}
		if code, body = ask(s, "POST", "/v1/jobs/"+one.ID+"/cancel", ""); code != 409 || !strings.Contains(body, "is done") {
			t.Errorf("%d %s", code, body)
		}
	})
}

func TestFacts(t *testing.T) {
	_, body := ask(newServer(t), "GET", "/v1/facts", "")
	want := `{"facts":[` +
		`{"name":"latency","help":"Latency.","unit":"microseconds","kind":"histogram","values":[{"number":3,"count":1,` +
		`"percentiles":{"50":3,"75":3,"95":3,"98":3,"99":3,"max":3}}]},` +
		`{"name":"unused","help":"Nothing came.","unit":"microseconds","kind":"histogram","values":[{"number":0}]},` +
		`{"name":"writes","help":"Writes.","kind":"counter","values":[{"number":7}]}]}` + "\n"
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestOpenAPI(t *testing.T) {
	_, body := ask(newServer(t), "GET", "/openapi.json", "")
	const golden = "testdata/openapi.json"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || body != string(want) {
		t.Errorf("the API changed (%v): a line in CHANGELOG.md, then go test ./agent/admin -rewrite", err)
	}
	if refs := bytes.Count(want, []byte("$ref")); refs < 20 {
		t.Errorf("only %d references", refs)
	}
}

func TestTableIsChecked(t *testing.T) {
	s := newServer(t)
	run := func(context.Context, any) (any, error) { return nil, nil }
	for name, ops := range map[string][]Operation{
		"twice":      NodeOperations(Backend{Ring: backend().Ring, Status: backend().Ring})[:1],
		"no run":     {{Name: "x", Method: "GET", Path: "/x", Request: report.Empty{}}},
		"no request": {{Name: "x", Method: "GET", Path: "/x", Run: run}},
	} {
		if name == "twice" {
			ops = append(ops, ops[0])
		}
		if _, err := New(s.opt, ops); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRun serves a real socket and ends while a request runs.
func TestRun(t *testing.T) {
	s := newServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		t.Errorf("%d %s %v", resp.StatusCode, text, err)
	}
	resp.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHostFacts(t *testing.T) {
	seen := map[string]float64{}
	for _, f := range HostFacts([]string{t.TempDir(), "/does/not/exist"}) {
		f.Read(func(v metrics.Value) { seen[f.Name] += v.Number })
	}
	if seen["host_memory_total"] < seen["host_memory_available"] || seen["host_disk_free"] <= 0 || seen["host_disk_total"] < seen["host_disk_free"] {
		t.Errorf("%v", seen)
	}
}
