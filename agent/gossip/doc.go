// Package gossip knows who is alive, and carries what nodes say of themselves.
//
// Nouns: Gossip (a node's end of it), View (an immutable picture: who is alive
// and what they say), Endpoint (one node in it), Members (a second opinion on
// who answers; memberlist, or Probes in simulations), Own (what this node says).
//
// agent makes it, hands its verbs to wire and runs it; coord and hint ask Alive,
// server compares two Views, operators read Facts.
//
// It never makes a member: who belongs to the cluster is metadata's to say
// (Options.Peers), and what others say about anybody else is dropped. It decides
// nothing about data, and never waits for a peer.
//
// The rules are in the pure core (core.go, phi.go, choose.go): no goroutine, no
// I/O, and the time is handed in. The room around it (gossip.go) sends what the
// core says over wire, once a second, and publishes Views.
package gossip
