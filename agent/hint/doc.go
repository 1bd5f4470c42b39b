// Package hint keeps what other nodes missed and brings it to them when they
// are back.
//
// Nouns: Hints (all that is kept here), queue (the hints for one node, oldest
// first), segment (a file of a queue), notes (what must survive a restart beside
// the hints), credits (how many bytes of hints this node takes from others at
// once).
//
// coord stores hints, agent makes and runs this room. It never decides who is
// alive or who owns a key, never waits in Store, and never promises: what it
// cannot keep it notes as needing repair, by node and table.
//
// A hint is for a host id, and only as long as that is a member. Hints are
// delivered in the order in which they came; one may be delivered twice, which
// changes nothing. docs/format/hints.md has the files and messages.
package hint
