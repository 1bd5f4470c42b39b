package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"helenus/ctl/node"
	"helenus/internal/report"
)

// fakeNode answers as the Cassandra did whose nodetool output is in testdata.
type fakeNode struct {
	node.Node
	asked []any
	err   error
	jobs  []report.Job // the answers to Job, one after the other
	// members are the answer to Status; nil: that of the one Cassandra.
	members  []report.Member
	metadata report.Metadata
}

const hostID = "aada2338-38ed-4753-a09a-de486fb8d6e7"

func ptr[T any](v T) *T { return &v }

var ringTokens = strings.Fields(`-8460145693087416137 -6681511392263829008 -5585469492028890719 -4494172381336678459 -3649795733845516703
	-2209527503942933463 -1138026887602900651 -120175482860473635 697496449751877158 1773252330977456697 2509168023688350338
	3588540831135951996 4832060836816543968 5799425079895079467 7389429632408978105 9008452928106021402`)

func member() report.Member {
	return report.Member{Address: "127.0.9.1", Port: 7000, HostID: hostID, Datacenter: "datacenter1", Rack: "rack1", Liveness: report.Up,
		Movement: report.Normal, LoadBytes: ptr(int64(117443)), TokenCount: 16, Owns: ptr(1.0)}
}

func (f *fakeNode) Status(_ context.Context, keyspace string) (report.Ring, error) {
	f.asked = append(f.asked, keyspace)
	if f.members != nil {
		return report.Ring{Members: f.members}, f.err
	}
	return report.Ring{Effective: true, Members: []report.Member{member()}}, f.err
}

func (f *fakeNode) Ring(_ context.Context, keyspace string) (report.Ring, error) {
	f.asked = append(f.asked, keyspace)
	m := member()
	m.Tokens = append(m.Tokens, ringTokens...)
	return report.Ring{Effective: true, Members: []report.Member{m}}, f.err
}

func (f *fakeNode) Info(context.Context) (report.Info, error) {
	return report.Info{HostID: hostID, GossipActive: true, NativeActive: true, LoadBytes: 117443, UncompressedLoadBytes: 155566,
		Generation: 1795252906, UptimeSeconds: 420, HeapUsedBytes: 761759007, HeapMaxBytes: 1 << 30, Datacenter: "datacenter1", Rack: "rack1",
		Caches: []report.Cache{
			{Name: "key", Entries: 8, SizeBytes: 640, CapacityBytes: 51 << 20, Hits: 70, Requests: 77, SavePeriodSeconds: 14400},
			{Name: "row"},
			{Name: "counter", CapacityBytes: 25 << 20, SavePeriodSeconds: 7200},
			{Name: "network", SizeBytes: 8 << 20, CapacityBytes: 64 << 20},
		},
		Repaired: 1, Tokens: ringTokens, BootstrapState: "COMPLETED"}, f.err
}

func (f *fakeNode) Cluster(context.Context) (report.Cluster, error) {
	simple := func(name, factor string) report.Keyspace {
		return report.Keyspace{Name: name, Class: "SimpleStrategy", Options: map[string]string{"replication_factor": factor}}
	}
	return report.Cluster{Name: "peer", Snitch: "org.apache.cassandra.locator.GossipingPropertyFileSnitch", DynamicSnitch: true,
		Partitioner: "org.apache.cassandra.dht.Murmur3Partitioner",
		Schemas:     []report.SchemaVersion{{Version: "d03783d7-b468-3c1a-82f1-8e30b2edde8b", Addresses: []string{"127.0.9.1"}}},
		Live:        1, Datacenters: []report.DatacenterCount{{Name: "datacenter1", Nodes: 1}},
		Releases: []report.ReleaseCount{{Release: "5.0.9", Endpoints: []string{"127.0.9.1:7000"}}},
		Keyspaces: []report.Keyspace{simple("system_traces", "2"), simple("system_distributed", "3"), simple("system_auth", "1"),
			{Name: "system_schema", Class: "LocalStrategy"}, {Name: "system", Class: "LocalStrategy"}}}, f.err
}

func (f *fakeNode) Version(context.Context) (report.Version, error) {
	return report.Version{Release: "5.0.9", Build: "abc"}, f.err
}

func (f *fakeNode) Endpoints(_ context.Context, r report.KeyRequest) (report.Endpoints, error) {
	f.asked = append(f.asked, r)
	return report.Endpoints{Addresses: []string{"127.0.9.1", "127.0.9.2"}}, f.err
}

func (f *fakeNode) Flush(_ context.Context, r report.TablesRequest) error {
	f.asked = append(f.asked, r)
	return f.err
}

func (f *fakeNode) Compact(_ context.Context, r report.TablesRequest) (report.Job, error) {
	f.asked = append(f.asked, r)
	return report.Job{ID: "j1", Kind: "compact", Target: "ks", State: report.Running}, f.err
}

func (f *fakeNode) Job(_ context.Context, id string) (report.Job, error) {
	f.asked = append(f.asked, id)
	one := f.jobs[0]
	f.jobs = f.jobs[1:]
	return one, nil
}

func (f *fakeNode) Jobs(context.Context) ([]report.Job, error) { return f.jobs, f.err }

// run carries out a command line against a fake node.
func run(f *fakeNode, line string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), Env{Args: strings.Fields(line), Out: &stdout, Err: &stderr,
		Dial: func(address string) node.Node {
			f.asked = append(f.asked, address)
			return f
		},
		NameOf: func(address string) string { return "of-" + address }})
	return code, stdout.String(), stderr.String()
}

// TestNodetoolLayouts compares with what nodetool printed, byte for byte.
func TestNodetoolLayouts(t *testing.T) {
	for _, verb := range []string{"status", "info", "ring", "describecluster", "version"} {
		want, err := os.ReadFile("testdata/" + verb + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if code, got, errs := run(&fakeNode{}, verb); code != 0 || got != string(want) || errs != "" {
			t.Errorf("%s: code %d, %s\n%s\nwant\n%s", verb, code, errs, got, want)
		}
	}
}

func TestStatusOfSeveralDatacenters(t *testing.T) {
	a, b, d := member(), member(), member()
	a.Datacenter, a.Liveness, a.Movement, a.LoadBytes, a.Owns = "zurich", report.Down, report.Joining, nil, nil
	b.Address, b.Rack = "127.0.9.10", "rack10"
	d.Address, d.Liveness, d.Movement, d.Owns = "127.0.9.2", report.Unknown, report.Leaving, ptr(0.3333)
	var out bytes.Buffer
	c := command{printPort: true}
	c.statusLayout(&out, report.Ring{Effective: true, Members: []report.Member{a, b, d}})
	want := `Datacenter: datacenter1
=======================
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address          Load        Tokens  Owns (effective)  Host ID                               Rack  
?L  127.0.9.2:7000   114.69 KiB  16      33.3%             ` + hostID + `  rack1 
UN  127.0.9.10:7000  114.69 KiB  16      100.0%            ` + hostID + `  rack10

Datacenter: zurich
==================
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address          Load        Tokens  Owns (effective)  Host ID                               Rack  
DJ  127.0.9.1:7000   ?           16      ?                 ` + hostID + `  rack1 

`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	// What is not the share of the data is not shown as if it were.
	out.Reset()
	c.statusLayout(&out, report.Ring{Note: "no keyspaces", Members: []report.Member{d}})
	if got := out.String(); !strings.Contains(got, "Owns  Host ID") || !strings.Contains(got, " ?     "+hostID) || !strings.HasSuffix(got, "\n\nNote: no keyspaces\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestRingOrder(t *testing.T) {
	m, n := member(), member()
	m.Tokens, n.Tokens = []string{"-5", "10"}, []string{"9"}
	n.Address = "127.0.9.2"
	var got []string
	for _, o := range inRingOrder([]report.Member{m, n}) {
		got = append(got, o.token+"@"+o.owner.Address)
	}
	if want := "[-5@127.0.9.1 9@127.0.9.2 10@127.0.9.1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	m.Tokens = []string{"0a", "a0"}
	if got := inRingOrder([]report.Member{m, n}); got[0].token != "0a" || got[1].token != "9" {
		t.Errorf("byte-ordered: %v", got)
	}
}

func TestAddressOrder(t *testing.T) {
	for _, pair := range [][2]string{{"127.0.0.2", "127.0.0.10"}, {"127.0.0.2:7000", "127.0.0.10:7000"}, {"127.0.0.1:999", "127.0.0.1:7000"}, {"a", "b"}} {
		if !addressLess(pair[0], pair[1]) || addressLess(pair[1], pair[0]) {
			t.Errorf("%s is not before %s", pair[0], pair[1])
		}
	}
}

func TestFileSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 117443: "114.69 KiB",
		51 << 20: "51 MiB", 5 << 30: "5 GiB", 3 << 40: "3 TiB", 5000 << 40: "5000 TiB"} {
		if got := fileSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		line  string
		code  int
		asked string
		out   string
		err   string
	}{
		{"status ks", 0, "[127.0.0.1:7199 ks]", "UN", ""},
		{"-h 127.0.8.2 -p 7200 status", 0, "[127.0.8.2:7200 ]", "UN", ""},
		{"status -h ::1", 0, "[[::1]:7199 ]", "UN", ""},
		{"-pp status", 0, "[127.0.0.1:7199 ]", "127.0.9.1:7000", ""},
		{"getendpoints ks t a:b", 0, "[127.0.0.1:7199 {ks t a:b}]", "127.0.9.1\n127.0.9.2\n", ""},
		{"getreplicas ks t a", 0, "[127.0.0.1:7199 {ks t a}]", "127.0.9.1", ""},
		{"flush", 0, "[127.0.0.1:7199 { []}]", "", ""},
		{"flush ks a b", 0, "[127.0.0.1:7199 {ks [a b]}]", "", ""},
		{"flush -o json", 0, "", "{}\n", ""},
		{"info -T", 0, "", "Token                  : 9008452928106021402\nBootstrap", ""},
		{"version -v", 0, "", "ReleaseVersion: 5.0.9\nGitSHA: abc\n", ""},
		{"version -o json", 0, "", "{\n  \"release\": \"5.0.9\",\n  \"build\": \"abc\"\n}\n", ""},
		{"version -o yaml", 0, "", "release: 5.0.9\nbuild: abc\n", ""},
		{"version -o xml", 1, "", "", "unknown output"},
		{"getendpoints ks", 1, "", "", "ctl: getendpoints requires keyspace, table and partition key arguments\nSee 'ctl help'"},
		{"status a b", 1, "", "", "Found unexpected parameters: [b]"},
		{"bogus", 1, "", "", "Found unexpected parameters: [bogus]"},
		{"status --bogus", 1, "", "", "unknown flag: --bogus"},
		{"describering", 1, "", "", "ctl: Required parameters are missing: keyspace\nSee 'ctl help'"},
		{"enablehintsfordc", 1, "", "", "enablehintsfordc requires exactly one data center"},
		{"disablehintsfordc a b", 1, "", "", "disablehintsfordc requires exactly one data center"},
		{"setmaxhintwindow", 1, "", "", "Required parameters are missing: max_hint_window"},
		{"setmaxhintwindow x", 1, "", "", `max_hint_window: "x" is not a number from 0 to 2147483647`},
		{"setmaxhintwindow -- -5", 1, "", "", `"-5" is not a number`},
		{"sethintedhandoffthrottlekb 2147483648", 1, "", "", "throttle_in_kb: "},
		{"gossipinfo x", 1, "", "", "Found unexpected parameters: [x]"},
		{"metadata bogus", 1, "", "", `metadata status or metadata recover, not "bogus"`},
		{"metadata recover", 1, "", "", "then add --yes"},
		{"status -r", 0, "", "UN  of-127.0.9.1  114.69 KiB", ""},
		{"ring -r -pp", 0, "", "of-127.0.9.1:7000  rack1", ""},
		{"--help", 0, "", "describecluster", ""},
		{"jobs", 0, "", "There are no jobs.\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			f := &fakeNode{}
			code, out, errs := run(f, tt.line)
			if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(errs, tt.err) {
				t.Errorf("code %d\n%s%s", code, out, errs)
			}
			if asked := fmt.Sprint(f.asked); tt.asked != "" && asked != tt.asked {
				t.Errorf("asked %s, want %s", asked, tt.asked)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	notFound := report.Errorf(report.NotFound, "Keyspace [nope] does not exist.")
	tests := []struct {
		line     string
		err      error
		code     int
		out, msg string
	}{
		{"flush nope", notFound, 1, "", "ctl: Keyspace [nope] does not exist.\nSee 'ctl help' or 'ctl help <command>'.\n"},
		{"status nope", notFound, 1, "\nError: The keyspace nope, does not exist\n", ""},
		{"ring nope", notFound, 1, "\nError: The keyspace nope, does not exist\n", ""},
		{"status nope -o json", notFound, 1, "", "does not exist."},
		{"info", report.Errorf(report.Internal, "disk"), 2, "", "error: disk\n"},
		{"info", errors.New("strange"), 2, "", "error: strange\n"},
		{"info", &node.Unreachable{Address: "h:1", Cause: errors.New("refused")}, 1, "", "ctl: Failed to connect to 'h:1': refused\n"},
	}
	for _, tt := range tests {
		code, out, errs := run(&fakeNode{err: tt.err}, tt.line)
		if code != tt.code || out != tt.out && tt.out != "" || !strings.Contains(errs, tt.msg) {
			t.Errorf("%s: code %d, out %q, err %q", tt.line, code, out, errs)
		}
	}
}

func TestCompactWaits(t *testing.T) {
	running := report.Job{ID: "j1", Kind: "compact", Target: "ks", State: report.Running}
	done, failed, missing := running, running, running
	done.State, failed.State, missing.State = report.Done, report.Failed, report.Failed
	failed.Error, failed.ErrorKind = "disk full", report.Internal
	missing.Error, missing.ErrorKind = "no such table", report.NotFound
	const doneText = "id: j1\nkind: compact\ntarget: ks\nstate: done\n"
	tests := []struct {
		line string
		jobs []report.Job
		code int
		out  string
		msg  string
	}{
		{"compact ks", []report.Job{running, running, done}, 0, "", ""},
		{"compact ks -o yaml", []report.Job{running, done}, 0, doneText, ""},
		{"compact ks", []report.Job{failed}, 2, "", "error: compact of ks: failed: disk full"},
		{"compact ks -o yaml", []report.Job{missing}, 1, "", "no such table"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeNode{jobs: tt.jobs}
			code, out, errs := run(f, tt.line)
			if code != tt.code || !strings.Contains(errs, tt.msg) || len(f.jobs) != 0 || !strings.HasPrefix(out, tt.out) || tt.out == "" && out != "" {
				t.Errorf("code %d, %q, %q, %d answers left", code, out, errs, len(f.jobs))
			}
		})
	}
}

func TestJobsTable(t *testing.T) {
	f := &fakeNode{jobs: []report.Job{
		{ID: "j2", Kind: "compact", Target: "ks.t", State: report.Running, Done: 1, Total: 4, ETASeconds: ptr(int64(90))},
		{ID: "j1", Kind: "compact", Target: "all keyspaces", State: report.Failed, Error: "disk full"},
	}}
	_, out, _ := run(f, "jobs")
	want := `id  kind     target         state    progress  left   started               error      
j2  compact  ks.t           running  25.0%     1m30s  0001-01-01T00:00:00Z             
j1  compact  all keyspaces  failed                    0001-01-01T00:00:00Z  disk full  
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}
