// Package tidy holds the rules of the house as checks of the source: layers,
// doors to foreign modules, sizes, package comments, bans.
//
// Its nouns are Source (every Go file of the module, parsed once), Rule (one
// check) and Finding (one place that breaks a rule). Only its own tests call
// it; it never runs in a binary and never changes a file.
//
// It reads files rather than asking the go command, because the go command
// sees the files of one platform only and needs every package to compile.
package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Module is the path in go.mod; imports that begin so are our own.
const Module = "helenus"

// Finding is one place that breaks a rule.
type Finding struct {
	Rule string
	Pos  string // file:line, or a package
	Text string
}

func (f Finding) String() string { return f.Pos + ": " + f.Rule + ": " + f.Text }

// File is one parsed Go file; its path is relative to the module's root.
type File struct {
	Path string
	Test bool
	Text []byte
	AST  *ast.File
}

// Package is one folder of Go files. Its path is relative to the module, and
// the root package is called by the module's name.
type Package struct {
	Path  string
	Files []*File
}

// Source is the module as it lies on disk.
type Source struct {
	Root     string
	Fset     *token.FileSet
	Packages []*Package // sorted by path
}

// Load parses every Go file below root, except testdata and hidden folders.
// A file that does not parse is a finding, not an error: the rest is still checked.
func Load(root string) (*Source, []Finding, error) {
	src := &Source{Root: root, Fset: token.NewFileSet()}
	texts := map[string][]byte{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != root && (base == "testdata" || base == "bin" || base == "dist" || base[0] == '.' || base[0] == '_') {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		texts[filepath.ToSlash(rel)] = text
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("tidy: read the source: %w", err)
	}
	return src, src.parse(texts), nil
}

// parse fills the packages from file texts by path.
func (s *Source) parse(texts map[string][]byte) []Finding {
	var findings []Finding
	byPath := map[string]*Package{}
	for _, name := range sortedKeys(texts) {
		tree, err := parser.ParseFile(s.Fset, name, texts[name], parser.ParseComments)
		if err != nil {
			findings = append(findings, Finding{"parse", name, err.Error()})
			continue
		}
		dir := path.Dir(name)
		if dir == "." {
			dir = Module
		}
		p := byPath[dir]
		if p == nil {
			p = &Package{Path: dir}
			byPath[dir] = p
			s.Packages = append(s.Packages, p)
		}
		p.Files = append(p.Files, &File{Path: name, Test: strings.HasSuffix(name, "_test.go"), Text: texts[name], AST: tree})
	}
	sort.Slice(s.Packages, func(i, j int) bool { return s.Packages[i].Path < s.Packages[j].Path })
	return findings
}

// Files visits every file.
func (s *Source) Files(visit func(*Package, *File)) {
	for _, p := range s.Packages {
		for _, f := range p.Files {
			visit(p, f)
		}
	}
}

func (s *Source) at(rule string, pos token.Pos, format string, args ...any) Finding {
	p := s.Fset.Position(pos)
	return Finding{rule, p.Filename + ":" + strconv.Itoa(p.Line), fmt.Sprintf(format, args...)}
}

// imports lists the import paths of a file with their positions.
func (f *File) imports() map[string]token.Pos {
	m := map[string]token.Pos{}
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			m[p] = spec.Pos()
		}
	}
	return m
}

// own turns an import path into the path of a package of this module.
func own(importPath string) (string, bool) {
	if importPath == Module {
		return Module, true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
