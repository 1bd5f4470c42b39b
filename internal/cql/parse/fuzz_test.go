package parse

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"helenus"
)

// seeds are the statements of the golden files.
func seeds(f *testing.F) {
	for _, name := range []string{"accepted.txt", "errors.txt", "errors_near.txt"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for _, block := range strings.Split(string(data), "\n\n") {
			_, rest, _ := strings.Cut(block, "\n")
			statement, _, ok := strings.Cut(rest, "\n----")
			if ok {
				f.Add(statement)
			}
		}
	}
}

// FuzzParse: an error is a syntax error, and a tree prints as text that parses
// to an equal tree.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, cql string) {
		tree, err := Parse(cql)
		if err != nil {
			var e *helenus.Error
			if !errors.As(err, &e) || e.Code != helenus.CodeSyntax || e.Message == "" {
				t.Fatalf("%q: %#v", cql, err)
			}
			return
		}
		text := tree.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", cql, text, err)
		}
		if !reflect.DeepEqual(tree, again) {
			t.Fatalf("%q prints as %q, which is another tree", cql, text)
		}
		for i, m := range tree.Markers() {
			if m.Index != i {
				t.Fatalf("%q: marker %d has index %d", cql, i, m.Index)
			}
		}
	})
}
