package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// comparison is both engines under one setting of compression.
type comparison struct {
	p         plan
	dir       string
	processes []*process
	compress  bool
	version   uint64 // of the next write
	out       io.Writer
	states    strings.Builder
}

// compare runs the whole plan and prints the tables.
func compare(p plan, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(p.dir, "benchstore")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(out, "%s, %d CPUs, %s, Pebble %s, CGO_ENABLED=%s. %d rows of %d bytes (%d MB), cache %d MiB, memtable %d MiB, blocks of %d KiB, %d rounds.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), moduleVersion("github.com/cockroachdb/pebble/v2"),
		buildSetting("CGO_ENABLED"), p.rows, userBytes, p.rows*userBytes/1e6, p.cache>>20, p.memtable>>20, p.block>>10, p.rounds)
	for _, compress := range []bool{true, false} {
		c := &comparison{p: p, dir: dir, compress: compress, out: out}
		if err := errors.Join(c.run(), c.end()); err != nil {
			return err
		}
	}
	return nil
}

// begin puts two empty engines in place of those there were.
func (c *comparison) begin() error {
	if err := c.end(); err != nil {
		return err
	}
	for _, name := range []string{helenusName, pebbleName} {
		p, err := startProcess(name, filepath.Join(c.dir, name), c.compress)
		if err != nil {
			return err
		}
		c.processes = append(c.processes, p)
	}
	return nil
}

func (c *comparison) end() error {
	var errs []error
	for _, p := range c.processes {
		errs = append(errs, p.end())
	}
	c.processes = nil
	return errors.Join(errs...)
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "?"
}

func buildSetting(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return "?"
}

// run does all cells. The order matters: each finds what those before it left.
func (c *comparison) run() error {
	title := "LZ4 beside Snappy"
	if !c.compress {
		title = "Without compression"
	}
	fmt.Fprintf(c.out, "\n#### %s\n\n| load | Helenus, CPU | Pebble, CPU | Helenus/s of CPU | Pebble/s of CPU | ratio | written / user data | bytes read | cache hits | Helenus/s, Pebble/s of time |\n|---|---|---|---|---|---|---|---|---|---|\n", title)
	p := c.p
	one := func(l load, count uint64) step { return step{Load: l, Rows: p.rows, Count: count, Workers: 1} }
	cells := []func() error{
		c.begin,
		func() error { return c.write("new rows, unsynced", writeNew, p.rows/p.rounds, unsyncedWriters) },
		func() error { return c.read("point read, hit", one(readHit, p.reads)) },
		func() error { return c.read("point read, miss", one(readMiss, p.reads)) },
		func() error { return c.read("point read, hit, all filters", one(readHitAll, p.reads)) },
		func() error { return c.read("point read, miss, all filters", one(missAll, p.reads)) },
		func() error { return c.read("scan of 100 rows", one(scanSome, p.reads/50)) },
		func() error { return c.read("scan of all rows, by row", one(scanAll, 1)) },
		func() error { return c.write("overwrite, unsynced", overwrite, p.rows/p.rounds, unsyncedWriters) },
		func() error { return c.read("point read, hit, after overwriting", one(readHit, p.reads)) },
		c.begin,
		c.memory,
		func() error { return c.reopen(true) },
		func() error { return c.write("new rows, synced, 1 writer", writeNew, p.synced/30, 1) },
		func() error { return c.write("new rows, synced, 64 writers", writeNew, p.synced, 64) },
		func() error { return c.write("new rows, synced, 1024 writers", writeNew, p.synced, 1024) },
	}
	for _, cell := range cells {
		if err := cell(); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.out, "\n%s", c.states.String())
	return nil
}

func (c *comparison) reopen(synced bool) error {
	for _, p := range c.processes {
		if _, err := p.do(step{Reopen: &synced}); err != nil {
			return err
		}
	}
	return nil
}

// turns runs a cell on both engines, round by round, the engine that begins
// changing with each.
func (c *comparison) turns(name string, next func(round uint64) step) ([][]result, error) {
	results := make([][]result, len(c.processes))
	for round := range c.p.rounds {
		s := next(round)
		for i := range c.processes {
			at := (i + int(round)) % len(c.processes)
			if c.p.profile != "" {
				s.Profile = filepath.Join(c.p.profile, strings.NewReplacer(" ", "-", ",", "").Replace(
					fmt.Sprintf("%s %s %t %d.cpu.pprof", name, c.processes[at].name, c.compress, round)))
			}
			r, err := c.processes[at].do(s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			results[at] = append(results[at], r)
		}
	}
	return results, nil
}

// write measures a cell that changes the data: the rounds are parts of it, and
// their sum counts.
func (c *comparison) write(name string, l load, count, workers uint64) error {
	first := c.version
	results, err := c.turns(name, func(round uint64) step {
		s := step{Load: l, First: first, Count: count, Workers: workers, Version: c.version, Seed: round, Settle: true, Flush: workers == unsyncedWriters}
		if l == overwrite {
			s.First, s.Rows = 0, c.p.rows/c.p.rounds*c.p.rounds
		} else {
			first += count
		}
		c.version += count
		return s
	})
	if err != nil {
		return err
	}
	var sums []result
	for i, rs := range results {
		sum := rs[len(rs)-1]
		for _, r := range rs[:len(rs)-1] {
			sum.Rows, sum.Took, sum.Used = sum.Rows+r.Rows, sum.Took+r.Took, sum.Used.plus(r.Used)
		}
		sums = append(sums, sum)
		fmt.Fprintf(&c.states, "- %s, after \"%s\": %.2f bytes of table files and %.2f of log for a byte of the data set; %s.\n", c.processes[i].name, name,
			float64(sum.Data)/float64(c.p.rows*userBytes), float64(sum.Log)/float64(c.p.rows*userBytes), sum.State)
	}
	c.row(name, sums, true)
	return nil
}

// read measures a cell that leaves the data alone: the median round counts.
func (c *comparison) read(name string, s step) error {
	s.Rows = min(s.Rows, c.p.rows/c.p.rounds*c.p.rounds)
	results, err := c.turns(name, func(round uint64) step { s.Seed = 1000 + round; return s })
	if err != nil {
		return err
	}
	var medians []result
	for _, rs := range results {
		slices.SortFunc(rs, func(a, b result) int { return cmp.Compare(a.Used.cpu(), b.Used.cpu()) })
		medians = append(medians, rs[len(rs)/2])
	}
	c.row(name, medians, false)
	return nil
}

// memory reads rows that no flush has taken yet. Before, several memtables are
// filled and flushed: Pebble's first ones are small, and many of them are slower
// to read than one.
func (c *comparison) memory() error {
	n := c.p.memoryRows()
	s := step{Load: writeNew, First: 1 << 30, Count: n, Workers: unsyncedWriters}
	grow := step{Load: writeNew, First: 1 << 32, Count: 3 * uint64(c.p.memtable) / userBytes, Workers: unsyncedWriters, Flush: true, Settle: true}
	for _, p := range c.processes {
		for _, st := range []step{grow, s} {
			if _, err := p.do(st); err != nil {
				return err
			}
		}
	}
	return c.read("point read, hit, memtable", step{Load: readHit, First: s.First, Rows: n, Count: c.p.reads, Workers: 1})
}

// row prints a cell's line.
func (c *comparison) row(name string, rs []result, writes bool) {
	ns := func(r result) float64 { return float64(r.Used.cpu()) / float64(r.Rows) }
	ours, theirs := rs[0], rs[1]
	bytes := func(of func(result) int64, per float64) string {
		a, b := float64(of(ours))/float64(ours.Rows)/per, float64(of(theirs))/float64(theirs.Rows)/per
		if per == 1 {
			return fmt.Sprintf("%.0f : %.0f", a, b)
		}
		return fmt.Sprintf("%.2f : %.2f", a, b)
	}
	written, read, hits := "", "", ""
	if writes {
		written = bytes(func(r result) int64 { return r.Used.Written }, userBytes)
	} else {
		read = bytes(func(r result) int64 { return r.Used.Read }, 1)
		hits = fmt.Sprintf("%s : %s", ours.Cache.share(), theirs.Cache.share())
	}
	fmt.Fprintf(c.out, "| %s | %.2f µs | %.2f µs | %.0f | %.0f | %.2f | %s | %s | %s | %.0f, %.0f |\n", name, ns(ours)/1e3, ns(theirs)/1e3, 1e9/ns(ours), 1e9/ns(theirs),
		ns(theirs)/ns(ours), written, read, hits, ours.perSecond(), theirs.perSecond())
}

func (r *result) perSecond() float64 { return float64(r.Rows) / r.Took.Seconds() }

// share is the part of the block reads that the cache answered.
func (c cacheUse) share() string {
	if c.Hits+c.Misses == 0 {
		return "none asked"
	}
	return fmt.Sprintf("%.0f %% (%d MiB)", 100*float64(c.Hits)/float64(c.Hits+c.Misses), c.Bytes>>20)
}
