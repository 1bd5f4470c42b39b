package agent

import (
	"fmt"
	"strings"
	"testing"

	"helenus/agent/config"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// The tables of facts show what is so, and nothing where nothing is counted.
func TestViews(t *testing.T) {
	r := start(t, vfs.NewMem(), "file_cache_size=3MiB", "concurrent_reads=5")
	r.cql("USE system_views")
	for text, want := range map[string]string{
		"SELECT connection_stage, driver_name, protocol_version, keyspace_name, username, ssl_enabled, hostname, client_options FROM clients": "'ready' 'ours' 5 'system_views' 'anonymous' false '127.0.0.1' null\n",

		"SELECT value FROM settings WHERE name = 'cluster_name'":                   "'assembled'\n",
		"SELECT value FROM settings WHERE name = 'file_cache_size'":                "'3MiB'\n",
		"SELECT value FROM settings WHERE name = 'memtable_heap_space'":            "'32MiB'\n", // an eighth: decided by the node
		"SELECT value FROM settings WHERE name = 'max_mutation_size'":              "'512KiB'\n",
		"SELECT value FROM settings WHERE name = 'initial_token'":                  "null\n",
		"SELECT name, capacity_bytes FROM caches WHERE name = 'chunks'":            fmt.Sprintf("'chunks' %d\n", 3<<20),
		"SELECT capacity_bytes, hit_ratio FROM caches WHERE name = 'keys'":         "0 NaN\n",
		"SELECT active_tasks_limit FROM thread_pools WHERE name = 'ReadStage'":     "5\n",
		"SELECT pending_tasks FROM thread_pools WHERE name = 'ReadStage'":          "0\n",
		"SELECT active_tasks FROM thread_pools WHERE name = 'MemtableFlushWriter'": "null\n",
		"SELECT * FROM sstable_tasks":                                              "",
	} {
		r.wants(text, want)
	}
	if got, want := strings.Count(r.cql("SELECT name FROM settings"), "\n"), len(config.Names()); got != want {
		t.Errorf("%d settings are shown, there are %d", got, want)
	}
}

// What clients do shows in system_views and in the table of facts alike.
func TestFactsHaveOneSource(t *testing.T) {
	r := start(t, vfs.NewMem())
	r.cql(keyspaceKS, "CREATE TABLE ks.t (k int PRIMARY KEY, v text)")
	for i := range 10 {
		r.cql(fmt.Sprintf("INSERT INTO ks.t (k, v) VALUES (%d, 'v')", i))
	}
	r.cql("INSERT INTO ks.t (k, v) VALUES (1, 'v') IF NOT EXISTS")
	if code, body := r.ask("/flush", `{"keyspace": "ks", "tables": ["t"]}`); code != 200 {
		t.Fatal(code, body)
	}
	if _, err := r.Query(t.Context(), "SELECT nonsense FROM ks.t"); err == nil {
		t.Fatal("nonsense is selected")
	}
	r.cql("SELECT * FROM ks.t WHERE k = 1", "SELECT * FROM ks.t WHERE k = 1")
	for name, least := range map[string]float64{"writes": 10, "conditional_writes": 1, "reads": 2, "requests": 15, "request_errors": 1,
		"connections": 1, "flushes": 1, "load": 100, "commit_log_syncs": 1, "cache_requests": 1, "pool_completed": 1} {
		if got, err := r.env.Metrics.Number(name); err != nil || got < least {
			t.Errorf("%s: %v, %v; want at least %v", name, got, err, least)
		}
	}
	for _, tt := range []struct{ fact, label, query string }{
		{"cache_capacity", "chunk", "SELECT capacity_bytes FROM system_views.caches WHERE name = 'chunks'"},
		{"cache_requests", "chunk", "SELECT request_count FROM system_views.caches WHERE name = 'chunks'"},
		{"pool_completed", "MemtableFlushWriter", "SELECT completed_tasks FROM system_views.thread_pools WHERE name = 'MemtableFlushWriter'"},
		{"pool_completed", "ReadStage", "SELECT completed_tasks FROM system_views.thread_pools WHERE name = 'ReadStage'"},
	} {
		shown := r.cql(tt.query)
		for _, f := range r.env.Metrics.Facts() {
			if f.Name != tt.fact {
				continue
			}
			f.Read(func(v metrics.Value) {
				if v.Labels[0] == tt.label && shown != fmt.Sprintf("%.0f\n", v.Number) {
					t.Errorf("%s of %s is %v, %s says %s", tt.fact, tt.label, v.Number, tt.query, shown)
				}
			})
		}
	}
	if code, body := r.ask("/facts", ""); code != 200 || !strings.Contains(body, `"pool":"ReadStage"`) {
		t.Errorf("facts: %d %s", code, body)
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1: "1B", 1023: "1023B", 1 << 10: "1KiB", 1536: "1536B", 3 << 19: "1536KiB", 1 << 30: "1GiB", 5 << 29: "2560MiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
