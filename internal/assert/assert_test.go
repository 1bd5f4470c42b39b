package assert_test

import (
	"testing"

	"helenus/internal/assert"
)

func panicOf(f func()) (got any) {
	defer func() { got = recover() }()
	f()
	return nil
}

func TestThat(t *testing.T) {
	if got := panicOf(func() { assert.That(true, "never") }); got != nil {
		t.Fatalf("a true condition panicked: %v", got)
	}
	want := "assertion failed: 3 of 4"
	if got := panicOf(func() { assert.That(false, "%d of %d", 3, 4) }); got != want {
		t.Fatalf("got %v, want %q", got, want)
	}
}

func TestInvariantFollowsTheBuildTag(t *testing.T) {
	if got := panicOf(func() { assert.Invariant(true, "never") }); got != nil {
		t.Fatalf("a true condition panicked: %v", got)
	}
	got := panicOf(func() { assert.Invariant(false, "broken") })
	if (got != nil) != assert.Invariants {
		t.Fatalf("Invariants=%v, panic %v", assert.Invariants, got)
	}
}
