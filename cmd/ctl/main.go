// Command ctl looks after Helenus nodes; see package ctl. It only hands over
// the arguments, the streams and the environment, and exits with ctl's code.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"helenus/ctl"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	code := ctl.Run(ctx, ctl.Env{Name: os.Args[0], Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Exe: exe, Version: version,
		Getenv: os.Getenv, Terminal: isTerminal(os.Stdout)})
	stop()
	os.Exit(code)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
