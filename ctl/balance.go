package ctl

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helenus/balance"
)

// The exit codes of ctl balance, beside exitDone and exitBadUse.
const (
	exitMovesNeeded = 2 // with --check
	exitImpossible  = 3 // no plan, or a plan that is not valid
	exitStale       = 4 // the ring is not the one the plan was made for
)

// ending is an error, or none, with an exit code of its own.
type ending struct {
	code int
	error
}

// balancing is one call of ctl balance: what its flags say.
type balancing struct {
	c      *command
	source source
	goal   balance.Goal
	text   goalTexts
	check  bool
	color  string
	ascii  bool
}

// goalTexts are flags whose values need reading.
type goalTexts struct {
	objective            []string
	tolerance, headroom  string
	maxBytes, throughput string
	weights, joins       []string
	maxMoves             int
	maxMovesGiven        bool
}

func (c *command) balance() *cobra.Command {
	b := &balancing{c: c}
	cmd := &cobra.Command{
		Use: "balance", Short: "Plan how the ring comes into balance, verify such plans",
		Long: "Plan how the ring comes into balance with the fewest moves and the least data.\n\n" +
			"The ring is that of the node at --host, or of one of --contact, --ring-file, --paste.\n" +
			"Output (-o): table, json, yaml, svg, commands (a shell script for a real Cassandra).\n" +
			"Exit codes: 0 balanced or planned, 1 bad use or no answer, 2 moves needed (--check), 3 impossible, 4 stale plan.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badUse("ctl balance has no verb %q: plan, verify, simulate, show", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return nil } // each verb knows its outputs
	f := cmd.PersistentFlags()
	b.source.flags(f)
	f.StringVar(&b.color, "color", "auto", "auto, always or never; NO_COLOR is obeyed")
	f.BoolVar(&b.ascii, "ascii", false, "draw with ASCII only, as where the locale is not UTF-8")
	cmd.AddCommand(b.plan(), b.verify(), b.simulate(), b.show())
	return cmd
}

// judgeFlags are what a plan shall reach, and what it may do for it.
func (b *balancing) judgeFlags(f *pflag.FlagSet) {
	g, t := &b.goal, &b.text
	f.StringVar(&g.Mode, "mode", "", "what is even: auto, primary, rack, replicated (default auto)")
	f.StringVar(&g.Racks, "racks", "", "alternating racks: tiebreak, require, ignore (default tiebreak)")
	f.StringVar(&t.tolerance, "tolerance", "", "how far a node may be from its ideal share: 5% or 0.05 (default exact)")
	f.Uint64Var(&g.Slack, "slack", 0, "tokens beside the tolerance")
	f.StringSliceVar(&t.weights, "weight", nil, "node=2: the node takes twice an ordinary share")
	f.StringSliceVar(&t.joins, "join", nil, "id@dc/rack: a node that shall join")
	f.StringSliceVar(&g.Leave, "leave", nil, "a node that shall leave")
	f.IntVar(&t.maxMoves, "max-moves", 0, "the best balance that so many moves buy")
	f.StringVar(&t.maxBytes, "max-bytes", "", "the best balance that so much streaming buys: 500GiB")
	f.StringVar(&g.Cleanup, "cleanup", "", "each (the moved node and all whose ranges changed), needed, deferred (default each)")
	f.StringVar(&t.headroom, "headroom", "", "part of the free disk to leave free: 20%")
}

// judgeFlagNames are those that show takes with a plan only.
var judgeFlagNames = []string{"racks", "tolerance", "slack", "weight", "join", "leave", "max-moves", "max-bytes", "cleanup", "headroom"}

// goalFlags are those, and how a plan is made.
func (b *balancing) goalFlags(f *pflag.FlagSet) {
	b.judgeFlags(f)
	g, t := &b.goal, &b.text
	f.StringSliceVar(&t.objective, "objective", nil, "what counts first: an order of moves,bytes,rack")
	f.StringVar(&b.source.sizes, "sizes", "", "where data is: token (even), load (nodes' loads, even), estimates (measured; with --contact)")
	f.StringVar(&t.throughput, "throughput", "", "streaming speed, for the time it takes: 200MiB/s")
	f.IntVar(&g.Frontier, "frontier", 0, "tell what up to so many moves buy")
	f.BoolVar(&g.Exhaustive, "exhaustive", false, "search longer for the plan that is surely best, of rings of up to 12 nodes of one token")
	f.BoolVar(&g.NodesDown, "allow-unready", false, "plan though a node is down, joining, leaving or moving")
}

func (b *balancing) plan() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan", Short: "Plan the moves that balance the ring",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.do(cmd, nil, []string{"table", "json", "yaml", "svg", "commands"}, func(ctx context.Context, r *balance.Ring) error {
				p, err := within(ctx, func() (*balance.Plan, error) { return balance.MakePlan(r, b.goal) })
				if err != nil {
					return err
				}
				if err := b.showPlan(r, p); err != nil {
					return err
				}
				if b.check && len(p.Steps) > 0 {
					return ending{exitMovesNeeded, nil}
				}
				return nil
			})
		},
	}
	b.goalFlags(cmd.Flags())
	cmd.Flags().BoolVar(&b.check, "check", false, "exit with 2 if moves are needed, for alerts")
	return cmd
}

func (b *balancing) verify() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify PLAN", Short: "Judge a plan, whoever made it: valid or why not, bytes, cleanup, ownership",
		Long: "Judge a plan, whoever made it, by the goal that it names; flags say what it does not, or otherwise.",
		Args: exactly(1, "the plan's file, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.do(cmd, args, []string{"table", "json", "yaml"}, func(ctx context.Context, r *balance.Ring) error {
				p, err := b.readPlan(args[0], r)
				if err != nil {
					return err
				}
				v, err := within(ctx, func() (*balance.Verdict, error) { return balance.Verify(p, r) })
				if err != nil {
					return err
				}
				if err := b.showVerdict(r, p, v); err != nil {
					return err
				}
				return ending{judged(v), nil}
			})
		},
	}
	cmd.Flags().StringVar(&b.source.sizes, "sizes", "", "where data is: token, load, estimates, as it was for the plan")
	b.judgeFlags(cmd.Flags())
	return cmd
}

// judged is the exit code of a verdict.
func judged(v *balance.Verdict) int {
	switch {
	case v.Stale:
		return exitStale
	case !v.Valid:
		return exitImpossible
	}
	return exitDone
}

func (b *balancing) simulate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "simulate NODES [NODES...]", Short: "Show how the ring grows to so many nodes, stage by stage",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return badUse("simulate wants the number of nodes to grow to")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var sizes []int
			for _, a := range args {
				n, err := strconv.Atoi(a)
				if err != nil || n < 1 {
					return badUse("%q is not a number of nodes", a)
				}
				sizes = append(sizes, n)
			}
			return b.do(cmd, args, []string{"table", "json", "yaml"}, func(ctx context.Context, r *balance.Ring) error {
				if len(b.goal.Join)+len(b.goal.Leave) > 0 {
					return badUse("simulate chooses who joins: --join and --leave are for plan")
				}
				stages, err := within(ctx, func() ([]balance.Growth, error) { return balance.Simulate(r, b.goal, sizes) })
				if err != nil {
					return err
				}
				return b.showGrowth(r, stages)
			})
		},
	}
	b.goalFlags(cmd.Flags())
	return cmd
}

func (b *balancing) show() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show [PLAN]", Short: "Show the ring as it is, or what a plan does to it; -o json writes the ring for --ring-file",
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			outputs := []string{"table", "json", "yaml", "svg"}
			if len(args) == 1 {
				outputs = append(outputs, "commands")
			}
			return b.do(cmd, args, outputs, func(ctx context.Context, r *balance.Ring) error {
				if len(args) == 0 {
					for _, name := range judgeFlagNames {
						if cmd.Flags().Changed(name) {
							return badUse("--%s goes with a plan to show", name)
						}
					}
					return b.showRing(r)
				}
				p, err := b.readPlan(args[0], r)
				if err != nil {
					return err
				}
				v, err := within(ctx, func() (*balance.Verdict, error) { return balance.Verify(p, r) })
				if err != nil {
					return err
				}
				if code := judged(v); code != exitDone {
					return ending{code, fmt.Errorf("the plan is not valid: %s", reason(v))}
				}
				fill(p, v)
				for _, w := range slices.Concat(r.Notes, v.Warnings) {
					if !slices.Contains(p.Warnings, w) {
						p.Warnings = append(p.Warnings, w)
					}
				}
				return b.showPlan(r, p)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.source.sizes, "sizes", "", "where data is: token, load, estimates")
	b.judgeFlags(f)
	return cmd
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return badUse("wants %d argument: %s", n, what)
		}
		return nil
	}
}

// do is what all verbs have in common: read the flags and the ring, act, and
// turn errors into the exit codes of ctl balance.
func (b *balancing) do(cmd *cobra.Command, args, outputs []string, act func(context.Context, *balance.Ring) error) error {
	if b.c.output == "text" {
		b.c.output = "table"
	}
	if !slices.Contains(outputs, b.c.output) {
		return badUse("ctl balance %s has no output %q: %s", cmd.Name(), b.c.output, strings.Join(outputs, ", "))
	}
	if !slices.Contains([]string{"auto", "always", "never"}, b.color) {
		return badUse("--color is %q: auto, always or never", b.color)
	}
	if len(args) > 0 && args[0] == "-" && (b.source.paste == "-" || b.source.file == "-") {
		return badUse("the plan and the ring cannot both come from standard input")
	}
	if b.c.output == "commands" && !b.source.given() {
		return badUse("-o commands prints nodetool's commands for a real Cassandra (--contact, --paste, --ring-file): Helenus nodes do not move yet")
	}
	b.text.maxMovesGiven = cmd.Flags().Changed("max-moves")
	if err := b.readGoal(); err != nil {
		return err
	}
	r, err := b.source.ring(cmd, b.c)
	if err == nil {
		err = b.knowsEnough(r)
	}
	if err == nil {
		b.nameNodes(r)
		err = act(cmd.Context(), r)
	}
	return exitOf(err)
}

// knowsEnough refuses flags that have no effect on what the ring knows.
func (b *balancing) knowsEnough(r *balance.Ring) error {
	switch {
	case b.goal.Throughput != "" && !r.Measured():
		return badUse("--throughput: how many bytes there are is not known, so no time either (--sizes load, or --contact)")
	case b.goal.Headroom != "" && !r.Measured():
		return badUse("--headroom: how many bytes there are is not known (bytes_per_token or density in the ring file, or --sizes load)")
	case b.goal.Headroom != "" && !slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return n.DiskFree != nil }):
		return badUse("--headroom: how much disk is free is not known on any node (disk_free_bytes in the ring file)")
	}
	return nil
}

// exitOf keeps errors away from exit code 2, which means something else here.
func exitOf(err error) error {
	var end ending
	var usage usageError
	var impossible *balance.Impossible
	switch {
	case err == nil, errors.As(err, &end), errors.As(err, &usage):
		return err
	case errors.As(err, &impossible):
		return ending{exitImpossible, err}
	}
	return obstacle{err}
}

// within waits for a computation unless the operator ends it. The computation
// itself cannot be stopped; the process ends soon.
func within[T any](ctx context.Context, compute func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := compute()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// inParallel is a balance.For on all processors.
func inParallel(n int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// readPlan reads a plan's file. What the plan says of its bytes counts only where
// it counts data as the ring does: sizes change, and another source may know
// another replication.
func (b *balancing) readPlan(name string, r *balance.Ring) (*balance.Plan, error) {
	data, err := b.c.readInput(name)
	if err != nil {
		return nil, err
	}
	p, err := balance.ParsePlan(data)
	if err != nil {
		return nil, err
	}
	b.override(&p.Goal)
	if p.RingHash != "" && p.RingHash != r.Hash() || b.countsAlike(p, r) {
		return p, nil
	}
	p.Summary = balance.Summary{}
	if p.Claims != nil {
		p.Claims.Bytes, p.Claims.RackScore = "", nil
	}
	for i := range p.Steps {
		p.Steps[i].Bytes = ""
	}
	r.Notes = append(r.Notes, "the plan was made for other sizes or another replication: bytes are those of now, and what it says of them is not held against it")
	if b.goal.Cleanup == "" && (p.Goal.Cleanup == "" || p.Goal.Cleanup == balance.CleanupEach) {
		p.Goal.Cleanup = balance.CleanupNeeded // who only gains depends on the replication, and is clean anyway
	}
	return p, nil
}

// countsAlike tells whether a plan was made by the sizes and the replication
// that the ring has. Of one that does not tell what nodes hold, measured sizes
// surely differ.
func (b *balancing) countsAlike(p *balance.Plan, r *balance.Ring) bool {
	if len(p.Ownership.Before) == 0 {
		return b.source.file != "" || !r.Measured()
	}
	v, err := balance.Verify(&balance.Plan{RingHash: r.Hash()}, r)
	if err != nil || len(v.Ownership.Before) != len(p.Ownership.Before) {
		return false
	}
	for id, now := range v.Ownership.Before {
		if p.Ownership.Before[id].Bytes != now.Bytes {
			return false
		}
	}
	return true
}

// fill writes what a verdict says into the plan, where the plan does not tell.
func fill(p *balance.Plan, v *balance.Verdict) {
	p.Ownership = v.Ownership
	if p.Summary.Bytes == "" {
		p.Summary = balance.Summary{Moves: v.Moves, Bytes: v.Bytes, Distance: v.Distance, RackScore: v.RackScore, Cleanups: v.Cleanups, PeakDisk: v.PeakDisk}
		if t := p.Goal.Throughput.Float(); t > 0 {
			p.Summary.ETA = v.Bytes.Float() / t
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.N = i + 1; s.Bytes == "" {
			s.Bytes = v.Steps[i].Bytes
		}
	}
}

func reason(v *balance.Verdict) string {
	if v.Step > 0 {
		return fmt.Sprintf("step %d: %s", v.Step, v.Reason)
	}
	return v.Reason
}
