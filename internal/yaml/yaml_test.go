package yaml

import (
	"fmt"
	"strings"
	"testing"
)

// render writes a node back in one line, with the lines of its keys.
func render(n Node) string {
	if s, ok := n.Scalar(); ok {
		return fmt.Sprintf("%q", s)
	}
	var parts []string
	if n.IsMapping() {
		entries, err := n.Entries()
		if err != nil {
			return err.Error()
		}
		for _, e := range entries {
			parts = append(parts, fmt.Sprintf("%s@%d=%s", e.Key, e.Line, render(e.Value)))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	if !n.IsSequence() {
		return "?" // an anchor, an alias or a tag: neither text nor list
	}
	for _, i := range n.Items() {
		parts = append(parts, render(i))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func TestParse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", `""`},
		{"comments only", "# nothing\n", `""`},
		{"one key", "a: 1", `{a@1="1"}`},
		{"units and quotes", "# x\na: 10000ms\nb: 'Test Cluster'\nc: \"q\"\nd:\n", `{a@2="10000ms" b@3="Test Cluster" c@4="q" d@5=""}`},
		{"booleans keep their text", "a: true\nb: 0.1\nc: -1", `{a@1="true" b@2="0.1" c@3="-1"}`},
		{"list", "a:\n  - x\n  - y\n", `{a@1=["x" "y"]}`},
		{"flow", "a: [x, {b: 1}]", `{a@1=["x" {b@1="1"}]}`},
		{"nested", "s:\n  - class_name: X\n    parameters:\n      - seeds: \"h:1\"\n", `{s@1=[{class_name@2="X" parameters@3=[{seeds@4="h:1"}]}]}`},
		{"null", "a: null\nb: ~", `{a@1="" b@2=""}`},
		{"block text", "a: |\n  x\n  y\n", `{a@1="x\ny\n"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := render(n); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"tab", "a: 1\n\tb: 2\n", "line 2"},
		{"unclosed", "a: [1", "line 1"},
		{"twice", "a: 1\nb: 1\na: 2\n", "line 3"},
		{"two documents", "a: 1\n---\nb: 2\n", "line 3: a second document"},
		{"too long", strings.Repeat("#", documentBytesMax+1), "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Parse([]byte(tt.text))
			if err == nil {
				_, err = n.Entries()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestDecodeIsStrict(t *testing.T) {
	var v struct {
		A int `yaml:"a"`
	}
	if err := Decode([]byte("a: 1"), &v); err != nil || v.A != 1 {
		t.Errorf("a = %d, error %v", v.A, err)
	}
	if err := Decode([]byte("a: 1\nb: 2\n"), &v); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("unknown field: error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a: 1", "a: [x, {b: 1}]", "s:\n  - c: X\n", "- |\n x\n", "a: &x 1\nb: *x\n", "? a\n: b\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) > 512 {
			return // the library takes quadratic time on some long inputs
		}
		if n, err := Parse(data); err == nil {
			render(n)
		}
	})
}
