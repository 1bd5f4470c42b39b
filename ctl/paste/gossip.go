package paste

import (
	"math/big"
	"strconv"
	"strings"
)

// isGossipHead tells whether a node's block of gossipinfo begins at a line: its
// name, then indented lines of which the first is generation.
func isGossipHead(lines []string, at int) bool {
	if at+1 >= len(lines) || lines[at] == "" || lines[at][0] == ' ' || lines[at][0] == '\t' {
		return false
	}
	return strings.HasPrefix(strings.TrimSpace(lines[at+1]), "generation:")
}

// gossip reads one node's block.
func (r *reader) gossip() error {
	head := r.at
	name := strings.TrimSpace(r.lines[r.at])
	name = name[strings.LastIndexByte(name, '/')+1:] // "/127.0.0.1" or "host/127.0.0.1"
	states := map[string]string{}
	for r.at++; r.at < len(r.lines); r.at++ {
		line := r.lines[r.at]
		if line == "" || line[0] != ' ' && line[0] != '\t' {
			break
		}
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		if version, rest, ok := strings.Cut(value, ":"); ok && isDigits(version) {
			value = rest // 2.1 and later print the version of a state
		}
		states[key] = value
	}
	end := r.at
	r.at = head
	status := states["STATUS_WITH_PORT"]
	if status == "" {
		status = states["STATUS"]
	}
	word, rest, _ := strings.Cut(status, ",")
	token, _, _ := strings.Cut(rest, ",")
	for _, need := range []string{"DC", "RACK"} {
		if states[need] == "" && word != "LEFT" && word != "removed" {
			return r.fail("gossipinfo of %s has no %s: the paste is cut off, or the node is none of the cluster any more", name, need)
		}
	}
	state := map[string]string{"NORMAL": "UN", "LEAVING": "UL", "MOVING": "UM", "BOOT": "UJ", "BOOT_REPLACE": "UJ", "shutdown": "DN", "hibernate": "DN"}[word]
	_, whole := states["TOKENS"] // the last line of a node, of all that have not left
	switch {
	case word == "LEFT" || word == "removed" || word == "removing":
		r.at = end
		return nil
	case status == "":
		return r.fail("gossipinfo of %s has no STATUS: the paste is cut off", name)
	case !whole:
		return r.fail("gossipinfo of %s ends before its line TOKENS: the paste is cut off", name)
	case state == "":
		return r.fail("gossipinfo of %s: unknown status %q", name, clip(word))
	}
	m := r.member(name, inGossip)
	m.hostID = states["HOST_ID"]
	if word == "NORMAL" && len(m.tokens) == 0 && isToken(token) {
		m.tokens = []string{token}
	}
	m.set(state, gossipLoad(states["LOAD"]), -1)
	err := r.place(m, states["DC"], states["RACK"])
	r.at = end
	return err
}

// gossipLoad reads a Java double.
func gossipLoad(s string) *big.Int {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v < 1e18) {
		return nil
	}
	n, _ := big.NewFloat(v).Int(nil)
	return n
}
