package balance

import (
	"errors"
	"testing"
)

// TestFullRing holds that planning ends where no token, or hardly one, is free.
func TestFullRing(t *testing.T) {
	for _, text := range []string{
		`{"circumference":4,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[1]},{"id":"c","tokens":[2]},{"id":"d","tokens":[3]}]}`,
		`{"circumference":4,"nodes":[{"id":"a","tokens":[0,1]},{"id":"b","tokens":[2,3]}]}`,
		`{"circumference":5,"nodes":[{"id":"a","dc":"x","tokens":[0]},{"id":"b","dc":"y","tokens":[1]},{"id":"c","dc":"x","tokens":[2]},{"id":"d","dc":"y","tokens":[3]}]}`,
	} {
		for _, g := range []Goal{{}, {Join: []Join{{"n", "x", ""}}}, {Objective: []string{ByBytes}}, {Leave: []string{"a"}}} {
			var impossible *Impossible
			if p, err := MakePlan(parse(t, text), g); err == nil {
				if v, err := Verify(p, parse(t, text)); err != nil || !v.Valid {
					t.Errorf("%s %+v: %v", text, g, err)
				}
			} else if g.Join == nil && !errors.As(err, &impossible) {
				t.Errorf("%s %+v: %v", text, g, err)
			}
		}
	}
}

// TestLastOfItsRack holds that planning ends where the one node that holds a
// token leaves, and another one comes: every arc is the whole ring.
func TestLastOfItsRack(t *testing.T) {
	r := parse(t, `{"circumference":14,"nodes":[{"id":"n0","dc":"d","rack":"r0","weight":2,"tokens":[4]},{"id":"n1","dc":"e","rack":"r1","tokens":[5]}],
		"keyspaces":[{"name":"k","strategy":"NetworkTopologyStrategy","dcs":{"d":2,"e":1},"bytes_per_token":"3","density":[["2","2"],["5","1"]]}]}`)
	_, err := MakePlan(r, Goal{Mode: ModeReplicated, Racks: RacksIgnore, Join: []Join{{"n2", "d", "r0"}}, Leave: []string{"n0"}})
	if impossible := (*Impossible)(nil); !errors.As(err, &impossible) {
		t.Errorf("one node for two replicas: %v", err)
	}
}
