// Package ctl is the operators' command: verbs, their output, a lab of nodes
// on this machine.
//
// Its nouns are the verb (one file for each family), the layout (nodetool's
// where nodetool has the verb) and the lab (nodes that `ctl up` starts).
// cmd/ctl calls Run. It never touches a node's files: what it knows comes
// through ctl/node.
package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"helenus/ctl/helenus"
	"helenus/ctl/node"
	"helenus/internal/report"
)

// The exit codes, as nodetool's.
const (
	exitDone    = 0
	exitBadUse  = 1 // the command cannot be carried out as it stands
	exitFailure = 2 // the node failed
)

// Env is what a command works with.
type Env struct {
	Name string    // how this program was called, for what the operator may type next; empty: ctl
	Args []string  // without the program
	In   io.Reader // nil: empty
	Out  io.Writer
	Err  io.Writer
	// Getenv looks up a variable (locale, NO_COLOR, COLUMNS); nil: none is set.
	Getenv   func(string) string
	Terminal bool   // Out is one
	Exe      string // path of this program; the agent lies beside it
	Version  string
	Dial     func(address string) node.Node // nil: HTTP
	// NameOf is the name of an address, or the address; nil: the machine's resolver.
	NameOf func(address string) string
}

// command is the state that all verbs share.
type command struct {
	env       Env
	host      string
	port      int
	output    string
	printPort bool
	resolve   bool              // show names instead of addresses
	names     map[string]string // those that were asked for, by address
}

// errShown is returned by a verb that has told the operator already.
var errShown = errors.New("already told")

// usageError is a mistake of the operator.
type usageError struct{ error }

func badUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// obstacle is what stands in the way on this machine: no mistake in the
// command, so no pointer to help.
type obstacle struct{ error }

func blocked(format string, args ...any) error { return obstacle{fmt.Errorf(format, args...)} }

// Run carries out one command line and answers with the exit code.
func Run(ctx context.Context, env Env) int {
	if env.Dial == nil {
		env.Dial = func(address string) node.Node { return helenus.New(address) }
	}
	if env.NameOf == nil {
		env.NameOf = nameOf
	}
	if env.Name == "" {
		env.Name = "ctl"
	}
	c := &command{env: env, names: map[string]string{}}
	root := c.root()
	root.SetArgs(nodetoolFlags(env.Args))
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	err := root.ExecuteContext(ctx)
	return c.explain(err)
}

// nodetoolFlags turns nodetool's two-letter flags, which would read as two
// flags here, into long ones.
func nodetoolFlags(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "-pp" {
			a = "--print-port"
		}
		out[i] = a
	}
	return out
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "ctl",
		Short:         "Look after a Helenus cluster",
		Version:       c.env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badUse("Found unexpected parameters: %v", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.Bool("help", false, "show what a command does") // -h is the host, as nodetool has it
	flags.StringVarP(&c.host, "host", "h", "127.0.0.1", "address of the node's admin API")
	flags.IntVarP(&c.port, "port", "p", 7199, "port of the node's admin API")
	flags.StringVarP(&c.output, "output", "o", "text", "text, json or yaml")
	flags.BoolVar(&c.printPort, "print-port", false, "show nodes with their ports (-pp)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.output != "text" && c.output != "json" && c.output != "yaml" {
			return badUse("unknown output %q: text, json or yaml", c.output)
		}
		return nil
	}
	root.AddCommand(c.up(), c.down(), c.status(), c.info(), c.ring(), c.describeCluster(), c.describeRing(), c.getEndpoints(),
		c.gossipInfo(), c.failureDetector(), c.getSeeds(), c.reloadSeeds(), c.statusGossip(), c.statusBinary(), c.metadata(),
		c.flush(), c.compact(), c.version(), c.jobs(), c.stress(), c.balance())
	root.AddCommand(c.hints()...)
	return root
}

// node is the node that the flags point at.
func (c *command) node() node.Node {
	return c.env.Dial(net.JoinHostPort(c.host, strconv.Itoa(c.port)))
}

// explain tells an error and chooses the exit code.
func (c *command) explain(err error) int {
	var usage usageError
	var told *report.Error
	var unreachable *node.Unreachable
	var inTheWay obstacle
	var end ending
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &end):
		if end.error != nil {
			fmt.Fprintf(c.env.Err, "ctl: %v\n", end.error)
		}
		return end.code
	case errors.Is(err, errShown):
		return exitBadUse
	case errors.As(err, &unreachable), errors.As(err, &inTheWay), report.KindOf(err) == report.Unsupported:
		fmt.Fprintf(c.env.Err, "ctl: %v\n", err)
		return exitBadUse
	case errors.As(err, &usage), errors.As(err, &told) && refusal(told.Kind):
		fmt.Fprintf(c.env.Err, "ctl: %v\nSee 'ctl help' or 'ctl help <command>'.\n", err)
		return exitBadUse
	}
	fmt.Fprintf(c.env.Err, "error: %v\n", err)
	return exitFailure
}

// refusal tells whether asking otherwise could help.
func refusal(kind report.ErrorKind) bool {
	switch kind {
	case report.Invalid, report.NotFound, report.Conflict, report.Forbidden:
		return true
	}
	return false
}
