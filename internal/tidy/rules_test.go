package tidy

import (
	"fmt"
	"go/token"
	"strings"
	"testing"
)

const doc = "// Package p keeps things in order for those who ask. Its nouns are Thing and Order. Rooms call it. It never writes a file.\n"

// source makes a Source of one file per path.
func source(t *testing.T, files map[string]string) *Source {
	t.Helper()
	src := &Source{Fset: token.NewFileSet()}
	texts := map[string][]byte{}
	for name, text := range files {
		texts[name] = []byte(text)
	}
	if broken := src.parse(texts); len(broken) > 0 {
		t.Fatal(broken)
	}
	return src
}

// TestRules shows each rule one thing it must find or must leave alone.
func TestRules(t *testing.T) {
	tests := []struct {
		name, path, text, want string
		rule                   func(*Source) []Finding
	}{
		{"assignment", "p/a.go", "var x int\nfunc f() { x = 1 }", "x is written", Variables},
		{"increment", "p/a.go", "var x int\nfunc f() { x++ }", "x is written", Variables},
		{"element", "p/a.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", "m is written", Variables},
		{"field", "p/a.go", "var s struct{ a int }\nfunc f() { s.a = 2 }", "s is written", Variables},
		{"delete", "p/a.go", "var m = map[int]int{}\nfunc f() { delete(m, 1) }", "changed by delete", Variables},
		{"address", "p/a.go", "var x int\nfunc f() *int { return &x }", "by address", Variables},
		{"shadowed", "p/a.go", "var x int\nfunc f() { x := 0; x = 1; _ = x }", "", Variables},
		{"table", "p/a.go", "var x = []int{1}\nfunc f() *int { return &x[0] }", "", Variables},
		{"lock", "p/a.go", "import \"sync\"\nvar mu sync.Mutex", "is a sync.Mutex", Variables},
		{"pointer", "p/a.go", "import \"sync/atomic\"\nvar v atomic.Pointer[int]", "is a atomic.Pointer", Variables},
		{"init", "p/a.go", "func init() {}", "init()", Variables},
		{"init method", "p/a.go", "type t int\nfunc (t) init() {}", "", Variables},
		{"test variable", "p/a_test.go", "var x int\nfunc f() { x = 1 }", "", Variables},
		{"long function", "p/a.go", "func f() {\n" + strings.Repeat("\n", 69) + "}", "f has 71 lines", noExceptions},
		{"longest function", "p/a.go", "func f() {\n" + strings.Repeat("\n", 68) + "}", "", noExceptions},
		{"long file", "p/a.go", strings.Repeat("\n", 801), "a file may have 800", noExceptions},
		{"reasonless", "p/a.go", "// TO" + "DO: later", "needs its reason", Comments},
		{"reason", "p/a.go", "// TO" + "DO: until ring knows racks", "", Comments},
		{"fix me", "p/a.go", "// FIX" + "ME: until ring knows racks", "mend it", Comments},
		{"type name", "p/a.go", "type NodeManager int", "\"manager\"", Names},
		{"function name", "p/a.go", "func newHTTPImpl() {}", "\"impl\"", Names},
		{"field name", "p/a.go", "type t struct { util int }", "\"util\"", Names},
		{"harmless name", "p/a.go", "func utilization(implicit int) {}", "", Names},
		{"package name", "p/common/a.go", "", "a package is a noun", Names},
		{"sleep", "p/a_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "time.Sleep", Tests},
		{"bubble", "p/a_test.go", "import (\"time\"; _ \"testing/synctest\")\nfunc f() { time.Sleep(1) }", "", Tests},
		{"port", "p/a_test.go", "const a = \":9042\"", "fixed port", Tests},
		{"listen", "p/a_test.go", "import \"net\"\nfunc f() { net.Listen(\"tcp\", \"127.0.0.1:9042\") }", "fixed port", Tests},
		{"any port", "p/a_test.go", "import \"net\"\nfunc f() { net.Listen(\"tcp\", \"127.0.0.1:0\") }", "", Tests},
		{"text with a port", "p/a_test.go", "const a = \"127.0.0.1:9042\"", "", Tests},
		{"strange module", "p/a.go", "import _ \"github.com/x/y\"", "has no door", Doors},
		{"wrong door", "p/a.go", "import _ \"github.com/goccy/go-yaml/ast\"", "the door of github.com/goccy/go-yaml", Doors},
		{"right door", "internal/yaml/a.go", "import _ \"github.com/goccy/go-yaml/ast\"", "", Doors},
		{"test module", "p/a.go", "import _ \"github.com/cockroachdb/datadriven\"", "tests only", Doors},
		{"shunned", "internal/ring/a.go", "import _ \"time\"", "never imports time", Doors},
		{"standard only", "internal/token/a.go", "import _ \"helenus/internal/assert\"", "never imports", Doors},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.rule(source(t, map[string]string{tt.path: doc + "package p\n" + tt.text})), tt.want)
		})
	}
}

func noExceptions(src *Source) []Finding { return Sizes(src, "") }

func expect(t *testing.T, findings []Finding, want string) {
	t.Helper()
	got := fmt.Sprint(findings)
	if want == "" && len(findings) > 0 {
		t.Errorf("found %s, want nothing", got)
	}
	if want != "" && !strings.Contains(got, want) {
		t.Errorf("found %s, want %q", got, want)
	}
}

func TestPackageComments(t *testing.T) {
	expect(t, Comments(source(t, map[string]string{"p/a.go": "package p"})), "no package comment")
	expect(t, Comments(source(t, map[string]string{"p/a.go": "// Package p is short.\npackage p"})), "too short")
	expect(t, Comments(source(t, map[string]string{"p/a.go": strings.Replace(doc, " p ", " q ", 1) + "package p"})), "does not begin")
	expect(t, Comments(source(t, map[string]string{"p/a.go": "package p", "p/doc.go": doc + "package p"})), "")
}

func TestExceptions(t *testing.T) {
	long := source(t, map[string]string{"p/a.go": doc + "package p\nfunc f() {\n" + strings.Repeat("\n", 78) + "}\n"})
	expect(t, Sizes(long, "p/a.go:f 80"), "")
	expect(t, Sizes(long, "p/a.go:f 79"), "f has 80 lines")
	expect(t, Sizes(long, "p/a.go:f 90"), "shrunk to 80")
	expect(t, Sizes(long, "p/a.go:f 80\np/b.go 900"), "does not exist")
	expect(t, Sizes(long, "p/a.go:f"), "want")
	short := source(t, map[string]string{"p/a.go": doc + "package p\nfunc f() {}\n"})
	expect(t, Sizes(short, "p/a.go:f 80"), "delete its line")
}

func TestLayers(t *testing.T) {
	files := map[string]string{
		"a/a.go":      "package a",
		"b/b.go":      "package b\nimport _ \"helenus/a\"\nimport _ \"helenus\"",
		"b/b_test.go": "package b_test\nimport _ \"helenus/c\"",
		"helenus.go":  "package helenus",
	}
	const base = "0 helenus:\n1 a: # why\n"
	tests := []struct{ name, layers, want string }{
		{"listed", base + "2 b: a", ""},
		{"not listed", base, "b: layers: is not listed in docs/layers.txt; put in: 2 b: a"},
		{"planned", base + "~ 5 b: a", "put in: 5 b: a]"},
		{"planned otherwise", base + "~ 5 b:", "put in: 5 b: a   (not in the plan: a)"},
		{"new arrow", base + "2 b:", "imports a, which docs/layers.txt does not list; put in: 2 b: a"},
		{"dead arrow", base + "2 b: a x", "no longer imports x, which docs/layers.txt lists; put in: 2 b: a"},
		{"dead package", base + "2 b: a\n3 d: b", "package d does not exist; put in: ~ 3 d: b"},
		{"upwards", base + "1 b: a", "arrows go down only"},
		{"free too low", base + "0 b: a", "imports helenus"},
		{"test upwards", base + "2 b: a\n~ 2 c:", "its tests import c"},
		{"garbage", base + "2 b: a\nx", "docs/layers.txt:4: layers: want"},
		{"twice", base + "2 b: a\n2 b: a", "listed twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := source(t, files)
			expect(t, Layers(src, tt.layers), tt.want)
			if strings.Contains(tt.want, "put in") {
				expect(t, Layers(src, Rewrite(src, tt.layers)), "")
			}
		})
	}
}
