package balance

import (
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
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
	if p, err = MakePlan(r, Goal{}); err != nil || !strings.Contains(strings.Join(p.Warnings, "\n"), "disks can hold them is not checked") {
		t.Fatalf("tokens fill no disk: %v %v", err, p)
	}
	r.Keyspaces[0].PerToken = "1"
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
		{Goal{Join: []Join{{"g", "", ""}, {"g", "", ""}}}, "shall join twice"},
		{Goal{Join: []Join{{"g", "", ""}}, Leave: []string{"g"}}, "g shall leave, and is not in the ring"},
		{Goal{BytesMax: "x"}, "max_bytes"},
		{Goal{Throughput: "-1"}, "throughput"},
		{Goal{MovesMax: 1, Join: []Join{{"g", "", ""}, {"h", "", ""}}}, "need more moves or bytes"},
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
	r = parse(t, `{"circumference":300,"nodes":[{"id":"a","dc":"x","tokens":[0]},{"id":"b","dc":"x","tokens":[9]}],"keyspaces":[{"name":"k","strategy":"NetworkTopologyStrategy","dcs":{"x":2}}]}`)
	if _, err := MakePlan(r, Goal{Leave: []string{"a"}}); err == nil || !strings.Contains(err.Error(), "RF above nodes: 1 would be left in datacenter x, and keyspace k has 2 replicas there") {
		t.Errorf("too few would be left: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	const two = `{"circumference":300,"nodes":[{"id":"a","dc":"x","rack":"r","tokens":[0]},{"id":"b","dc":"x","rack":"r","tokens":[150]},{"id":"idle","dc":"x","rack":"r","tokens":[]}],"keyspaces":[`
	racks := `{"circumference":300,"nodes":[{"id":"a","dc":"x","rack":"r","tokens":[0]},{"id":"b","dc":"x","rack":"r","tokens":[150]},{"id":"c","dc":"x","rack":"s","tokens":[70]}],
		"keyspaces":[{"name":"k","strategy":"NetworkTopologyStrategy","dcs":{"x":2}}]}`
	for _, c := range []struct {
		ring, want string
		goal       Goal
	}{
		{two + `{"name":"k","strategy":"SimpleStrategy","rf":3}]}`, "RF above nodes: keyspace k wants 3 replicas in the cluster, which has 2 nodes", Goal{}},
		{two + `{"name":"k","strategy":"NetworkTopologyStrategy","dcs":{"x":1,"y":2}}]}`, "keyspace k wants 2 replicas in datacenter y, which has no node", Goal{}},
		{two + `{"name":"k","strategy":"SimpleStrategy","rf":1}]}`, "idle has no token and does not join: it is left out", Goal{}},
		{two + `{"name":"k","strategy":"SimpleStrategy","rf":1,"density":[["0","1"],["99","5000"],["100","1"]]}]}`,
			"a partition of keyspace k at token 100 holds 5000 bytes, more than the ideal share of a node, 2649", Goal{}},
		{two[:len(two)-len(`,"keyspaces":[`)] + `}`, "no keyspace is given", Goal{}},
		{two + `{"name":"k","strategy":"SimpleStrategy","rf":1}]}`, `rack "z" of datacenter "x", which n joins, has no other node`, Goal{Join: []Join{{"n", "x", "z"}}}},
		{two + `{"name":"k","strategy":"SimpleStrategy","rf":1}]}`, `datacenter "z", which n joins, has no other node`, Goal{Join: []Join{{"n", "z", "r"}}}},
		{racks, "rack s holds 1 of 3 nodes: its node must hold 100 % of the data of keyspace k", Goal{}},
		{strings.Replace(racks, `"x":2`, `"x":1`, 1), "mode rack balances arcs within racks, and keyspace k has 1 replicas for 2 racks", Goal{Mode: ModeRack}},
	} {
		p, err := MakePlan(parse(t, c.ring), c.goal)
		if err != nil || !strings.Contains(strings.Join(p.Warnings, "\n"), c.want) {
			t.Errorf("%s: %v, not %q: %+v", c.ring, err, c.want, p)
		}
	}
}

// TestRoundTrips holds that neither schema loses anything.
func TestRoundTrips(t *testing.T) {
	r := parse(t, `{"schema":"helenus.ring/1","circumference":"400","min":"-100","nodes":[
	{"id":"a","host_id":"h","dc":"x","rack":"r","weight":1.5,"state":"UN","load_bytes":"12","disk_free_bytes":"1000","tokens":["-7"]},
	{"id":"b","dc":"x","rack":"r","weight":"0.000125","tokens":[90]},{"id":"c","dc":"x","rack":"s","tokens":[150]}],
	"keyspaces":[{"name":"k","strategy":"NetworkTopologyStrategy","dcs":{"x":2},"bytes_per_token":"0.5","density":[["0","0.7"],["10","2"]]},
	{"name":"s","strategy":"SimpleStrategy","rf":1}]}`)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if back := parse(t, string(text)); !reflect.DeepEqual(back, r) {
		t.Errorf("%+v, not %+v: %s", back, r, text)
	}
	for _, part := range []string{`"weight":1.5`, `"weight":0.000125`, `"host_id":"h"`, `"tokens":["-7"]`, `"density":[["0","0.7"],["10","2"]]`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	p, err := MakePlan(bigRing(t, 6, 1, 2, 2, 0), Goal{Join: []Join{{"j", "dc1", "r0"}}, Leave: []string{"n3"}, Throughput: "1000", Headroom: "0.2", Tolerance: "0.01"})
	if err != nil {
		t.Fatal(err)
	}
	text, _ = json.Marshal(p)
	back, err := ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(back); string(again) != string(text) || !reflect.DeepEqual(back.Steps, p.Steps) {
		t.Errorf("%s, not %s", again, text)
	}
}

// FuzzParsePlan holds that no plan, however broken, breaks Verify.
func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(`{"steps":[{"op":"move","node":"f","from":"290","to":"260","cleanup":["a","f"]}],"claims":{"moves":1,"bytes":"30"}}`))
	f.Add([]byte(`{"goal":{"max_bytes":"x","join":["g@d/r"],"weights":{"a":"2"},"cleanup":"deferred"},"steps":[{"op":"bootstrap","node":"g","tokens":["1","2"]}]}`))
	f.Add([]byte(`{"goal":{"leave":["a"],"headroom":"0.5"},"steps":[{"op":"decommission","node":"a"},{"op":"move-token","node":"b","from":"60","to":"61"}]}`))
	r, err := Parse([]byte(classic))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePlan(data)
		if err != nil {
			return
		}
		if _, err := Verify(p, r); err != nil {
			return
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePlan(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	})
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
