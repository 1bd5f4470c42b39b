package ctl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"helenus/balance"
)

// scriptHead is what the script's steps call. Every step looks first whether it
// was done or whether the ring has changed, so the script can be run again.
const scriptHead = `set -eu
nodetool=${NODETOOL:-nodetool}

tokens() { # of a node
  info=$($nodetool -h "$1" info -T) || { echo "nodetool cannot reach $1" >&2; exit 1; }
  printf '%s\n' "$info" | sed -n 's/^Token  *: *//p'
}
move() { # node $1 from token $2 to token $3; later steps move it on to the others
  mover=$1 from=$2 to=$3
  held=$(tokens "$mover") || exit 1
  if [ "$held" = "$from" ]; then
    echo "moving $mover from $from to $to"
    $nodetool -h "$mover" move -- "$to"
    return
  fi
  shift 2
  for token in "$@"; do
    if [ "$held" = "$token" ]; then echo "$mover is at $token already"; return; fi
  done
  echo "$mover is not at $from: the ring has changed, make a new plan" >&2
  exit 4
}
cleanup() { # of nodes, one after another
  for node in "$@"; do
    echo "cleaning up $node"
    $nodetool -h "$node" cleanup
  done
}
`

const scriptJoin = `join() { # wait until node $1, which somebody starts, is in the ring; later steps move it on to the tokens from $4 on
  echo "start $1 now, with auto_bootstrap and these settings: num_tokens: $2, initial_token: $3"
  until [ "$($nodetool -h "$1" netstats 2>/dev/null | sed -n 's/^Mode: //p')" = NORMAL ]; do sleep 10; done
  joiner=$1 wanted=$3
  held=$(tokens "$joiner") || exit 1
  shift 3
  for token in "$@"; do
    if [ "$held" = "$token" ]; then echo "$joiner is at $token already"; return; fi
  done
  for token in $(echo "$wanted" | tr -d ','); do
    printf '%s\n' "$held" | grep -qxF -e "$token" || { echo "$joiner has joined without token $token, make a new plan" >&2; exit 4; }
  done
}
`

// scriptLeave asks at a node that stays, whose own row shows that status writes
// nodes as expected: by host id, or by address where the plan knows no host id.
const scriptLeave = `here() { # does the status of node $3, which itself is there as $4, show node $1 as $2?
  status=$($nodetool -h "$3" status) || { echo "nodetool cannot reach $3" >&2; exit 1; }
  printf '%s\n' "$status" | grep -qF -e " $4 " || { echo "nodetool status at $3 shows no $4: whether $1 has left is not known" >&2; exit 1; }
  printf '%s\n' "$status" | grep -qF -e " $2 "
}
leave() { # a node, named as for here
  if here "$@"; then
    echo "decommissioning $1"
    $nodetool -h "$1" decommission
  else
    echo "$1 has left already"
  fi
}
`

// scribe writes the steps of a plan as calls of the script's functions.
type scribe struct {
	ring   *balance.Ring
	plan   *balance.Plan
	leaves map[string]int // by node: the step in which it leaves
}

func newScribe(r *balance.Ring, p *balance.Plan) *scribe {
	w := &scribe{r, p, map[string]int{}}
	for i := range p.Steps {
		if p.Steps[i].Op == balance.OpLeave {
			w.leaves[p.Steps[i].Node] = i
		}
	}
	return w
}

// step is what step i does, and the cleanup after it.
func (w *scribe) step(i int) (string, error) {
	s := &w.plan.Steps[i]
	var line string
	switch s.Op {
	case balance.OpMove, "":
		line = fmt.Sprintf("move %s %s %s%s", shell(s.Node), shell(s.From), shell(s.To), w.movesOn(i, s.Node))
	case balance.OpLeave:
		line = "leave " + w.whereabouts(s.Node)
	case balance.OpJoin:
		tokens := s.Tokens
		if len(tokens) == 0 {
			tokens = []string{s.To}
		}
		line = fmt.Sprintf("join %s %d %s%s", shell(s.Node), len(tokens), shell(strings.Join(tokens, ", ")), w.movesOn(i, s.Node))
	default:
		return "", ending{exitImpossible, fmt.Errorf("step %d moves one of several tokens of %s, which nodetool cannot: there it takes a decommission and a bootstrap with initial_token", s.N, s.Node)}
	}
	var out strings.Builder
	fmt.Fprintln(&out, w.whileHere(i, s.Node, line))
	var nodes []string
	for _, id := range s.Cleanup {
		if w.leaves[id] > i {
			fmt.Fprintln(&out, w.whileHere(i, id, "cleanup "+shell(id)))
			continue
		}
		nodes = append(nodes, shell(id))
	}
	if len(nodes) > 0 {
		fmt.Fprintf(&out, "cleanup %s\n", strings.Join(nodes, " "))
	}
	return out.String(), nil
}

// movesOn are the tokens that steps after i move a node to: when the script is
// run again it may be there.
func (w *scribe) movesOn(i int, node string) (out string) {
	for _, s := range w.plan.Steps[i+1:] {
		if s.Node == node && (s.Op == balance.OpMove || s.Op == "") {
			out += " " + shell(s.To)
		}
	}
	return out
}

// whileHere skips a line about a node that leaves in a later step: when the
// script is run again it may have left.
func (w *scribe) whileHere(i int, node, line string) string {
	if w.leaves[node] > i {
		return fmt.Sprintf("if here %s; then %s; fi", w.whereabouts(node), line)
	}
	return line
}

// whereabouts are the arguments of here.
func (w *scribe) whereabouts(node string) string {
	stays := w.bystander(node)
	return strings.Join([]string{shell(node), shell(w.inStatus(node)), shell(stays), shell(w.inStatus(stays))}, " ")
}

// bystander is a node that stays.
func (w *scribe) bystander(not string) string {
	for i := range w.ring.Nodes {
		n := &w.ring.Nodes[i]
		if _, leaves := w.leaves[n.ID]; !leaves && len(n.Tokens) > 0 && !slices.Contains(w.plan.Goal.Leave, n.ID) {
			return n.ID
		}
	}
	return not
}

// inStatus is what nodetool status surely shows of a node: its host id, or, if
// the ring does not tell it, the address as Java writes it.
func (w *scribe) inStatus(node string) string {
	for i := range w.ring.Nodes {
		if n := &w.ring.Nodes[i]; n.ID == node && n.HostID != "" {
			return n.HostID
		}
	}
	a, err := netip.ParseAddr(node)
	if err != nil || a.Unmap().Is4() {
		return node
	}
	bytes := a.As16()
	var groups []string
	for i := 0; i < len(bytes); i += 2 {
		groups = append(groups, fmt.Sprintf("%x", int(bytes[i])<<8|int(bytes[i+1])))
	}
	return strings.Join(groups, ":")
}

// script writes a plan as a shell script for a real Cassandra.
func (b *balancing) script(r *balance.Ring, p *balance.Plan) (string, error) {
	var steps strings.Builder
	joins := false
	w := newScribe(r, p)
	for i := range p.Steps {
		s := &p.Steps[i]
		joins = joins || s.Op == balance.OpJoin
		text, err := w.step(i)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&steps, "\n# %d of %d: %s streamed\n%s", s.N, len(p.Steps), b.bytes(r, p)(s.Bytes), text)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "#!/bin/sh\n# %s\n# Made for the ring %s.\n# NODETOOL is how nodetool is called here, with its user and port; it must reach all nodes.\n%s",
		b.headline(r, p), r.Hash(), scriptHead)
	if joins {
		out.WriteString(scriptJoin)
	}
	if len(w.leaves) > 0 {
		out.WriteString(scriptLeave)
	}
	out.WriteString(steps.String())
	return out.String(), nil
}

// shell quotes a word where it needs it.
func shell(s string) string {
	plain := s != ""
	for _, c := range s {
		plain = plain && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-._:", c))
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
