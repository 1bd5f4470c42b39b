package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load reads one file text with nothing else.
func load(t *testing.T, text string) *Loaded {
	t.Helper()
	l, err := Load(Sources{FileName: "helenus.yaml", File: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func shipped(t *testing.T, name string) *Loaded {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, string(text))
}

func TestDefaults(t *testing.T) {
	c := load(t, "").Config
	want := Config{
		ClusterName: "Test Cluster", NumTokens: 16, AllocateRF: 3, AutoBootstrap: true, Partitioner: "Murmur3Partitioner", Snitch: "SimpleSnitch",
		Seeds: []string{"localhost"}, ListenAddress: "localhost", BroadcastAddress: "localhost", RPCAddress: "localhost",
		BroadcastRPCAddress: "localhost", StoragePort: 7000, SSLStoragePort: 7001, NativePort: 9042, StartNative: true,
		AllowOlderProtocols: true, DataDirectories: []string{"/var/lib/helenus/data"},
		CommitLogDirectory: "/var/lib/helenus/commitlog", CommitLogSync: SyncGroup, CommitLogSyncPeriod: 10 * time.Second,
		CommitLogSegmentBytes: 32 << 20, CommitLogTotalBytes: 512 << 20, CommitLogReplayErrors: ReplayStop, MutationBytesMax: 16 << 20, ColumnIndexBytes: 4 << 10,
		ConcurrentReads: 32, CompactionBytesPerSec: 64 << 20, AutoSnapshot: true, DefaultKeyspaceRF: 1,
		PhiConvictThreshold: 8, DynamicSnitch: true, DynamicSnitchUpdateInterval: 100 * time.Millisecond, DynamicSnitchResetInterval: 10 * time.Minute,
		DynamicSnitchBadness: 1, HintedHandoff: true, MaxHintWindow: 3 * time.Hour, HintBytesPerSec: 1 << 20,
		HintFileBytesMax: 128 << 20,
		RequestTimeout:   10 * time.Second, ReadTimeout: 5 * time.Second, RangeTimeout: 10 * time.Second,
		WriteTimeout: 2 * time.Second, CounterWriteTimeout: 5 * time.Second, CASTimeout: 1800 * time.Millisecond,
		TruncateTimeout: time.Minute, TraceTTL: 24 * time.Hour, FrameBytesMax: 16 << 20, ValueBytesMax: 256 << 20,
		ConnectionsMax: -1, ConnectionsPerIPMax: -1, BatchWarnBytes: 5 << 10, BatchFailBytes: 50 << 10,
		UnloggedBatchWarn: 10, TombstoneWarn: 1000, TombstoneFail: 100000,
		AdminAddress: "127.0.0.1", AdminPort: 7199, Metrics: true,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestShippedFilesLoad(t *testing.T) {
	now := shipped(t, "shipped-5.0.yaml")
	if c := now.Config; c.Seeds[0] != "127.0.0.1:7000" || c.AllocateRF != 3 || c.CASTimeout != time.Second {
		t.Errorf("5.0: %+v", c)
	}
	old := shipped(t, "shipped-3.11.yaml").Config
	got := []any{old.Seeds, old.CommitLogSegmentBytes, old.PreparedStatementsBytes, old.ColumnIndexBytes, old.CompactionBytesPerSec,
		old.ReadTimeout, old.BatchWarnBytes, old.FrameBytesMax, old.TraceTTL, old.MutationBytesMax}
	want := []any{[]string{"10.0.0.1", "10.0.0.2"}, int64(16 << 20), int64(10 << 20), int64(64 << 10), int64(16 << 20),
		4 * time.Second, int64(7 << 10), int64(256 << 20), 24 * time.Hour, int64(8 << 20)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("3.11: got %v, want %v", got, want)
	}
	for _, n := range now.Notes {
		if strings.Contains(n, "passed over") && strings.Contains(n, "row_cache_size") {
			return
		}
	}
	t.Errorf("no note names what is passed over: %q", now.Notes)
}

// TestSyncDecision holds decision 5: only a periodic that somebody chose runs.
func TestSyncDecision(t *testing.T) {
	tests := []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       SyncMode
		noted      bool
	}{
		{"nothing", "", nil, nil, SyncGroup, false},
		{"shipped pair", "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms", nil, nil, SyncGroup, true},
		{"shipped pair in seconds", "commitlog_sync: periodic\ncommitlog_sync_period: 10s", nil, nil, SyncGroup, true},
		{"shipped pair, old name", "commitlog_sync: periodic\ncommitlog_sync_period_in_ms: 10000", nil, nil, SyncGroup, true},
		{"no period", "commitlog_sync: periodic", nil, nil, SyncGroup, true},
		{"another period", "commitlog_sync: periodic\ncommitlog_sync_period: 5s", nil, nil, SyncPeriodic, false},
		{"decided", "commitlog_sync: periodic\ncommitlog_sync_decided: true", nil, nil, SyncPeriodic, false},
		{"variable", "", []string{"HELENUS_COMMITLOG_SYNC=periodic"}, nil, SyncPeriodic, false},
		{"flag", "commitlog_sync: batch", nil, map[string]string{"commitlog_sync": "periodic"}, SyncPeriodic, false},
		{"batch", "commitlog_sync: batch", nil, nil, SyncBatch, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Load(Sources{FileName: "f", File: []byte(tt.file), Env: tt.env, Flags: tt.flags})
			if err != nil {
				t.Fatal(err)
			}
			if l.Config.CommitLogSync != tt.want || (len(l.Notes) > 0) != tt.noted {
				t.Errorf("%s, notes %q; want %s, noted %v", l.Config.CommitLogSync, l.Notes, tt.want, tt.noted)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	l, err := Load(Sources{
		FileName: "helenus.yaml",
		File:     []byte("\ncluster_name: file\nnative_transport_port: 1\nadmin_port: 2\nread_request_timeout_in_ms: 7"),
		Env:      []string{"HOME=/", "HELENUS_NATIVE_TRANSPORT_PORT=3", "HELENUS_ADMIN_PORT=4", "HELENUS_SEED_PROVIDER=a:1, b:2"},
		Flags:    map[string]string{"admin_port": "5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config
	if c.ClusterName != "file" || c.NativePort != 3 || c.AdminPort != 5 || len(c.Seeds) != 2 {
		t.Errorf("%+v", c)
	}
	want := map[string]Origin{
		"cluster_name":          {"cluster_name", "file", "helenus.yaml:2"},
		"native_transport_port": {"native_transport_port", "3", "HELENUS_NATIVE_TRANSPORT_PORT"},
		"admin_port":            {"admin_port", "5", "flag"},
		"storage_port":          {"storage_port", "7000", "default"},
		"read_request_timeout":  {"read_request_timeout", "7ms", "helenus.yaml:5"},
	}
	if len(l.Origins) != len(Names()) {
		t.Errorf("%d origins, %d settings", len(l.Origins), len(Names()))
	}
	for _, o := range l.Origins {
		if w, ok := want[o.Name]; ok && o != w {
			t.Errorf("got %v, want %v", o, w)
		}
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"unknown", "a: 1", "helenus.yaml:1: unknown setting a"},
		{"misspelt", "cluster_name: x\nclustr_name: y", "helenus.yaml:2: unknown setting clustr_name; did you mean cluster_name?"},
		{"misspelt among the ignored", "hinted_handof_enabled: true", "did you mean hinted_handoff_enabled?"},
		{"duration without unit", "read_request_timeout: 5000", `"5000" is not a whole number with one of the units d, h, m, s, ms`},
		{"size with a duration", "commitlog_segment_size: 32ms", "units B, KiB, MiB, GiB"},
		{"size of 1000s", "commitlog_segment_size: 32MB", "units B, KiB, MiB, GiB"},
		{"negative", "commitlog_segment_size: -1MiB", "units"},
		{"overflow", "commitlog_segment_size: 99999999999GiB", "too large"},
		{"old name with a unit", "read_request_timeout_in_ms: 5s", `"5s" is not a whole number`},
		{"both names", "read_request_timeout_in_ms: 5\nread_request_timeout: 5ms", "are the same setting"},
		{"port", "native_transport_port: 70000", "from 0 to 65535"},
		{"boolean", "start_native_transport: maybe", "true or false"},
		{"list for one", "cluster_name: [a]", "want one value"},
		{"mapping for a list", "data_file_directories: {a: b}", "want one value"},
		{"no directories", "data_file_directories: []", "names nothing"},
		{"several directories", "data_file_directories: [/a, /b]", "helenus.yaml:1: not supported yet: 2 data_file_directories"},
		{"no clients", "start_native_transport: false", "helenus.yaml:1: not supported yet: start_native_transport: false"},
		{"partitioner", "partitioner: org.x.LocalPartitioner", "not supported yet: LocalPartitioner"},
		{"authentication", "authenticator: PasswordAuthenticator", "not supported yet: PasswordAuthenticator"},
		{"authentication as a class", "authenticator:\n  class_name: org.x.PasswordAuthenticator", "not supported yet: PasswordAuthenticator"},
		{"encryption", "client_encryption_options:\n  enabled: true", "not supported yet: enabled: true"},
		{"encryption of nodes", "server_encryption_options: {internode_encryption: all}", "not supported yet"},
		{"seed provider", "seed_provider: [{class_name: x.KubernetesSeedProvider}]", "not supported yet: KubernetesSeedProvider"},
		{"no seeds", "seed_provider: [{class_name: SimpleSeedProvider}]", "names no seeds"},
		{"sync mode", "commitlog_sync: never", "not one of group, batch, periodic"},
		{"interface", "listen_interface: eth0", "say listen_address"},
		{"any address", "listen_address: 0.0.0.0", "others cannot reach"},
		{"any address for clients", "rpc_address: 0.0.0.0", "needs broadcast_rpc_address"},
		{"open admin port", "admin_address: 10.0.0.1", "not a loopback address"},
		{"tokens", "num_tokens: 2\ninitial_token: 1,2,3", "3 tokens"},
		{"mutation", "max_mutation_size: 17MiB", "more than half"},
		{"mutation for a frame", "commitlog_segment_size: 128MiB\nmax_mutation_size: 32MiB", "max_mutation_size is more than 31MiB"},
		{"not YAML", "a: [", "helenus.yaml: line 1"},
		{"not a mapping", "- a", "want keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(Sources{FileName: "helenus.yaml", File: []byte(tt.file)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if l, err := Load(Sources{FileName: "f", File: []byte("commitlog_segment_size: 128MiB")}); err != nil || l.Config.MutationBytesMax != MutationBytesLimit {
		t.Errorf("max_mutation_size of a large log: %+v, %v", l, err)
	}
	_, err := Load(Sources{FileName: "f", File: []byte("a1: 1\nb2: 2")})
	if err == nil || strings.Count(err.Error(), "unknown setting") != 2 {
		t.Errorf("error %v, want both mistakes", err)
	}
}

func TestTokensCountThemselves(t *testing.T) {
	if c := load(t, "initial_token: 1, 2,3").Config; c.NumTokens != 3 || len(c.InitialToken) != 3 {
		t.Errorf("%d tokens, %v", c.NumTokens, c.InitialToken)
	}
}

func TestIgnoredAndSupportedAreApart(t *testing.T) {
	supported := map[string]bool{}
	for _, n := range Names() {
		if supported[n] {
			t.Errorf("%s is there twice", n)
		}
		supported[n] = true
	}
	for _, n := range strings.Fields(ignoredNames) {
		if supported[n] {
			t.Errorf("%s is supported and ignored", n)
		}
	}
}
