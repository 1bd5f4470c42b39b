package peer

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCassandra shows that a node starts, that its tools read what it wrote,
// and that clients reach it.
func TestCassandra(t *testing.T) {
	c := Start(t, Options{})
	if got := c.Nodetool(t, "version"); got != "ReleaseVersion: "+Release+"\n" {
		t.Errorf("version %q", got)
	}
	if got := c.Nodetool(t, "status"); !strings.Contains(got, "UN  "+c.Address()) {
		t.Errorf("status\n%s", got)
	}
	c.Nodetool(t, "flush")
	tables, err := filepath.Glob(filepath.Join(c.DataDir(), "system", "local-*", "*-Data.db"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no table of system.local in %s: %v", c.DataDir(), err)
	}
	if got := c.Tool(t, "SSTableExport", tables[0]); !strings.Contains(got, `"name" : "cluster_name", "value" : "peer"`) {
		t.Errorf("export\n%.2000s", got)
	}
	if text, err := c.TryTool("SSTableExport", "/does/not/exist"); err == nil {
		t.Errorf("a tool succeeds with nothing: %s", text)
	}
	c.Stop(t)
	if text, err := c.TryTool("StandaloneVerifier", "-f", "system", "local"); err != nil {
		t.Errorf("verify: %v\n%s", err, text)
	}
}

func TestClients(t *testing.T) {
	p := Clients(t)
	if got := p.Cqlsh(t, "--version"); !strings.HasPrefix(got, "cqlsh ") {
		t.Errorf("cqlsh --version: %q", got)
	}
	if got := p.Run(t, "-c", "import cassandra, lz4; print('ready')"); got != "ready\n" {
		t.Errorf("got %q", got)
	}
}
