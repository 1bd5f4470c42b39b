// Package stress puts load on a node and tells what the load's clients felt.
//
// Nouns: Table (whose keys and values follow from a seed, so that a read can be
// verified byte for byte without state), Workload (what the n-th operation is),
// Schedule (when it is meant to begin), Histogram (how long it took, counted
// from then) and Result. All of these are pure; only Run, with its lanes and
// its pacer, does I/O.
//
// `ctl stress` and the benchmarks call it. It never hides a schedule that was
// missed, never retries, and never measures an open loop from the moment at
// which it got round to sending.
package stress
