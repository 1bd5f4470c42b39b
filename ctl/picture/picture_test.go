package picture

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/balance"
)

// random is a ring of nodes at random tokens.
func random(t *testing.T, nodes, tokens, racks, dcs int, seed uint64) *balance.Ring {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	type node struct {
		ID     string   `json:"id"`
		DC     string   `json:"dc"`
		Rack   string   `json:"rack"`
		Tokens []string `json:"tokens"`
	}
	in := struct {
		Nodes     []node           `json:"nodes"`
		Keyspaces []map[string]any `json:"keyspaces"`
	}{}
	rf := map[string]int{}
	for i := range nodes {
		n := node{fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), fmt.Sprint("dc", i%dcs+1), fmt.Sprint("r", i/dcs%racks+1), nil}
		for range tokens {
			n.Tokens = append(n.Tokens, fmt.Sprint(int64(rnd.Uint64())))
		}
		rf[n.DC] = min(2, nodes)
		in.Nodes = append(in.Nodes, n)
	}
	in.Keyspaces = []map[string]any{{"name": "ks", "strategy": "NetworkTopologyStrategy", "dcs": rf}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := balance.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// evenly moves every second node's token to the next place of an even ring: a
// plan that needs no planner, so that pictures stay as they are when it learns.
func evenly(t *testing.T, r *balance.Ring, mode string) (*balance.Plan, *balance.Verdict) {
	t.Helper()
	p := &balance.Plan{RingHash: r.Hash(), Goal: balance.Goal{Mode: mode, MovesMax: len(r.Nodes), Cleanup: balance.CleanupDeferred, NodesDown: true}}
	for i := 0; i < len(r.Nodes); i += 2 {
		n := &r.Nodes[i]
		to := new(big.Int).Mul(r.Circumference, big.NewInt(int64(i)))
		to.Div(to, big.NewInt(int64(len(r.Nodes)))).Add(to, r.Min)
		p.Steps = append(p.Steps, balance.Step{N: len(p.Steps) + 1, Op: balance.OpMove, Node: n.ID, From: r.FormatToken(n.Tokens[0]), To: to.String(),
			Bytes: "1000", Streams: []balance.Stream{{From: n.ID, To: r.Nodes[(i*7+3)%len(r.Nodes)].ID, Bytes: balance.Amount(fmt.Sprint(1000 * (i + 1)))}}})
	}
	v, err := balance.Verify(p, r)
	if err != nil {
		t.Fatal(err)
	}
	return p, v
}

// TestPictures reads testdata: "draw nodes=6 [tokens=1] [racks=3] [dcs=1] [plan]
// [mode=rack] [svg] [ascii] [color] [width=80]".
func TestPictures(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			nodes, tokens, racks, dcs, mode, width := 6, 1, 3, 1, balance.ModePrimary, 0
			for key, into := range map[string]any{"nodes": &nodes, "tokens": &tokens, "racks": &racks, "dcs": &dcs, "mode": &mode, "width": &width} {
				d.MaybeScanArgs(t, key, into)
			}
			r := random(t, nodes, tokens, racks, dcs, 7)
			v, err := balance.Verify(&balance.Plan{RingHash: r.Hash(), Goal: balance.Goal{Mode: mode}}, r)
			if err != nil {
				t.Fatal(err)
			}
			var p *balance.Plan
			if d.HasArg("plan") {
				p, v = evenly(t, r, mode)
			}
			draw := func() string {
				view := New(r, p, v.Ownership, v.Mode, func(a balance.Amount) string { return string(a) + " bytes" })
				if d.HasArg("svg") {
					return view.SVG("3 moves, a & b, <c>")
				}
				return view.Terminal(Style{Width: width, ASCII: d.HasArg("ascii"), Color: d.HasArg("color")})
			}
			out := draw()
			if again := draw(); again != out {
				t.Error("the same view is drawn in two ways")
			}
			if d.HasArg("svg") {
				wellFormed(t, out)
			}
			return strings.ReplaceAll(out, "\x1b", "ESC")
		})
	})
}

// wellFormed reads SVG as XML and looks for anything it would have to fetch.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, text)
		}
		if start, ok := tok.(xml.StartElement); ok {
			for _, a := range start.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || a.Name.Local == "href" {
					t.Fatalf("attribute %s=%q", a.Name.Local, a.Value)
				}
			}
		}
	}
}

// TestAnySize draws rings of all shapes: nothing panics, nothing is wider than
// the terminal.
func TestAnySize(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 5, 17, 64, 65, 130, 700} {
		for _, dcs := range []int{1, 4} {
			for _, tokens := range []int{1, 3} {
				r := random(t, nodes, tokens, 40, dcs, 1)
				v, err := balance.Verify(&balance.Plan{RingHash: r.Hash()}, r)
				if err != nil {
					t.Fatal(err)
				}
				view := New(r, nil, v.Ownership, v.Mode, func(balance.Amount) string { return "" })
				for _, width := range []int{40, 80, 200} {
					for line := range strings.Lines(view.Terminal(Style{Width: width})) {
						if n := len([]rune(strings.TrimRight(line, "\n"))); n > width && !strings.HasPrefix(line, "racks:") && !strings.HasPrefix(line, "of the ideal") {
							t.Errorf("%d nodes: a line of %d columns in a terminal of %d:\n%s", nodes, n, width, line)
						}
					}
				}
				wellFormed(t, view.SVG("t"))
			}
		}
	}
}
