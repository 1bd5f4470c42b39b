// Package assert states what only a programming error can break.
//
// Nouns: That (always checked), Invariant (checked under the build tag
// invariants), Invariants (whether that tag is set, for checks too costly to
// even prepare).
//
// Everybody may call it. It never judges input from a disk, a wire or a user:
// those get error values.
package assert

import "fmt"

// That panics when cond is false. Its args are boxed even when cond is true:
// where that allocation counts, put an if around the call.
func That(cond bool, msg string, args ...any) {
	if !cond {
		fail(msg, args)
	}
}

// Invariant panics when cond is false and the build tag invariants is set; else
// it compiles to nothing.
func Invariant(cond bool, msg string, args ...any) {
	if Invariants && !cond {
		fail(msg, args)
	}
}

// fail stands apart so that its callers stay small enough to be inlined.
func fail(msg string, args []any) {
	panic("assertion failed: " + fmt.Sprintf(msg, args...))
}
