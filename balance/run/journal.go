package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"helenus/balance"
)

// Kind is what a record says.
type Kind string

// The kinds of records.
const (
	KindBegin   Kind = "begin"   // of a plan, which is in it
	KindStart   Kind = "start"   // of a move
	KindMoved   Kind = "moved"   // its end
	KindCleaned Kind = "cleaned" // one node
	KindPaused  Kind = "paused"
	KindResumed Kind = "resumed"
	KindAborted Kind = "aborted" // it was ordered to
	KindDone    Kind = "done"    // the plan is
	KindEnd     Kind = "end"     // it ended before its end; Reason says why
)

// Record is one line of the journal.
type Record struct {
	Kind    Kind     `json:"kind"`
	Plan    string   `json:"plan"`
	Step    int      `json:"step"` // how many have moved
	Node    string   `json:"node,omitempty"`
	Pending []string `json:"pending,omitempty"`
	Owed    []string `json:"owed,omitempty"`

	Paused   bool   `json:"paused,omitempty"`
	Aborting bool   `json:"aborting,omitempty"`
	Phase    Phase  `json:"phase,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Work     *Work  `json:"work,omitempty"`
}

// Work is a plan and the ring it was made for.
type Work struct {
	Plan *balance.Plan `json:"plan"`
	Ring *balance.Ring `json:"ring"`
}

func (s *State) record(k Kind) Record {
	r := Record{Kind: k, Plan: PlanID(s.plan), Step: s.Step, Pending: slices.Clone(s.Pending), Owed: slices.Clone(s.Owed),
		Paused: s.Paused, Aborting: s.Aborting}
	if k == KindEnd {
		r.Phase, r.Reason = s.Phase, s.Reason
	}
	return r
}

// beginning is the record with the plan, without what only its readers need.
func (s *State) beginning() Record {
	r := s.record(KindBegin)
	p := *s.plan
	p.Ownership, p.Frontier = balance.Ownership{}, nil
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		step := &p.Steps[i]
		step.Streams, step.Ranges, step.DiskAfter = nil, nil, nil
	}
	r.Work = &Work{&p, s.before}
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

// recordMax bounds a line; the longest is that of a plan with its ring.
const recordMax = 1 << 28

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

// Recover goes on where a journal ends.
func Recover(c Config, journal []Record) (State, []Effect, error) {
	last, begins := -1, 0
	for i := range journal {
		if journal[i].Kind == KindBegin && journal[i].Work != nil {
			last = i
			begins++
		}
	}
	if last < 0 {
		return State{}, nil, errJournal
	}
	work := journal[last].Work
	if work.Plan == nil || work.Ring == nil {
		return State{}, nil, errJournal
	}
	s, _, err := Begin(work.Plan, work.Ring, c)
	if err != nil {
		return State{}, nil, err
	}
	s.Replans, s.Phase = begins-1, Checking
	for i := range journal[last:] {
		if err := s.replay(&journal[last+i]); err != nil {
			return State{}, nil, err
		}
	}
	if s.Phase.Over() {
		return s, nil, nil
	}
	if s.Aborting && !s.begun { // else the ring tells first whether that move was done
		s.Pending = union(s.Pending, s.Owed)
	}
	if len(s.Pending) > 0 {
		s.Phase = Cleaning
		s, effects := s.again()
		return s, effects, nil
	}
	s, effects := s.again()
	return s, effects, nil
}

// replay takes a record in.
func (s *State) replay(r *Record) error {
	for r.Step > s.Step && s.after != nil {
		if err := s.pass(); err != nil {
			return err
		}
	}
	s.Pending, s.Owed, s.resting = slices.Clone(r.Pending), slices.Clone(r.Owed), s.Step > 0
	s.Paused, s.Aborting = r.Paused, r.Aborting
	switch r.Kind {
	case KindStart:
		s.begun = true
	case KindDone:
		s.Phase = Done
	case KindEnd:
		s.Phase, s.Reason = r.Phase, r.Reason
	}
	return nil
}

var errJournal = errors.New("balance/run: the journal holds no plan")
