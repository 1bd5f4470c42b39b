package main

import (
	"os"
	"strings"
	"testing"
)

// TestBackground: work is done when it returns, on a thread of lower priority,
// and nobody else is slowed down by it.
func TestBackground(t *testing.T) {
	nice := func() string {
		text, err := os.ReadFile("/proc/thread-self/stat")
		if err != nil {
			t.Fatal(err)
		}
		// Field 19, counted from behind the name.
		return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[16]
	}
	before, within := nice(), ""
	for range 10 {
		background(func() { within = nice() })
		if within != "10" {
			t.Errorf("nice %s in the background, want 10", within)
		}
		if after := nice(); after != before {
			t.Errorf("nice %s behind it, want %s", after, before)
		}
	}
}
