package tidy

import (
	"os"
	"strings"
)

// topLevel is all that may lie beside go.mod, besides dot files and what
// .gitignore names.
var topLevel = map[string]bool{
	"cmd": true, "agent": true, "store": true, "ctl": true, "stress": true, "balance": true, "cloud": true,
	"docs": true, "internal": true, "helenus.go": true, "errors.go": true, "go.mod": true, "go.sum": true,
	"README.md": true, "goreleaser.yaml": true, "Makefile": true, "LICENSE": true, "CHANGELOG.md": true,
	"bin": true, "dist": true,
}

// TopLevel checks that nothing new lies in the root folder.
func TopLevel(root string) ([]Finding, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, e := range entries {
		name := e.Name()
		ignored := strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof")
		if !topLevel[name] && !strings.HasPrefix(name, ".") && !ignored {
			findings = append(findings, Finding{"top", name, "does not belong into the root folder"})
		}
	}
	return findings, nil
}
