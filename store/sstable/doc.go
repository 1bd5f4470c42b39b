// Package sstable writes and reads Cassandra's table files, byte for byte.
//
// Nouns: Descriptor (which set of files), Writer (makes a set from sorted
// partitions), Table (an open set: point reads, ranges, scans), Txn (the log
// that makes several sets appear and disappear as one), Meta (what a set says
// about its contents).
//
// store flushes and reads through it, compact rewrites through it, ctl looks
// into foreign sets with it. A set of files never changes after it is complete
// and is never half visible. It does not merge, does not decide what may be
// purged, and asks for the time nowhere.
//
// Versions nb and oa are written; nb and oa are read. What else Cassandra calls
// BIG differs in the places that version.go lists.
package sstable
