package tidy

import (
	_ "embed"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// rewrite brings docs/layers.txt up to date; the diff is for a reader to judge.
var rewrite = flag.Bool("rewrite", false, "write docs/layers.txt")

//go:embed exceptions.txt
var exceptions string

// exceptionsMax is how many exceptions there are; it never grows.
const exceptionsMax = 0

func TestHouse(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	src, broken, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := os.ReadFile(filepath.Join(root, "docs", "layers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		layers = []byte(Rewrite(src, string(layers)))
		if err := os.WriteFile(filepath.Join(root, "docs", "layers.txt"), layers, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	top, err := TopLevel(root)
	if err != nil {
		t.Fatal(err)
	}
	rules := []struct {
		name     string
		findings []Finding
	}{
		{"parse", broken},
		{"top", top},
		{"layers", Layers(src, string(layers))},
		{"doors", Doors(src)},
		{"vars", Variables(src)},
		{"sizes", Sizes(src, exceptions)},
		{"comments", Comments(src)},
		{"names", Names(src)},
		{"tests", Tests(src)},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.findings {
				t.Error(f)
			}
		})
	}
	if excused, _ := parseExceptions(exceptions); len(excused) > exceptionsMax {
		t.Errorf("exceptions.txt has %d lines, at most %d: the list only shrinks", len(excused), exceptionsMax)
	}
}
