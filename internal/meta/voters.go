package meta

import (
	"bytes"
	"fmt"
	"slices"

	"helenus"
)

// levelOf is the feature level that every member must have before a change may be
// decided: the first whose builds can read it.
func levelOf(c Change) Level {
	switch c.(type) {
	case SetVoters, Recover:
		return VotersLevel
	}
	return 0
}

// VotersMax is the greatest number of voters.
const VotersMax = 5

func (c SetVoters) apply(s *State) (*State, error) {
	switch len(c.Voters) {
	case 1, 3, VotersMax:
	default:
		return nil, fmt.Errorf("meta: %d voters; there are 1, 3 or %d", len(c.Voters), VotersMax)
	}
	if c.Group == (GroupID{}) || c.Group == s.Group {
		return nil, fmt.Errorf("meta: a set of voters needs an id of its own")
	}
	for i, id := range c.Voters {
		if s.Node(id) == nil {
			return nil, fmt.Errorf("meta: voter %s is no member", id)
		}
		if i > 0 && bytes.Compare(c.Voters[i-1][:], id[:]) >= 0 {
			return nil, fmt.Errorf("meta: voter %s is out of order", id)
		}
	}
	if slices.Equal(c.Voters, s.Voters) {
		return s, nil
	}
	n := s.clone()
	n.Voters, n.Group = c.Voters, c.Group
	return n, nil
}

func (c Recover) apply(s *State) (*State, error) {
	if s.Node(c.Voter) == nil {
		return nil, fmt.Errorf("meta: node %s is no member and cannot recover the metadata", c.Voter)
	}
	if c.Group == (GroupID{}) || c.Group == s.Group {
		return nil, fmt.Errorf("meta: a set of voters needs an id of its own")
	}
	n := s.clone()
	n.Voters, n.Group = []helenus.HostID{c.Voter}, c.Group
	return n, nil
}

// IsVoter tells whether a node is one of the voters.
func (s *State) IsVoter(id helenus.HostID) bool { return slices.Contains(s.Voters, id) }

// firstVoter is what the set of voters is before anybody chose one: the first
// member, as long as it is alone.
func (s *State) firstVoter() []helenus.HostID {
	if len(s.Nodes) != 1 {
		return nil
	}
	return []helenus.HostID{s.Nodes[0].HostID}
}

// votersImplied tells whether the voters follow from the members; then they are
// not written down.
func (s *State) votersImplied() bool {
	return s.Group == (GroupID{}) && slices.Equal(s.Voters, s.firstVoter())
}

func (c *SetVoters) code(x *coder) {
	list(x, &c.Voters, codeHostID)
	x.fixed(c.Group[:])
}

func (c *Recover) code(x *coder) {
	x.fixed(c.Voter[:])
	x.fixed(c.Group[:])
}

func codeHostID(x *coder, id *helenus.HostID) { x.fixed(id[:]) }

// codeVoters is what version 2 of a State adds; where they are implied it has
// version 1.
func codeVoters(x *coder, s *State) {
	list(x, &s.Voters, codeHostID)
	x.fixed(s.Group[:])
	if !x.reading || x.err != nil {
		return
	}
	for i, id := range s.Voters {
		if s.Node(id) == nil || i > 0 && bytes.Compare(s.Voters[i-1][:], id[:]) >= 0 {
			x.fail(fmt.Errorf("voter %s is no member or out of order", id))
			return
		}
	}
}
