package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	"helenus/balance"
)

// Kind is what a record says.
type Kind string

// The kinds of records.
const (
	KindBegin   Kind = "begin"   // of a plan
	KindStart   Kind = "start"   // of a move
	KindMoved   Kind = "moved"   // its end; Pending is who has to clean up
	KindCleaned Kind = "cleaned" // one node
	KindNext    Kind = "next"    // a step and its cleanup are over
	KindDone    Kind = "done"    // the plan is
	KindEnd     Kind = "end"     // it ended before its end; Reason says why
)

// Record is one line of the journal.
type Record struct {
	Kind    Kind     `json:"kind"`
	Plan    string   `json:"plan"`
	Step    int      `json:"step"`
	Node    string   `json:"node,omitempty"`
	Pending []string `json:"pending,omitempty"`
	Phase   Phase    `json:"phase,omitempty"`
	Reason  string   `json:"reason,omitempty"`
}

func (s *State) record(k Kind) Record {
	r := Record{Kind: k, Plan: PlanID(s.plan), Step: s.Step, Pending: slices.Clone(s.Pending)}
	if k == KindEnd {
		r.Phase, r.Reason = s.Phase, s.Reason
	}
	return r
}

// PlanID names a plan in the journal, by its steps and the ring it is for.
func PlanID(p *balance.Plan) string {
	h := sha256.New()
	fmt.Fprintln(h, p.RingHash)
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(h, "%s %q %q %q %q %q\n", s.Op, s.Node, s.From, s.To, s.Tokens, s.Cleanup)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// AppendRecord appends a line: the checksum of the rest, a space, JSON.
func AppendRecord(dst []byte, r Record) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic("balance/run: a record is always JSON: " + err.Error())
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.ChecksumIEEE(text))
	return append(append(dst, text...), '\n')
}

// recordMax bounds a line.
const recordMax = 1 << 20

// ReadJournal reads all lines. A torn last line never was: its effects had not
// begun. Damage before it is an error.
func ReadJournal(data []byte) ([]Record, error) {
	var out []Record
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		r, err := parseRecord(line)
		if err != nil && (!whole || len(rest) == 0) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("balance/run: journal line %d: %w", n, err)
		}
		if !whole {
			return out, nil // without its end it may not have been on disk in time
		}
		out = append(out, r)
		data = rest
	}
	return out, nil
}

func parseRecord(line []byte) (r Record, err error) {
	if len(line) < 9 || len(line) > recordMax || line[8] != ' ' {
		return r, fmt.Errorf("not a record")
	}
	sum, err := hex.DecodeString(string(line[:8]))
	if err != nil {
		return r, fmt.Errorf("checksum %q", line[:8])
	}
	text := line[9:]
	if want := crc32.ChecksumIEEE(text); uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]) != want {
		return r, fmt.Errorf("checksum is %s, content has %08x", line[:8], want)
	}
	return r, json.Unmarshal(text, &r)
}

// Recover goes on where a journal ends. ring is the one that the plan was made
// for, not the present one: that one is looked at first.
func Recover(p *balance.Plan, ring *balance.Ring, c Config, journal []Record) (State, []Effect, error) {
	s, effects, err := Begin(p, ring, c)
	if err != nil {
		return s, nil, err
	}
	id := PlanID(p)
	begun := false
	for i := range journal {
		r := &journal[i]
		if r.Plan != id {
			if !begun {
				// An earlier plan: what it left to be cleaned up still is.
				s.Pending = slices.Clone(r.Pending)
			}
			continue
		}
		begun = true
		s.Pending = slices.Clone(r.Pending)
		for r.Step > s.Step && s.after != nil {
			s.before, s.Step = s.after, s.Step+1
			if err := s.expect(); err != nil {
				return s, nil, err
			}
		}
		switch r.Kind {
		case KindDone:
			s.Phase = Done
		case KindEnd:
			s.Phase, s.Reason = r.Phase, r.Reason
		case KindMoved, KindCleaned:
			s.Phase = Cleaning
		default:
			s.Phase = Checking
		}
		if r.Step < 0 {
			s.Phase = Checking
		}
	}
	switch {
	case !begun && len(s.Pending) == 0:
		return s, effects, nil
	case s.Phase.Over():
		return s, nil, nil
	case len(s.Pending) > 0 && s.Phase != Cleaning:
		s.Phase, s.after, s.Step = Cleaning, s.before, s.Step-1
	}
	if s.Phase == Cleaning {
		s, effects = s.clean()
		return s, effects, nil
	}
	return s, []Effect{Observe{}}, nil
}
