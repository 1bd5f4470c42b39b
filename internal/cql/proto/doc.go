// Package proto is CQL's native protocol as bytes: versions 3 to 5, both
// directions, without a socket.
//
// Nouns: Header and Envelope (one message), Request and Response (a message's
// contents, reusable, their slices aliasing the bytes they came from),
// RowsWriter (a result written row by row into the caller's buffer), Decoder
// and Writer (one connection's two directions: envelopes in and out of v5
// segments, with compression).
//
// agent/server reads requests and writes responses with it, internal/cql/client
// the other way round. It never reads or writes a connection, never starts a
// goroutine, and never allocates by a length that the bytes do not bear out.
// Section numbers in comments are those of the published specifications,
// native_protocol_v3.spec to native_protocol_v5.spec.
package proto
