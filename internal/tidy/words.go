package tidy

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// bannedWords say nothing about what a thing is (rule 16).
var bannedWords = map[string]bool{"manager": true, "helper": true, "helpers": true, "util": true, "utils": true, "impl": true}

// bannedPackages are names for "everything else".
var bannedPackages = map[string]bool{"common": true, "util": true, "utils": true, "helper": true, "helpers": true, "misc": true, "shared": true}

// wordsMin is what purpose, nouns, callers and a "never" need at the least.
const wordsMin = 20

// todoReason wants at least three words after the mark.
var todoReason = regexp.MustCompile(`TODO(\([^)]*\))?:?\s+\S+\s+\S+\s+\S+`)

// Comments checks package comments and the marks of unfinished work.
func Comments(src *Source) []Finding {
	var findings []Finding
	for _, p := range src.Packages {
		var doc string
		code := false
		for _, f := range p.Files {
			if !f.Test {
				code = true
				if f.AST.Doc != nil {
					doc += f.AST.Doc.Text()
				}
			}
			findings = append(findings, marks(src, f)...)
		}
		switch name := p.Files[0].AST.Name.Name; {
		case !code:
		case doc == "":
			findings = append(findings, Finding{"comments", p.Path, "has no package comment: purpose, two to five nouns, who calls it, what it never does"})
		case name != "main" && !strings.HasPrefix(doc, "Package "+strings.TrimSuffix(name, "_test")+" "):
			findings = append(findings, Finding{"comments", p.Path, "its package comment does not begin with \"Package " + name + "\""})
		case len(strings.Fields(doc)) < wordsMin:
			findings = append(findings, Finding{"comments", p.Path, "its package comment is too short for purpose, nouns, callers and what it never does"})
		}
	}
	return findings
}

func marks(src *Source, f *File) []Finding {
	var findings []Finding
	for _, g := range f.AST.Comments {
		for _, c := range g.List {
			if strings.Contains(c.Text, "FIX"+"ME") {
				findings = append(findings, src.at("comments", c.Pos(), "mend it or write why it stays"))
			}
			if strings.Contains(c.Text, "TO"+"DO") && !todoReason.MatchString(c.Text) {
				findings = append(findings, src.at("comments", c.Pos(), "a thing to do needs its reason beside it"))
			}
		}
	}
	return findings
}

// Names checks the words in declared names and the names of packages.
func Names(src *Source) []Finding {
	var findings []Finding
	for _, p := range src.Packages {
		if bannedPackages[path.Base(p.Path)] {
			findings = append(findings, Finding{"names", p.Path, "a package is a noun that says what is in it"})
		}
	}
	src.Files(func(_ *Package, f *File) {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			for _, id := range declares(n) {
				for _, w := range words(id.Name) {
					if bannedWords[w] {
						findings = append(findings, src.at("names", id.Pos(), "%s: %q says nothing, name the thing", id.Name, w))
					}
				}
			}
			return true
		})
	})
	return findings
}

// declares lists the identifiers a node declares.
func declares(n ast.Node) []*ast.Ident {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return []*ast.Ident{n.Name}
	case *ast.TypeSpec:
		return []*ast.Ident{n.Name}
	case *ast.ValueSpec:
		return n.Names
	case *ast.Field:
		return n.Names
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return nil
		}
		var ids []*ast.Ident
		for _, e := range n.Lhs {
			if id, ok := e.(*ast.Ident); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	return nil
}

// words splits camelCase and snake_case into lower-case words.
func words(name string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		lowerNext := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if r == '_' || unicode.IsUpper(r) && (i > 0 && unicode.IsLower(runes[i-1]) || lowerNext) {
			flush()
		}
		if r != '_' {
			word = append(word, r)
		}
	}
	flush()
	return out
}
