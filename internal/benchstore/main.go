// Package main measures Helenus' storage engine beside Pebble on equal work:
// `make bench-store`. It is a module of its own, so that Pebble and what it
// needs never become dependencies of Helenus.
//
// Nouns: engine (store or Pebble behind one interface), process (one engine in
// an operating system process of its own, so that the CPU time of everything it
// does, background included, is counted), step (one load on one engine), cell
// (a load on both engines, in turns), plan (the sizes).
//
// Only make runs it. It never listens, and never touches files outside of the
// folder that it makes and removes.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchstore:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	p, err := planFromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return compare(p, os.Stdout)
	case len(args) == 3: // what compare starts
		return serve(p, args[0], args[1], args[2], os.Stdin, os.Stdout)
	}
	return fmt.Errorf("no arguments are known; sizes come from the environment: %s", variables)
}
