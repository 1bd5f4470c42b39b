// Package wire carries messages between nodes: a Call goes to the handler of
// its verb, at this node directly and at another over a connection, and
// completes exactly once.
//
// Nouns: Wire (a node's end of all messages), Verb (one kind of question, with
// its Lane), Call (a question on its way), Request (the same question at its
// handler), Target (whom to ask).
//
// gossip, cluster, coord and the services call it; agent makes it and hands in
// the table of verbs. It knows no rooms, never looks into messages, never
// retries and never blocks a caller.
//
// A node asks over connections of its own, one for each lane that it uses, and
// gets the answers on the same ones: requests flow one way, answers the other.
// The asking side's reader never writes, so two nodes cannot wait for each
// other's buffers. What an answer or a request holds is bounded by bytes, for
// each peer and for the node; beyond it calls fail at once as Overloaded.
//
// One timer serves all deadlines, heartbeats and idle connections of a node:
// every link keeps its own deadlines sorted under the lock it holds anyway, and
// tells the clock when its first one comes.
package wire
