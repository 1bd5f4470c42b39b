package ctl

import (
	"fmt"
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
has() { tokens "$1" > /dev/null; tokens "$1" | grep -qxF -e "$2"; }
move() { # a node from a token to a token
  if has "$1" "$3"; then echo "$1 is at $3 already"; return; fi
  has "$1" "$2" || { echo "$1 is not at $2: the ring has changed, make a new plan" >&2; exit 4; }
  echo "moving $1 from $2 to $3"
  $nodetool -h "$1" move -- "$3"
}
cleanup() { # of nodes, one after another
  for node in "$@"; do
    echo "cleaning up $node"
    $nodetool -h "$node" cleanup
  done
}
`

const scriptJoin = `join() { # wait until a node that somebody starts is in the ring
  echo "start $1 now, with auto_bootstrap and these settings: num_tokens: $2, initial_token: $3"
  until [ "$($nodetool -h "$1" netstats 2>/dev/null | sed -n 's/^Mode: //p')" = NORMAL ]; do sleep 10; done
  for token in $(echo "$3" | tr -d ','); do
    has "$1" "$token" || { echo "$1 has joined without token $token, make a new plan" >&2; exit 4; }
  done
}
`

const scriptLeave = `leave() { # a node, asked at another whether it is still there
  if $nodetool -h "$2" status | grep -qF -e " $1 "; then
    echo "decommissioning $1"
    $nodetool -h "$1" decommission
  else
    echo "$1 has left already"
  fi
}
`

// script writes a plan as a shell script for a real Cassandra.
func (b *balancing) script(r *balance.Ring, p *balance.Plan) (string, error) {
	var steps strings.Builder
	joins, leaves := false, false
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(&steps, "\n# %d of %d: %s streamed\n", s.N, len(p.Steps), b.bytes(r, p)(s.Bytes))
		switch s.Op {
		case balance.OpMove, "":
			fmt.Fprintf(&steps, "move %s %s %s\n", shell(s.Node), shell(s.From), shell(s.To))
		case balance.OpLeave:
			leaves = true
			fmt.Fprintf(&steps, "leave %s %s\n", shell(s.Node), shell(bystander(r, p, s.Node)))
		case balance.OpJoin:
			joins = true
			tokens := s.Tokens
			if len(tokens) == 0 {
				tokens = []string{s.To}
			}
			fmt.Fprintf(&steps, "join %s %d %s\n", shell(s.Node), len(tokens), shell(strings.Join(tokens, ", ")))
		default:
			return "", ending{exitImpossible, fmt.Errorf("step %d moves one of several tokens of %s, which nodetool cannot: there it takes a decommission and a bootstrap with initial_token", s.N, s.Node)}
		}
		if len(s.Cleanup) > 0 {
			var nodes []string
			for _, id := range s.Cleanup {
				nodes = append(nodes, shell(id))
			}
			fmt.Fprintf(&steps, "cleanup %s\n", strings.Join(nodes, " "))
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "#!/bin/sh\n# %s\n# Made for the ring %s.\n# NODETOOL is how nodetool is called here, with its user and port; it must reach all nodes.\n%s",
		b.headline(r, p), p.RingHash, scriptHead)
	if joins {
		out.WriteString(scriptJoin)
	}
	if leaves {
		out.WriteString(scriptLeave)
	}
	out.WriteString(steps.String())
	return out.String(), nil
}

// bystander is a node that stays.
func bystander(r *balance.Ring, p *balance.Plan, not string) string {
	leaving := map[string]bool{not: true}
	for _, id := range p.Goal.Leave {
		leaving[id] = true
	}
	for i := range r.Nodes {
		if id := r.Nodes[i].ID; !leaving[id] {
			return id
		}
	}
	return not
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
