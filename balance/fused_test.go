package balance

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestNoFusedProducts compiles the package for a machine that multiplies and adds
// in one rounding, and looks for such instructions: plans would differ between
// machines by them.
func TestNoFusedProducts(t *testing.T) {
	if count(t, "BALANCE_ARM64", 0) == 0 {
		t.Skip("BALANCE_ARM64=1 compiles for another machine")
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-S", ".")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^.*\bFN?M(ADD|SUB)[DS]\b.*$`).FindAll(out, -1)
	for _, line := range lines {
		t.Errorf("%s", line)
	}
	if !regexp.MustCompile(`\bFMULD\b`).Match(out) {
		t.Error("no multiplication at all: the compiler writes something else")
	}
}
