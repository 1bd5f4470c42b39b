package ctl

import (
	"context"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helenus"
	"helenus/stress"
)

// stressFlags are what `ctl stress` is told.
type stressFlags struct {
	cfg         stress.Config
	nodes       []string
	level       string
	compression string
	order       string
	rate        string
	operations  string
	partitions  string
	replication string
	update      bool
	missing     bool
	reads       int
}

func (c *command) stress() *cobra.Command {
	cmd := &cobra.Command{
		Use: "stress", Short: "Put load on nodes and measure what clients feel",
		Long: "Put load on nodes and measure what clients feel.\n\n" +
			"With --rate the load is an open loop: each operation has a moment at which it is meant to begin, and its\n" +
			"latency counts from then. What could not begin in time is reported. Without, it is a closed loop: each\n" +
			"connection always has --depth requests in flight.\n\n" +
			"Keys and values follow from --seed, so reads know what they must find: write first, then read with the\n" +
			"same --partitions, --rows, --columns, --column-size, --seed and --revision.",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		c.stressVerb("write", "Write rows (each row once, unless --operations or --duration say otherwise)", func(cmd *cobra.Command, f *stressFlags) {
			cmd.Flags().BoolVar(&f.update, "update", false, "UPDATE instead of INSERT")
		}),
		c.stressVerb("read", "Read rows and compare them with what was written", func(cmd *cobra.Command, f *stressFlags) {
			cmd.Flags().Uint64Var(&f.cfg.Workload.SliceRows, "slice", 0, "read so many rows of a partition at once")
			cmd.Flags().BoolVar(&f.missing, "missing", false, "read keys that nobody has written")
		}),
		c.stressVerb("mixed", "Read and write at once", func(cmd *cobra.Command, f *stressFlags) {
			cmd.Flags().IntVar(&f.reads, "reads", 50, "how many of 100 operations read")
		}))
	return cmd
}

func (c *command) stressVerb(verb, short string, more func(*cobra.Command, *stressFlags)) *cobra.Command {
	f := &stressFlags{}
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(verb); err != nil {
				return err
			}
			return c.runStress(cmd.Context(), verb, f)
		},
	}
	f.register(cmd)
	more(cmd, f)
	return cmd
}

func (f *stressFlags) register(cmd *cobra.Command) {
	flags, w := cmd.Flags(), &f.cfg.Workload
	flags.StringSliceVar(&f.nodes, "node", []string{"127.0.0.1:9042"}, "addresses of nodes, host:port")
	flags.StringVar(&f.rate, "rate", "0", "operations a second on a schedule (k, m); 0: as many as there can be")
	flags.StringVarP(&f.operations, "operations", "n", "0", "end after so many (k, m, b)")
	flags.DurationVarP(&f.cfg.Duration, "duration", "d", 0, "end after so long (default of reads: 30s)")
	flags.IntVar(&f.cfg.Connections, "connections", 4, "connections")
	flags.IntVar(&f.cfg.Depth, "depth", 32, "requests in flight on each connection, at most")
	flags.StringVar(&f.level, "cl", "LOCAL_ONE", "consistency level")
	flags.BoolVar(&f.cfg.Unprepared, "unprepared", false, "send statements as text, with their values")
	flags.StringVar(&f.compression, "compression", "none", "none or lz4")
	flags.BoolVar(&f.cfg.NoVerify, "no-verify", false, "do not compare what reads bring")
	flags.StringVar(&f.cfg.Username, "user", "", "user name")
	flags.StringVar(&f.cfg.Password, "password", "", "password")
	flags.StringVar(&w.Table.Keyspace, "keyspace", "stress", "keyspace")
	flags.StringVar(&w.Table.Name, "table", "", "table (default: standard, or wide with --rows)")
	flags.StringVar(&f.replication, "replication", "{'class': 'SimpleStrategy', 'replication_factor': 1}", "of the keyspace, if it is made")
	flags.StringVar(&f.partitions, "partitions", "1m", "partitions there are (k, m, b)")
	flags.Uint64Var(&w.Table.Rows, "rows", 1, "rows of each partition")
	flags.IntVar(&w.Table.Columns, "columns", 5, "text columns of a row")
	flags.IntVar(&w.Table.ColumnBytes, "column-size", 36, "bytes of a column")
	flags.Uint64Var(&w.Table.Seed, "seed", 1, "what keys and values follow from")
	flags.Uint64Var(&w.Table.Window, "window", 0, "partitions that a sequence of writes fills side by side (default 1000)")
	flags.Uint64Var(&w.Revision, "revision", 0, "which values to write to the rows, and to expect")
	flags.Uint64Var(&w.First, "first", 0, "number of the first operation")
	flags.StringVar(&f.order, "order", "", "sequential (default of writes) or uniform")
	flags.DurationVar(&f.cfg.Interval, "interval", time.Second, "time between two lines of progress; 0: none")
}

// complete makes a configuration of the flags.
func (f *stressFlags) complete(verb string) error {
	w := &f.cfg.Workload
	numbers := []struct {
		flag, text string
		into       *uint64
	}{{"rate", f.rate, &f.cfg.Rate}, {"operations", f.operations, &f.cfg.Operations}, {"partitions", f.partitions, &w.Table.Partitions}}
	for _, n := range numbers {
		var err error
		if *n.into, err = number(n.text); err != nil {
			return badUse("--%s: %v", n.flag, err)
		}
	}
	var err error
	if f.cfg.Consistency, err = helenus.ParseConsistency(f.level); err != nil {
		return badUse("--cl: %v", err)
	}
	switch strings.ToLower(f.compression) {
	case "none":
	case "lz4":
		f.cfg.LZ4 = true
	default:
		return badUse("--compression %q: none or lz4", f.compression)
	}
	switch f.order {
	case "":
		if verb != "write" {
			w.Order = stress.Uniform
		}
	case "sequential":
	case "uniform":
		w.Order = stress.Uniform
	default:
		return badUse("--order %q: sequential or uniform", f.order)
	}
	if w.Table.Name == "" {
		w.Table.Name = "standard"
		if w.Table.Rows > 1 {
			w.Table.Name = "wide"
		}
	}
	f.cfg.Addresses = f.nodes
	return f.mix(verb)
}

// mix chooses the kinds of operations and when a run ends that was not told.
func (f *stressFlags) mix(verb string) error {
	w := &f.cfg.Workload
	endless := f.cfg.Operations == 0 && f.cfg.Duration == 0
	switch {
	case verb == "mixed":
		if f.reads < 0 || f.reads > 100 {
			return badUse("--reads %d: 0 to 100", f.reads)
		}
		w.Mix[stress.Select], w.Mix[stress.Insert] = f.reads, 100-f.reads
	case verb == "write" && f.update:
		w.Mix[stress.Update] = 1
	case verb == "write":
		w.Mix[stress.Insert] = 1
	case f.missing && w.SliceRows > 0:
		return badUse("--missing and --slice: one of them")
	case f.missing:
		w.Mix[stress.Missing] = 1
	case w.SliceRows > 0:
		w.Mix[stress.Slice] = 1
	default:
		w.Mix[stress.Select] = 1
	}
	if endless && verb == "write" {
		f.cfg.Operations = w.Table.Partitions * w.Table.Rows
	} else if endless {
		f.cfg.Duration = 30 * time.Second
	}
	return nil
}

// number reads a whole number that may end in k, m or b.
func number(text string) (uint64, error) {
	unit := uint64(1)
	digits := strings.ToLower(text)
	for suffix, u := range map[string]uint64{"k": 1e3, "m": 1e6, "b": 1e9} {
		if cut, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = cut, u
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return 0, fmt.Errorf("%q is no number like 5000, 20k, 3m or 1b", text)
	}
	return n * unit, nil
}

func (c *command) runStress(ctx context.Context, verb string, f *stressFlags) error {
	if err := f.cfg.Check(); err != nil {
		return usageError{err}
	}
	progress := c.env.Out
	if c.output != "text" {
		progress = c.env.Err
	}
	if verb != "read" {
		if err := stress.Setup(ctx, f.cfg, f.replication); err != nil {
			return obstacle{err}
		}
	}
	if f.cfg.Interval > 0 {
		lines := 0
		f.cfg.Progress = func(i stress.Interval) { stressInterval(progress, i, lines); lines++ }
	}
	res, err := stress.Run(ctx, f.cfg)
	if res == nil {
		return obstacle{err}
	}
	if shown := c.show(res, func(w io.Writer) { stressLayout(w, res) }); shown != nil {
		return shown
	}
	if err == nil && (res.ErrorCount() > 0 || res.Unanswered > 0) {
		err = fmt.Errorf("%d operations failed", res.ErrorCount())
	}
	return err
}

// stressInterval writes a line of progress, with the heading above the first.
func stressInterval(w io.Writer, i stress.Interval, line int) {
	if line == 0 {
		fmt.Fprintf(w, "%8s %12s %10s %9s %9s %9s %9s %8s %9s\n", "time", "operations", "op/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors", "behind")
	}
	l := i.Latency
	fmt.Fprintf(w, "%8s %12d %10.0f %9.3f %9.3f %9.3f %9.3f %8d %9d\n", i.Elapsed.Round(100*time.Millisecond), i.Operations, i.Rate,
		l.P50/1e3, l.P99/1e3, l.P999/1e3, l.Max/1e3, i.Errors, i.Behind)
}

// stressLayout writes the result block.
func stressLayout(w io.Writer, r *stress.Result) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-24s: %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, "\nResults")
	if r.Interrupted {
		line("Interrupted", "after %.1f s", r.Seconds)
	}
	line("Operations", "%d in %.1f s, %.0f a second", r.Operations, r.Seconds, r.Rate)
	line("Rows", "%d, %.0f a second", r.Rows, float64(r.Rows)/r.Seconds)
	loop := "closed loop: from sending"
	if r.Schedule != nil {
		loop = "from when each was meant to begin"
	}
	fmt.Fprintf(w, "\nLatency in ms (%s)\n", loop)
	rows := [][]string{latencyRow("all", r.Operations, r.Latency)}
	if len(r.Kinds) > 1 {
		for _, k := range r.Kinds {
			rows = append(rows, latencyRow(k.Kind, k.Operations, k.Latency))
		}
	}
	if s := r.Schedule; s != nil {
		rows = append(rows, latencyRow("from sending", r.Operations, s.Service), latencyRow("late by", r.Operations, s.Lateness))
	}
	writeTable(w, []string{"", "operations", "mean", "p50", "p95", "p99", "p99.9", "max"}, rows)
	fmt.Fprintln(w)
	if s := r.Schedule; s != nil {
		kept := "kept"
		if s.Missed() {
			kept = "MISSED"
		}
		line("Schedule", "%s: %d a second, %d due, %d began more than %s late, %d never began", kept, s.Rate, s.Due, s.Late, stress.LateAfter, s.NotStarted)
	}
	line("CPU of this client", "%.2f µs an operation", r.ClientCPU)
	line("Errors", "%d", r.ErrorCount())
	for _, kind := range sortedNames(r.Errors) {
		line("  "+kind, "%d", r.Errors[kind])
	}
	if r.Unanswered > 0 {
		line("Given up at the end", "%d", r.Unanswered)
	}
	if len(r.Samples) > 0 {
		fmt.Fprintln(w, "The first errors:")
	}
	for _, s := range r.Samples {
		fmt.Fprintln(w, "  "+s)
	}
}

func latencyRow(name string, operations int64, l stress.Latency) []string {
	row := []string{name, strconv.FormatInt(operations, 10)}
	for _, us := range []float64{l.Mean, l.P50, l.P95, l.P99, l.P999, l.Max} {
		row = append(row, strconv.FormatFloat(us/1e3, 'f', 3, 64))
	}
	return row
}

func sortedNames(m map[string]int64) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
