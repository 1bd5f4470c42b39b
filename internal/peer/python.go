package peer

import (
	_ "embed"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed requirements.txt
var requirements []byte

// Python is an environment with cqlsh, the driver and LZ4.
type Python struct{ dir string }

// Clients gets the environment ready.
func Clients(t testing.TB) Python {
	t.Helper()
	wanted(t, "HELENUS_CLIENTS", "python3")
	// Other versions are another environment.
	p := Python{cacheDir(t, fmt.Sprintf("python-%08x", crc32.ChecksumIEEE(requirements)))}
	once(t, p.dir, func() {
		file := filepath.Join(p.dir, "requirements.txt")
		if err := os.WriteFile(file, requirements, 0o644); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command("python3", "-m", "venv", p.dir).CombinedOutput(); err != nil {
			t.Skipf("python3 makes no environment: %v\n%s", err, text)
		}
		output(t, exec.Command(p.program("pip"), "install", "-q", "--disable-pip-version-check", "-r", file))
	})
	return p
}

func (p Python) program(name string) string { return filepath.Join(p.dir, "bin", name) }

// Run runs a Python program and gives what it printed.
func (p Python) Run(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, exec.Command(p.program("python"), args...))
}

// Cqlsh runs cqlsh, for example with "127.0.0.1", port, "-e", statements.
func (p Python) Cqlsh(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, exec.Command(p.program("cqlsh"), args...))
}
