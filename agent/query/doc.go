// Package query turns statements into reads and writes: it prepares, binds,
// plans, pages, projects and aggregates.
//
// Nouns: Engine (the statements a node has prepared and the doors it works
// through), Session (one connection's state), Request (one statement on its
// way), Prepared (a parsed and planned statement), RowWriter (where result
// rows go).
//
// server calls Engine.Execute; agent hands in a Coordinator and a Metadata. It
// never sees frames, sockets or files, and never blocks on the request path:
// a Request is completed exactly once through its Owner, at once or later from
// another goroutine.
package query
