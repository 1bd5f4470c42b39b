package agent

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"

	"helenus/balance"
	"helenus/internal/meta"
	"helenus/internal/token"
)

// allocateTokens makes cluster.Config.Allocate: tokens for a node that joins, so
// that with factor replicas in its datacenter (the setting
// allocate_tokens_for_local_replication_factor) all nodes there store about as
// much for each of their tokens: a machine twice as large has twice as many.
// Factor 0 is nil: random tokens. For the same state it gives the same
// tokens, but for the first node of a datacenter: of two nodes that join at the
// same time one is refused and has to ask again with the newer state.
//
// More than allocatedTokensMax tokens are random ones: so many are about even by
// themselves, and choosing them takes longer than a start should.
func allocateTokens(factor int, rand func([]byte), log *slog.Logger) func(*meta.State, meta.Node, int) []token.Token {
	if factor == 0 {
		return nil
	}
	return func(s *meta.State, joins meta.Node, count int) []token.Token {
		if count > allocatedTokensMax {
			return randomTokens(s, count, rand)
		}
		tokens, err := joinTokens(s, &joins, count, factor, rand)
		if err != nil { // the ring is one that cannot be planned; a node may join it all the same
			log.Warn("tokens are chosen at random", "error", err)
			return randomTokens(s, count, rand)
		}
		return tokens
	}
}

const allocatedTokensMax = 64

func joinTokens(s *meta.State, joins *meta.Node, count, factor int, rand func([]byte)) ([]token.Token, error) {
	r, err := balance.NewRing(s.Partitioner.Name())
	if err != nil {
		return nil, err
	}
	for _, n := range s.Nodes {
		if n.HostID == joins.HostID {
			continue
		}
		node := balance.Node{ID: n.HostID.String(), DC: string(n.Datacenter), Rack: string(n.Rack)}
		for _, t := range n.Tokens {
			at, err := r.ParseToken(s.Partitioner.Format(t))
			if err != nil {
				return nil, fmt.Errorf("node %s: %w", n.HostID, err)
			}
			node.Tokens = append(node.Tokens, at)
		}
		r.Nodes = append(r.Nodes, node)
	}
	var chance [8]byte
	rand(chance[:])
	at, err := balance.JoinTokens(r, balance.Join{ID: joins.HostID.String(), DC: string(joins.Datacenter), Rack: string(joins.Rack)},
		count, factor, binary.BigEndian.Uint64(chance[:]))
	if err != nil {
		return nil, err
	}
	tokens := make([]token.Token, len(at))
	for i, p := range at {
		if tokens[i], err = s.Partitioner.Parse(r.FormatToken(p)); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func randomTokens(s *meta.State, count int, rand func([]byte)) []token.Token {
	taken := make(map[token.Token]bool)
	for _, n := range s.Nodes {
		for _, t := range n.Tokens {
			taken[t] = true
		}
	}
	tokens := make([]token.Token, 0, count)
	for len(tokens) < count {
		var key [16]byte
		rand(key[:])
		if t := s.Partitioner.Token(key[:]); !taken[t] {
			taken[t] = true
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, token.Token.Compare)
	return tokens
}
