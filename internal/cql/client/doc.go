// Package client is a small, fast client of the native protocol: one
// connection to one node, many requests in flight on it.
//
// Nouns: Conn (a connection that has been agreed on), Call (a request with a
// completion), Result (an answer with its own memory), Prepared (a statement
// the node knows).
//
// ctl, stress, internal/sim and tests call it. It never dials by itself, never
// knows a cluster (which node to ask, when to try another), and never retries
// but for one case: a statement the node has forgotten is prepared again.
package client
