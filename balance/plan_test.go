package balance

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) *Ring {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const classic = `{"circumference":300,"nodes":[
{"id":"a","tokens":[10]},{"id":"b","tokens":["60"]},{"id":"c","tokens":[110]},
{"id":"d","tokens":[160]},{"id":"e","tokens":[210]},{"id":"f","tokens":[290]}],
"keyspaces":[{"name":"ks","strategy":"SimpleStrategy","rf":2}]}`

func TestClassic(t *testing.T) {
	r := parse(t, classic)
	p, err := MakePlan(r, Goal{Frontier: 3, Throughput: "10"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Summary.Moves != 1 || p.Steps[0].To != "260" || p.Summary.Bytes != "30" || p.Summary.Proof != ProofExhaustive || p.Summary.ETA != 3 {
		t.Fatalf("%+v %+v", p.Summary, p.Steps)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(back, r)
	if err != nil || !v.Valid || !v.Balanced || v.Bytes != "30" {
		t.Fatalf("%+v %v", v, err)
	}
	again, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if parse(t, string(again)).Hash() != r.Hash() {
		t.Fatal("a ring does not survive JSON")
	}
}

func TestEvenRingsNeedNothing(t *testing.T) {
	for _, text := range []string{classic[:strings.Index(classic, "290")] + "260" + classic[strings.Index(classic, "290")+3:],
		`{"circumference":"300","nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[50]},{"id":"c","tokens":[100]},{"id":"d","tokens":[150]},{"id":"e","tokens":[200]},{"id":"f","tokens":[250]}]}`} {
		p, err := MakePlan(parse(t, text), Goal{})
		if err != nil || p.Summary.Moves != 0 || p.Summary.Proof != ProofExhaustive {
			t.Fatalf("%v %+v", err, p)
		}
	}
}

func TestTwoDatacentersDoNotCollide(t *testing.T) {
	r := parse(t, `{"nodes":[
	{"id":"a","dc":"x","tokens":["0"]},{"id":"b","dc":"x","tokens":["7"]},
	{"id":"c","dc":"y","tokens":["-9223372036854775808"]},{"id":"d","dc":"y","tokens":["9"]}],
	"keyspaces":[{"name":"ks","strategy":"NetworkTopologyStrategy","dcs":{"x":1,"y":1}}]}`)
	p, err := MakePlan(r, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(p, r); err != nil || !v.Valid {
		t.Fatalf("%+v %v", v, err)
	}
}

func TestWeightsAndSkew(t *testing.T) {
	r := parse(t, `{"circumference":400,"nodes":[
	{"id":"a","tokens":[0],"weight":2},{"id":"b","tokens":[90]},{"id":"c","tokens":[150]}],
	"keyspaces":[{"name":"ks","strategy":"SimpleStrategy","rf":1,"bytes_per_token":"0.5"}]}`)
	p, err := MakePlan(r, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Summary.Moves != 2 || p.Ownership.After["a"].Bytes != "100" {
		t.Fatalf("%+v %+v", p.Summary, p.Ownership.After)
	}
	r = parse(t, `{"circumference":400,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[200]}],
	"keyspaces":[{"name":"ks","strategy":"SimpleStrategy","rf":1,"density":[["0","3"],["100","1"]]}]}`)
	if p, err = MakePlan(r, Goal{}); err != nil {
		t.Fatal(err)
	}
	// b stays: 99 bytes and a third of a token off, against 100 bytes for a's staying.
	if p.Summary.Moves != 1 || p.Summary.Bytes != "99" || p.Ownership.After["a"].Bytes != "299" || p.Ownership.After["b"].Bytes != "301" {
		t.Fatalf("%+v %+v", p.Summary, p.Ownership.After)
	}
}

func TestMovesMaxAndDisk(t *testing.T) {
	r := bigRing(t, 12, 1, 1, 2, 0)
	before, err := MakePlan(r, Goal{Frontier: 5})
	if err != nil {
		t.Fatal(err)
	}
	last := before.Ownership.Stats.Before.Worst
	for k, f := range before.Frontier[:4] {
		if f.Moves != k || k > 0 && f.Worst >= last {
			t.Fatalf("%+v", before.Frontier)
		}
	}
	p, err := MakePlan(r, Goal{MovesMax: 3})
	if err != nil || p.Summary.Moves != 3 {
		t.Fatalf("%v", err)
	}
	if v, err := Verify(p, r); err != nil || !v.Valid || v.Balanced {
		t.Fatalf("%+v %v", v, err)
	}
	for i := range r.Nodes {
		r.Nodes[i].DiskFree = big.NewInt(1)
	}
	var impossible *Impossible
	if _, err := MakePlan(r, Goal{}); !errors.As(err, &impossible) || !strings.Contains(err.Error(), "disk") {
		t.Fatalf("%v", err)
	}
}

func TestVnodesAndGrowth(t *testing.T) {
	r := bigRing(t, 9, 8, 3, 3, 0)
	growth, err := Simulate(r, Goal{Tolerance: "0.1"}, []int{10, 12})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range growth {
		if g.Worst > 0.1 {
			t.Fatalf("%+v", g)
		}
	}
	single, err := Simulate(bigRing(t, 3, 1, 1, 2, 0), Goal{}, []int{4, 8, 16})
	if err != nil {
		t.Fatal(err)
	}
	if single[2].Moves != 0 || single[2].Worst > 1e-9 {
		t.Fatalf("doubling an even ring takes no move: %+v", single)
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct{ ring, want string }{
		{`{"circumference":300,"nodes":[]}`, "no nodes"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[]}]}`, "no node has a token"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1]},{"id":"b","tokens":[1]}]}`, "token 1 belongs to a and to b"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[300]}]}`, "out of range: the ring runs from 0 to 299"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1]},{"id":"a","tokens":[2]}]}`, "listed twice"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":["x"]}]}`, "not a number"},
		{`{"circumference":0,"nodes":[{"id":"a","tokens":[0]}]}`, "circumference"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1],"weight":-1}]}`, "weight"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1]}],"keyspaces":[{"name":"k","strategy":"SimpleStrategy"}]}`, "needs rf"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1]}],"keyspaces":[{"name":"k","strategy":"Foo","rf":1}]}`, "unknown strategy"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[1]}],"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1,"bytes_per_token":"-1"}]}`, "not a density"},
		{`{"circumference":300,"nodes":[{"id":"a","tok`, "ring JSON"},
	} {
		if _, err := Parse([]byte(c.ring)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.ring, err, c.want)
		}
	}
	for _, c := range []struct {
		goal Goal
		want string
	}{
		{Goal{Tolerance: "5"}, "tolerance"},
		{Goal{Mode: "even"}, "mode"},
		{Goal{Leave: []string{"z"}}, "not in the ring"},
		{Goal{Join: []Join{{"a", "", ""}}}, "is in the ring"},
		{Goal{Objective: []string{"moves", "moves"}}, "objective"},
		{Goal{Racks: RacksIgnore, Objective: []string{"rack"}}, "ignored"},
		{Goal{Weights: map[string]Decimal{"z": "2"}}, "no such node"},
		{Goal{Leave: []string{"a", "b", "c", "d", "e", "f"}}, "nobody is left"},
	} {
		if _, err := MakePlan(parse(t, classic), c.goal); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, not %q", c.goal, err, c.want)
		}
	}
	r := parse(t, classic)
	r.Nodes[2].State = "DN"
	if _, err := MakePlan(r, Goal{}); err == nil || !strings.Contains(err.Error(), "c is down") {
		t.Errorf("a node down: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(classic))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
