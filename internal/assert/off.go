//go:build !invariants

package assert

// Invariants tells whether costly checks are compiled in.
const Invariants = false
