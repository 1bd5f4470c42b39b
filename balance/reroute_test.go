package balance

import (
	"slices"
	"testing"
)

// moved is what the shifts of a shifter stream, if every token's shift counts.
func (s *shifter) moved() (sum float64) {
	for i := range s.at {
		for _, forward := range []bool{true, false} {
			sum += s.shifted(i, forward) * s.rate(i)
		}
	}
	return sum
}

// TestReroute holds that cheaper ways for shifts leave all nodes in their bands
// and all tokens in their order, and are cheaper.
func TestReroute(t *testing.T) {
	was, is := 0.0, 0.0
	for seed := range 10 {
		w, err := newWork(bigRing(t, 18+seed, 8, 1+seed%2, 2, 0), Goal{Tolerance: "0.05"})
		if err != nil {
			t.Fatal(err)
		}
		tokens := make([][]Position, len(w.m.ring.Nodes))
		for v := range tokens {
			tokens[v] = slices.Clone(w.m.ring.Nodes[v].Tokens)
		}
		for i := range w.circles {
			s := w.shifterFor(&w.circles[i], tokens)
			in := s.run()
			before := s.moved()
			s.reroute()
			after := s.moved()
			if in && !s.content() {
				t.Errorf("seed %d: a node has left its band", seed)
			}
			if after > before*(1+1e-9) {
				t.Errorf("seed %d: %.4g streamed, not %.4g", seed, after, before)
			}
			turns := 0 // of the ring, from token to token
			for i := range s.at {
				if s.at[(i+1)%len(s.at)].less(s.at[i]) {
					turns++
				}
			}
			if turns != 1 {
				t.Errorf("seed %d: tokens have passed each other", seed)
			}
			was, is = was+before, is+after
		}
	}
	if is > 0.99*was {
		t.Errorf("%.4g of %.4g are streamed: there were cheaper ways", is, was)
	}
	t.Logf("%.3g", is/was)
}
