package paste

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/balance"
)

// TestPastes reads testdata: "parse [rf=..] [cut=n]" and what a terminal
// showed, without its last n lines if so told.
func TestPastes(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var opt Options
			for _, arg := range d.CmdArgs {
				if arg.Key == "rf" {
					opt.RF = strings.Join(arg.Vals, ",")
				}
			}
			text, file := d.Input, ""
			if d.MaybeScanArgs(t, "file", &file) {
				text = read(t, file)
			}
			cut := 0
			if d.MaybeScanArgs(t, "cut", &cut) {
				lines := strings.Split(strings.TrimRight(text, "\n "), "\n")
				text = strings.Join(lines[:len(lines)-cut], "\n")
			}
			r, err := Parse(text, opt)
			if err != nil {
				return err.Error() + "\n"
			}
			return describe(r)
		})
	})
}

func read(t testing.TB, file string) string {
	data, err := os.ReadFile(filepath.Join("recorded", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// describe writes a ring down.
func describe(r *balance.Ring) string {
	var out strings.Builder
	fmt.Fprintln(&out, r.Partitioner)
	for _, n := range r.Nodes {
		load := "?"
		if n.Load != nil {
			load = n.Load.String()
		}
		var tokens []string
		for _, p := range n.Tokens {
			tokens = append(tokens, r.FormatToken(p))
		}
		fmt.Fprintf(&out, "%s %s/%s %s load %s host %q tokens %s\n", n.ID, n.DC, n.Rack, n.State, load, n.HostID, strings.Join(tokens, " "))
	}
	for _, k := range r.Keyspaces {
		fmt.Fprintf(&out, "keyspace %s: %s\n", k.Name, replication(k))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&out, "note:", n)
	}
	return out.String()
}

// TestEveryCutIsNoticed takes lines off the end of what nodetool printed: either
// the same ring is read, or an error says what is missing. No ring is read that
// lacks a node or a token.
func TestEveryCutIsNoticed(t *testing.T) {
	files, err := os.ReadDir("recorded")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		text := read(t, f.Name())
		whole, err := Parse(text, Options{})
		if err != nil {
			continue // status of vnodes, which says so
		}
		lines := strings.Split(text, "\n")
		for n := range lines {
			cut, err := Parse(strings.Join(lines[:n], "\n"), Options{})
			if err == nil && cut.Hash() != whole.Hash() && !strings.Contains(f.Name(), "gossipinfo") {
				t.Errorf("%s without its last %d lines is read as another ring:\n%s", f.Name(), len(lines)-n, describe(cut))
			}
		}
	}
}

// FuzzParse looks for panics, and for rings that do not stand their own check.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("*/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n----") {
			f.Add(part, "")
			f.Add(part, "dc1=2")
		}
	}
	f.Fuzz(func(t *testing.T, text, rf string) {
		r, err := Parse(text, Options{RF: rf})
		if err != nil {
			return
		}
		if err := r.Check(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return n.ID == "" }) {
			t.Fatalf("a node without a name\n%s", text)
		}
	})
}
