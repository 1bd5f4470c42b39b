//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"helenus/stress"
)

// TestBenchProfile puts load on an agent that profiles itself, and leaves the
// files in HELENUS_BENCH_PROFILE: cpu.NAME.pprof and allocs.NAME.pprof.
func TestBenchProfile(t *testing.T) {
	benchWanted(t)
	dir := os.Getenv("HELENUS_BENCH_PROFILE")
	if dir == "" {
		t.Skip("SKIP: HELENUS_BENCH_PROFILE names the folder for the profiles")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	operations := uint64(benchNumber("HELENUS_BENCH_OPS", 300_000))
	memory := os.Getenv("HELENUS_BENCH_MEMORY") // less than the data: reads from files miss the block cache
	if memory == "" {
		memory = "4GiB"
	}
	sh := shape{benchNumber("HELENUS_BENCH_CONNECTIONS", 1), benchNumber("HELENUS_BENCH_DEPTH", 64)}
	kept := table("kept", operations, 1)
	for _, mode := range []struct{ name, more string }{{"group", ""}, {"periodic", helenusPeriodic}} {
		profile(t, filepath.Join(dir, mode.name), "memory_limit: "+memory+"\n"+mode.more, func(on *server, section func(name string, do func())) {
			b := &bench{t: t, plan: nodePlan(sizes())}
			put := func(name string, kind stress.Kind) {
				w := workload(kept, stress.Uniform, kind)
				if kind == stress.Insert {
					w.Order = stress.Sequential
				}
				b.setup(on, w)
				cfg := b.config(benchLoad{workload: w}, on, sh)
				cfg.Operations = operations
				section(name, func() {
					used := on.cpu()
					res := b.run(on, cfg)
					used = on.cpu() - used
					t.Logf("%s %s: %.1f µs of CPU an operation, %.0f/s, %+v", mode.name, name, float64(used.Nanoseconds())/float64(operations)/1e3, res.Rate, res.Latency)
				})
			}
			put("insert", stress.Insert)
			if mode.name == "group" {
				put("memtable", stress.Select)
				on.flush()
				put("file", stress.Select)
			}
		})
	}
}

// profile runs an agent in a process of its own, made of this test binary so
// that it can profile itself, and gives sections of a load their files.
func profile(t *testing.T, files, more string, load func(on *server, section func(name string, do func()))) {
	p := newProcess(t, more)
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestBenchAgent$", "-test.timeout=0")
	p.cmd.Env = append(os.Environ(), "HELENUS_BENCH_AGENT="+p.config())
	p.cmd.Stderr = p.log
	orders, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !p.ready() {
		wait(20 * time.Millisecond)
	}
	said := bufio.NewScanner(answers)
	order := func(line string) string {
		if _, err := fmt.Fprintln(orders, line); err != nil {
			t.Fatal(err)
		}
		if !said.Scan() {
			t.Fatal("the agent has ended")
		}
		return said.Text()
	}
	on := &server{t: t, name: files, nodes: []serverNode{p.node()}, flush: p.flush}
	load(on, func(name string, do func()) {
		order("begin " + files + "." + name)
		do()
		t.Logf("%s: %s", name, order("end"))
	})
}

// TestBenchAgent is the agent of TestBenchProfile: a profile begins with an
// order on standard input and ends with the next.
func TestBenchAgent(t *testing.T) {
	config := os.Getenv("HELENUS_BENCH_AGENT")
	if config == "" {
		t.Skip("SKIP: this is the process that TestBenchProfile starts")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		defer stop()
		var before runtime.MemStats
		name := ""
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if begun, ok := strings.CutPrefix(in.Text(), "begin "); ok {
				name = begun
				beginProfile(t, name, &before)
				fmt.Println("begun")
				continue
			}
			fmt.Println(endProfile(t, name, &before))
		}
	}()
	if err := run(ctx, []string{"--config", config}); err != nil {
		t.Error(err)
	}
}

func beginProfile(t *testing.T, name string, before *runtime.MemStats) {
	f, err := os.Create(name + ".cpu.pprof")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(before)
}

// endProfile tells what was allocated since beginProfile.
func endProfile(t *testing.T, name string, before *runtime.MemStats) string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	pprof.StopCPUProfile()
	f, err := os.Create(name + ".allocs.pprof")
	if err == nil {
		err = pprof.Lookup("allocs").WriteTo(f, 0)
		f.Close()
	}
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d allocations, %d bytes, %d collections, heap in use %d MiB", m.Mallocs-before.Mallocs, m.TotalAlloc-before.TotalAlloc,
		m.NumGC-before.NumGC, m.HeapInuse>>20)
}

// post asks the admin API for an action.
func (p *process) post(path, body string) {
	p.t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d%s", p.admin, path), "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body) // what it says is for people
		p.t.Fatalf("%s: %s: %s", path, resp.Status, text)
	}
}
