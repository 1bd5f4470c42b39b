// Package server speaks the native protocol to clients: it accepts
// connections, turns frames into requests for agent/query and results into
// frames, and tells registered clients of events.
//
// Nouns: Server (listener and all connections), conn (one connection, its
// session and what it still owes its client), call (one request in flight and
// the bytes of its answer).
//
// agent makes it and runs it. It never looks into statements or values.
//
// A connection's goroutine decodes every frame that has arrived and starts each
// request; those that complete at once are answered together in one write. A
// request that has to wait is no goroutine but a pooled call; its completion, on
// whatever goroutine, appends the answer to the connection's buffer and wakes
// the connection's writer.
//
// What a client may cost is bounded three times: the reader stops at
// InFlightBytes or inFlightMax of its own connection, requests beyond the
// Budget of all are refused as Overloaded, and a client that takes nothing for
// writeTimeout is dropped by the watchdog.
package server
