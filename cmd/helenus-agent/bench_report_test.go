//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"helenus/internal/peer"
	"helenus/stress"
)

// pair is a comparison: Helenus on the left, Cassandra on the right.
type pair struct{ name, ours, theirs string }

// report renders the whole run in Markdown.
func (b *bench) report() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s, %d CPUs, %s, Cassandra %s with a heap of %s, Helenus with memory_limit %s", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), runtime.Version(), peer.Release, b.size.heap, b.size.memory)
	if b.nodes == 1 {
		fmt.Fprintf(&w, " (%s while it reads from disk).\n", b.size.diskMemory)
	} else {
		fmt.Fprintf(&w, ", each of %d nodes; every row on all of them; CPU, memory and bytes are sums over the nodes.\n", b.nodes)
	}
	fmt.Fprintf(&w, "Size %s: %s a cell at saturation, %s at a fixed rate, median of %d rounds.\n", b.size.name, b.size.cell, b.size.paced, b.size.rounds)
	for i, d := range b.disk {
		fmt.Fprintf(&w, "The disk, %s: %s.\n", [...]string{"before", "after"}[i], d)
	}
	b.ratios(&w)
	b.pacedRatios(&w)
	b.compacting(&w)
	for _, l := range b.loads {
		b.saturation(&w, l)
		b.paced(&w, l)
	}
	fmt.Fprint(&w, "\n#### Memory, disk, starts\n\n| server | |\n|---|---|\n")
	for _, s := range b.servers {
		for _, n := range s.notes {
			fmt.Fprintf(&w, "| %s | %s |\n", s.name, n)
		}
	}
	return w.String()
}

// find is the cell of a server; nil if it was not measured.
func (b *bench) find(load string, sh shape, rate uint64, server string) *cell {
	for i := range b.cells {
		c := &b.cells[i]
		if c.load == load && c.shape == sh && c.rate == rate && c.server == server {
			return c
		}
	}
	return nil
}

// ratio writes ours over theirs, - where there is none.
func ratio(ours, theirs float64) string {
	if ours <= 0 || theirs <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}

// against writes a ratio for each pair.
func (b *bench) against(w *strings.Builder, load string, sh shape, rate uint64, value func(c *cell) float64) {
	for _, p := range b.pairs {
		ours, theirs := b.find(load, sh, rate, p.ours), b.find(load, sh, rate, p.theirs)
		if ours == nil || theirs == nil {
			w.WriteString(" - |")
			continue
		}
		fmt.Fprintf(w, " %s |", ratio(value(ours), value(theirs)))
	}
}

func perCPU(c *cell) float64 {
	if c.cpuPerOp == 0 {
		return 0
	}
	return 1 / c.cpuPerOp.Seconds()
}

// column is a value that is compared.
type column struct {
	name string
	of   func(c *cell) float64
}

// columns writes the head of a summary: for each value the pairs.
func (b *bench) columns(w *strings.Builder, head string, columns []column) {
	line := "|---|---|"
	w.WriteString(head)
	for _, c := range columns {
		name := c.name + ": "
		for _, p := range b.pairs {
			w.WriteString(" " + name + p.name + " |")
			name = ""
			line += "---|"
		}
	}
	w.WriteString("\n" + line + "\n")
}

// ratios is the summary at saturation.
func (b *bench) ratios(w *strings.Builder) {
	columns := []column{{"operations a CPU-second", perCPU}, {"operations/s", func(c *cell) float64 { return c.result.Rate }}}
	if b.nodes > 1 {
		columns = append(columns, column{"bytes between nodes", func(c *cell) float64 { return c.sentPerOp }})
	}
	b.columns(w, "\n#### At saturation: Helenus, Cassandra = 1\n\n| load | in flight |", columns)
	for _, l := range b.loads {
		for _, sh := range l.shapes {
			if b.find(l.name, sh, 0, b.servers[0].name) == nil {
				continue
			}
			fmt.Fprintf(w, "| %s | %d x %d |", l.name, sh.connections, sh.depth)
			for _, c := range columns {
				b.against(w, l.name, sh, 0, c.of)
			}
			w.WriteByte('\n')
		}
	}
}

// pacedRatios is the summary at fixed rates.
func (b *bench) pacedRatios(w *strings.Builder) {
	columns := []column{{"p99", func(c *cell) float64 { return c.result.Latency.P99 }}, {"p99.9", func(c *cell) float64 { return c.result.Latency.P999 }}}
	b.columns(w, "\n#### At fixed rates: latency of Helenus, Cassandra = 1\n\n| load | rate |", columns)
	for _, l := range b.loads {
		for _, rate := range l.rates {
			if b.find(l.name, b.crowd, rate, b.servers[0].name) == nil {
				continue
			}
			fmt.Fprintf(w, "| %s | %d/s |", l.name, rate)
			for _, c := range columns {
				b.against(w, l.name, b.crowd, rate, c.of)
			}
			w.WriteByte('\n')
		}
	}
}

// compacting compares each server's reads during a full compaction with its own
// quiet ones.
func (b *bench) compacting(w *strings.Builder) {
	head := "\n#### Reads during a full compaction: latency, without it = 1\n\n| rate | server | p99 | p99.9 |\n|---|---|---|---|\n"
	for _, rate := range b.size.rates {
		for _, s := range b.servers {
			busy, quiet := b.find("compaction", b.crowd, rate, s.name), b.find("select-disk", b.crowd, rate, s.name)
			if busy == nil || quiet == nil {
				continue
			}
			fmt.Fprintf(w, "%s| %d/s | %s | %s | %s |\n", head, rate, s.name, ratio(busy.result.Latency.P99, quiet.result.Latency.P99), ratio(busy.result.Latency.P999, quiet.result.Latency.P999))
			head = ""
		}
	}
}

func latencies(l stress.Latency) string {
	return fmt.Sprintf("%.2f | %.2f | %.2f | %.2f", l.P50/1e3, l.P99/1e3, l.P999/1e3, l.Max/1e3)
}

// saturation is the table of a load with all connections full.
func (b *bench) saturation(w *strings.Builder, l benchLoad) {
	more, line := " read from disk, B |", "---|"
	if b.nodes > 1 {
		more, line = " between nodes, B | still at work, s |", "---|---|"
	}
	head := fmt.Sprintf("\n#### %s (%s)\n\n| in flight | server | CPU an operation, µs | operations/s | p50, ms | p99 | p99.9 | max | client's CPU, µs |%s\n"+
		"|---|---|---|---|---|---|---|---|---|%s\n", l.title, l.name, more, line)
	for _, c := range b.cells {
		if c.load != l.name || c.rate > 0 {
			continue
		}
		more := fmt.Sprintf("%.0f", c.readPerOp)
		if b.nodes > 1 {
			more = fmt.Sprintf("%.0f | %.1f", c.sentPerOp, c.behind.Seconds())
		}
		fmt.Fprintf(w, "%s| %d x %d | %s | %.1f | %.0f%s | %s | %.1f | %s |\n", head, c.shape.connections, c.shape.depth, c.server, float64(c.cpuPerOp.Nanoseconds())/1e3,
			c.result.Rate, failures(c.result), latencies(c.result.Latency), c.result.ClientCPU, more)
		head = ""
	}
}

// paced is the table of a load at its rates.
func (b *bench) paced(w *strings.Builder, l benchLoad) {
	head := fmt.Sprintf("\n#### %s, at fixed rates (%s)\n\n| rate | server | CPU an operation, µs | p50, ms | p99 | p99.9 | max | p99.9 from sending | began late by, p99.9 | over %s late | never began |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|\n", l.title, l.name, stress.LateAfter)
	for _, c := range b.cells {
		if c.load != l.name || c.rate == 0 {
			continue
		}
		s := c.result.Schedule
		fmt.Fprintf(w, "%s| %d/s | %s | %.1f%s | %s | %.2f | %.2f | %.2f %% | %d |\n", head, c.rate, c.server, float64(c.cpuPerOp.Nanoseconds())/1e3, failures(c.result),
			latencies(c.result.Latency), s.Service.P999/1e3, s.Lateness.P999/1e3, 100*float64(s.Late)/float64(max(1, s.Due)), s.NotStarted)
		head = ""
	}
}

// failures makes errors visible where the numbers are.
func failures(r *stress.Result) string {
	if n := r.ErrorCount(); n > 0 {
		return fmt.Sprintf(" (%d failed)", n)
	}
	return ""
}

// TestBenchReport shows the tables of a run that never was.
func TestBenchReport(t *testing.T) {
	b := &bench{t: t, size: sizes(), plan: nodePlan(sizes()), servers: []*server{{name: "Cassandra periodic", notes: []string{"a note"}}, {name: "Helenus periodic"}}}
	at := func(rate float64, p99 float64) *stress.Result {
		return &stress.Result{Operations: 10, Rate: rate, Latency: stress.Latency{P99: p99, P999: 2 * p99}, Schedule: &stress.ScheduleResult{Due: 200, Late: 3, NotStarted: 7,
			Service: stress.Latency{P999: 1500}, Lateness: stress.Latency{P999: 250}}}
	}
	for _, c := range []struct {
		server string
		cpu    time.Duration
		rate   float64
		p99    float64
	}{{"Cassandra periodic", 40 * time.Microsecond, 1000, 4000}, {"Helenus periodic", 10 * time.Microsecond, 2500, 1000}} {
		b.cells = append(b.cells, cell{load: "insert", shape: shape{1, 1}, server: c.server, cpuPerOp: c.cpu, result: at(c.rate, c.p99)},
			cell{load: "insert", shape: shape{8, 64}, rate: 2000, server: c.server, cpuPerOp: c.cpu, result: at(c.rate, c.p99)})
	}
	b.shows(
		"| load | in flight | operations a CPU-second: periodic, periodic | group, group | group, periodic | operations/s: periodic, periodic | group, group | group, periodic |\n|---|---|---|---|---|---|---|---|\n",
		"| insert | 1 x 1 | 4.00 | - | - | 2.50 | - | - |\n",
		"| insert | 2000/s | 0.25 | - | - | 0.25 | - | - |\n",
		"| 1 x 1 | Helenus periodic | 10.0 | 2500 | 0.00 | 1.00 | 2.00 | 0.00 | 0.0 | 0 |\n",
		"| 2000/s | Cassandra periodic | 40.0 | 0.00 | 4.00 | 8.00 | 0.00 | 1.50 | 0.25 | 1.50 % | 7 |\n",
		"| Cassandra periodic | a note |\n",
	)
	b.size, b.cells = ringSizes(), nil
	b.plan = ringPlan(b.size)
	for _, c := range []cell{
		{server: "Cassandra periodic", cpuPerOp: 400 * time.Microsecond, sentPerOp: 1000, behind: 2 * time.Second, result: at(2000, 9)},
		{server: "Helenus periodic", cpuPerOp: 40 * time.Microsecond, sentPerOp: 500, result: at(30_000, 9)},
	} {
		c.load, c.shape = "insert-one", shape{9, 32}
		b.cells = append(b.cells, c)
	}
	b.shows(
		"| bytes between nodes: periodic, periodic | group, periodic |\n|---|---|---|---|---|---|---|---|\n",
		"| insert-one | 9 x 32 | 10.00 | - | 15.00 | - | 0.50 | - |\n",
		"| client's CPU, µs | between nodes, B | still at work, s |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
		"| 9 x 32 | Cassandra periodic | 400.0 | 2000 | 0.00 | 0.01 | 0.02 | 0.00 | 0.0 | 1000 | 2.0 |\n",
	)
}

func (b *bench) shows(wanted ...string) {
	b.t.Helper()
	text := b.report()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			b.t.Errorf("no %q in\n%s", want, text)
		}
	}
}
