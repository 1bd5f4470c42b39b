// Command helenus-agent is a Helenus node: it reads its configuration, makes an
// agent of it and runs it until it is told to end.
package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // time zones by name in literals, also where the host has no files

	"helenus/agent"
	"helenus/agent/admin"
	"helenus/agent/config"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "helenus-agent:", err)
		os.Exit(1)
	}
}

// overrides collects --set name=value.
type overrides map[string]string

func (o overrides) String() string { return "" }

func (o overrides) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("want name=value, got %q", s)
	}
	o[name] = value
	return nil
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("helenus-agent", flag.ContinueOnError)
	file := flags.String("config", "", "configuration `file`, with cassandra.yaml's keys (helenus.yaml)")
	check := flags.Bool("check", false, "find what is wrong with the configuration and the files that it names, and end; nothing is opened or written")
	showVersion := flags.Bool("version", false, "print the version and end")
	set := overrides{}
	flags.Var(set, "set", "override a setting, `name=value`; may be given several times")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 { // what stands behind it would be passed over without a word
		return fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	if *showVersion {
		fmt.Println("helenus-agent", version)
		return nil
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	loaded, err := load(*file, set)
	if err != nil {
		return err
	}
	for _, note := range loaded.Notes {
		log.Info(note)
	}
	if *check {
		return agent.Check(loaded.Config, agent.Env{Net: agent.RealNet(), Log: log, ReadFile: beside(*file)})
	}
	memory := admin.MemoryBytes()
	limitHeap(agent.HeapLimitBytes(loaded.Config, memory))
	makeRoom()
	reload := func() (config.Config, error) {
		again, err := load(*file, set)
		if err != nil {
			return config.Config{}, err
		}
		return again.Config, nil
	}
	a, err := agent.New(loaded.Config, agent.Env{FS: vfs.NewReal(), Net: agent.RealNet(), Now: time.Now, Rand: random, Log: log,
		Metrics: metrics.New(), Build: version, PID: os.Getpid(), MemoryBytes: memory, Background: background, ReadFile: beside(*file), Reload: reload,
		Settings: loaded.Origins})
	if err != nil {
		return err
	}
	err = a.Run(ctx)
	log.Info("stopping")
	return errors.Join(err, a.Close())
}

// collectorPercent is how much the heap may grow between two collections. Bulk
// memory (memtables, block cache) is not in the heap: what lives there is a few
// MiB, and at the usual 100 % a busy node collects it a hundred times a second.
const collectorPercent = 400

// limitHeap tunes the collector: it runs rarely while the heap is small, and as
// often as it must near the limit. GOGC and GOMEMLIMIT in the environment win.
func limitHeap(bytes int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}

// makeRoom lets flushes and compactions have processors of the runtime to
// themselves, so that they hold none that a request could use: the kernel, which
// knows their priority, decides who runs. GOMAXPROCS in the environment wins.
func makeRoom() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + backgroundThreads)
	}
}

// backgroundThreads is how much goes on at once: a flush and a compaction.
const backgroundThreads = 2

// beside reads files of the folder in which the configuration is, unless their
// names are absolute.
func beside(config string) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(config), name)
		}
		return os.ReadFile(name)
	}
}

func load(file string, set map[string]string) (*config.Loaded, error) {
	src := config.Sources{FileName: file, Env: os.Environ(), Flags: set}
	if file != "" {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no configuration file %s; `ctl up` writes one, or see docs/configuration.md", file)
		}
		if err != nil {
			return nil, err
		}
		src.File = text
	}
	return config.Load(src)
}

// random fills b; crypto/rand ends the process rather than give bad bytes.
func random(b []byte) { _, _ = crand.Read(b) }
