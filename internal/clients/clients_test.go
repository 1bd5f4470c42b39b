package clients

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"helenus/internal/peer"
)

// TestClients runs every suite against one node. They come one after another,
// because two of them kill the node.
func TestClients(t *testing.T) {
	if os.Getenv("HELENUS_CLIENTS") != "1" {
		t.Skip("SKIP: runs with HELENUS_CLIENTS=1 (fetches cqlsh and drivers from the public registries at first use)")
	}
	python := pythonOf(t)
	n := theNode(t)
	t.Run("python", func(t *testing.T) { n.suite(t, "python", python, "driver_suite.py") })
	t.Run("gocql", func(t *testing.T) { n.suite(t, "gocql", "go", "test", "-count=1", "-v", ".") })
	t.Run("cqlsh", func(t *testing.T) { n.stories(t, python, "cqlsh") })
}

// pythonOf is the program of an environment with cqlsh and the driver.
func pythonOf(t *testing.T) string {
	return strings.TrimSpace(peer.Clients(t).Run(t, "-c", "import sys; print(sys.executable)"))
}

// skipped finds the tests that a suite left out, in Python's and Go's words.
var skipped = regexp.MustCompile(`(?m)^.*(?:skipped '|SKIP: ).*$`)

// suite runs a program in its folder; what it printed is shown when it fails.
func (n *node) suite(t *testing.T, folder, program string, args ...string) {
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "HELENUS_CQL="+n.addr, "HELENUS_RESTART="+n.restart, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	for _, line := range skipped.FindAllString(string(out), -1) {
		t.Logf("left out: %s", strings.TrimSpace(line))
	}
}
