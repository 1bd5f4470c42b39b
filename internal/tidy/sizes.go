package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"strconv"
	"strings"
)

// The bounds of rule 9.
const (
	functionLinesMax = 70
	fileLinesMax     = 800
)

// Sizes checks the length of functions and files. The exceptions have lines
// "path lines" or "path:function lines"; an exception that is larger than the
// thing it excuses, or excuses nothing, is itself a finding, so that the list
// only shrinks.
func Sizes(src *Source, exceptions string) []Finding {
	excused, findings := parseExceptions(exceptions)
	seen := map[string]bool{}
	check := func(at Finding, key string, lines, linesMax int) {
		limit, ok := excused[key]
		seen[key] = true
		switch {
		case lines <= linesMax && ok:
			findings = append(findings, Finding{"sizes", key, "has shrunk below the limit: delete its line from exceptions.txt"})
		case ok && lines < limit:
			findings = append(findings, Finding{"sizes", key, fmt.Sprintf("has shrunk to %d lines: put that into exceptions.txt", lines)})
		case lines > linesMax && lines > limit:
			findings = append(findings, at)
		}
	}
	src.Files(func(_ *Package, f *File) {
		lines := bytes.Count(f.Text, []byte("\n"))
		check(Finding{"sizes", f.Path, fmt.Sprintf("%d lines, a file may have %d", lines, fileLinesMax)}, f.Path, lines, fileLinesMax)
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := src.Fset.Position(fn.End()).Line - src.Fset.Position(fn.Pos()).Line + 1
			at := src.at("sizes", fn.Pos(), "%s has %d lines, a function may have %d", fn.Name.Name, lines, functionLinesMax)
			check(at, f.Path+":"+fn.Name.Name, lines, functionLinesMax)
		}
	})
	for _, key := range sortedKeys(excused) {
		if !seen[key] {
			findings = append(findings, Finding{"sizes", key, "is in exceptions.txt but does not exist"})
		}
	}
	return findings
}

func parseExceptions(text string) (map[string]int, []Finding) {
	m := map[string]int{}
	var findings []Finding
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n := 0
		if len(f) == 2 {
			n, _ = strconv.Atoi(f[1])
		}
		if n == 0 {
			findings = append(findings, Finding{"sizes", fmt.Sprintf("exceptions.txt:%d", i+1), "want \"path lines\" or \"path:function lines\""})
			continue
		}
		m[f[0]] = n
	}
	return m, findings
}
