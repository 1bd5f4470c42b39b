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
// showed (or file=.., and=..: what was recorded), without its last n lines if so
// told.
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
			if d.MaybeScanArgs(t, "and", &file) {
				text += "\n" + read(t, file)
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
	const lone = `Datacenter: dc1
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address    Load       Owns  Host ID                               Token                  Rack
UN  127.0.8.2  66.52 KiB  ?     88020941-e5c1-465c-a878-397d390b8e4e  -2493066038925234683   r1
UN  127.0.8.3  46.89 KiB  ?     337cdc5f-7fbb-4f7f-a473-2b1af8c81c89  1300557925796755424    r1

Note: Non-system keyspaces don't have the same replication settings, effective ownership information is meaningless
`
	ring, status, gossip := read(t, "ring-5.0.txt"), read(t, "status-5.0.txt"), read(t, "gossipinfo-5.0.txt")
	for name, text := range map[string]string{
		"ring": ring, "ring of a keyspace": read(t, "ring-ks-5.0.txt"), "ring with ports": read(t, "ring-pp-5.0.txt"), "ring of vnodes": read(t, "ring-vnodes-5.0.txt"),
		"describering": read(t, "describering-5.0.txt"), "status of single tokens": lone, "ring, status": ring + status, "status, ring": status + ring,
		"ring, gossipinfo": ring + gossip, "gossipinfo, ring": gossip + ring, "status, gossipinfo": status + gossip, "gossipinfo, status": gossip + status,
	} {
		whole, err := Parse(text, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		lines := strings.Split(text, "\n")
		for n := range lines {
			cut, err := Parse(strings.Join(lines[:n], "\n"), Options{})
			if err == nil && cut.Hash() != whole.Hash() {
				t.Errorf("%s without its last %d lines is read as another ring:\n%s", name, len(lines)-n, describe(cut))
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
