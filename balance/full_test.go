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
