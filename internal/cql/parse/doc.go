// Package parse turns CQL text into a tree and a tree into canonical text. The
// language is that of Cassandra 5.0 (CQL 3.4.7), the errors carry its texts.
//
// Nouns: Statement (one parsed statement), Expr (a value or a selector), Marker
// (a place for a bound value), TypeExpr (a type as written), Relation (one
// condition of WHERE).
//
// agent/query plans and executes the trees; ctl and stress read statements of
// users with it. It knows no schema: it never resolves a name, never checks a
// type and never sees a bound value. Trees alias the text they came from.
package parse
