//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	ctl "helenus/ctl/helenus"
	"helenus/internal/peer"
	"helenus/internal/report"
)

// server is what is under load, ours or Cassandra: one node, or several that
// are one cluster.
type server struct {
	t       *testing.T
	name    string
	nodes   []serverNode
	flush   func()
	compact func() // the table on disk, and waits for it; on any goroutine
	kill    func()
	restart func() time.Duration // of one that was killed
	// remember sets the memory limit for the next restart; nil: there is none.
	remember func(limit string)
	notes    []string
}

// serverNode is one process of a server.
type serverNode struct {
	address string // for clients
	peers   string // for other nodes; "": there are none
	dir     string // of all its files
	pid     func() int
}

func (s *server) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// addresses are those for clients.
func (s *server) addresses() []string {
	var all []string
	for _, n := range s.nodes {
		all = append(all, n.address)
	}
	return all
}

// sum adds up what the nodes have.
func (s *server) sum(of func(n serverNode) int64) int64 {
	var sum int64
	for _, n := range s.nodes {
		sum += of(n)
	}
	return sum
}

// cpu is the CPU time that the server's processes have taken.
func (s *server) cpu() time.Duration {
	return time.Duration(s.sum(func(n serverNode) int64 { return int64(processCPU(s.t, n.pid())) }))
}

// io is what /proc says of reading and writing, read_bytes for example.
func (s *server) io(what string) int64 {
	return s.sum(func(n serverNode) int64 { return procNumber(s.t, n.pid(), "io", what) })
}

// resident is memory in use: VmRSS now, VmHWM at most.
func (s *server) resident(what string) int64 {
	return s.sum(func(n serverNode) int64 { return procNumber(s.t, n.pid(), "status", what) << 10 })
}

// folder is the size of the files below one folder of each node.
func (s *server) folder(name string) int64 {
	return s.sum(func(n serverNode) int64 { return folderBytes(s.t, filepath.Join(n.dir, name)) })
}

// patience keeps whoever shares its disk with others from giving up: a time-out
// would end the comparison.
const patience = "write_request_timeout: 30s\nread_request_timeout: 30s\n"

// newCassandra runs a Cassandra of some nodes; of several each has a rack of its
// own.
func newCassandra(t *testing.T, name, heap, more string, nodes int) *server {
	t.Helper()
	began := time.Now()
	s := &server{t: t, name: name}
	var all []*peer.Cassandra
	for i := range nodes {
		opt := peer.Options{Heap: heap, YAML: patience + more}
		if nodes > 1 {
			opt.Rack = fmt.Sprintf("rack%d", i+1)
			opt.YAML += "auto_bootstrap: false\n" // there is no data yet
		}
		if i > 0 {
			opt.Seed = all[0]
		}
		c := peer.Start(t, opt)
		all = append(all, c)
		s.nodes = append(s.nodes, serverNode{address: net.JoinHostPort(c.Address(), "9042"), peers: net.JoinHostPort(c.Address(), "7000"), dir: c.Dir(), pid: c.PID})
	}
	each := func(do func(c *peer.Cassandra)) {
		for _, c := range all {
			do(c)
		}
	}
	s.flush = func() { each(func(c *peer.Cassandra) { c.Nodetool(t, "flush") }) }
	s.compact = func() { each(func(c *peer.Cassandra) { c.Nodetool(t, "compact", "bench", "disk") }) }
	s.kill = func() { each(func(c *peer.Cassandra) { c.Kill() }) }
	s.restart = func() time.Duration {
		began := time.Now()
		each(func(c *peer.Cassandra) { c.Restart(t) })
		return time.Since(began)
	}
	s.note("%.1f s to start, empty", time.Since(began).Seconds())
	t.Cleanup(s.resume) // a stopped process does not end in an orderly way
	return s
}

func newHelenus(t *testing.T, name, more string, starts int) *server {
	t.Helper()
	p := newProcess(t, more)
	s := &server{t: t, name: name, nodes: []serverNode{p.node()}, flush: p.flush, compact: p.compactDisk, kill: p.kill, restart: p.startTimed}
	s.remember = func(limit string) {
		text, err := os.ReadFile(p.config())
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "memory_limit:") })
		if err := os.WriteFile(p.config(), []byte(strings.Join(lines, "\n")+"memory_limit: "+limit+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var took []time.Duration
	for range starts {
		if p.cmd != nil {
			p.kill()
		}
		for _, dir := range []string{"data", "commitlog"} {
			if err := os.RemoveAll(filepath.Join(p.dir, dir)); err != nil {
				t.Fatal(err)
			}
		}
		took = append(took, p.startTimed())
	}
	slices.Sort(took)
	s.note("%.3f s to start, empty (median of %d, at most %.3f s)", took[len(took)/2].Seconds(), len(took), took[len(took)-1].Seconds())
	t.Cleanup(s.resume)
	return s
}

// node is the agent as a part of a server.
func (p *process) node() serverNode {
	n := serverNode{address: net.JoinHostPort(p.host, strconv.Itoa(p.cql)), dir: p.dir, pid: func() int { return p.cmd.Process.Pid }}
	if p.messages != 0 {
		n.peers = p.storage()
	}
	return n
}

// startTimed runs the agent and looks every millisecond whether it serves.
func (p *process) startTimed() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.cmd = exec.Command(p.binary, "--config", p.config())
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for {
		c, err := p.connect(context.Background())
		if err == nil {
			took := time.Since(began)
			c.Close()
			return took
		}
		if time.Since(began) > time.Minute {
			p.t.Fatal("the agent does not serve after a minute")
		}
		wait(time.Millisecond)
	}
}

// flush writes all memtables to files.
func (p *process) flush() {
	p.t.Helper()
	p.post("/v1/flush", "{}")
}

// compactDisk merges the files of the table that is read from disk.
func (p *process) compactDisk() {
	ctx := context.Background()
	n := ctl.New(net.JoinHostPort("127.0.0.1", strconv.Itoa(p.admin)))
	j, err := n.Compact(ctx, report.TablesRequest{Keyspace: "bench", Tables: []string{"disk"}})
	for err == nil && j.Ended == nil {
		wait(100 * time.Millisecond)
		j, err = n.Job(ctx, j.ID)
	}
	if err != nil || j.Error != "" {
		p.t.Errorf("compact: %v%s", err, j.Error)
	}
}

// pause stops the processes, resume lets them go on.
func (s *server) pause()  { s.signal(unix.SIGSTOP) }
func (s *server) resume() { s.signal(unix.SIGCONT) }

func (s *server) signal(sig unix.Signal) {
	for _, n := range s.nodes {
		_ = unix.Kill(n.pid(), sig) // one that has ended shows soon enough
	}
}

// ticksPerSecond is USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// processCPU is the time that a process has spent in user mode and in the
// kernel, over all its threads, those that have ended among them, and over
// children it has waited for.
func processCPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in parentheses, may hold blanks; utime, stime, cutime and cstime
	// are fields 14 to 17.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := int64(0)
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// procNumber reads "name: number" from a file of /proc.
func procNumber(t testing.TB, pid int, file, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, file)
	return 0
}

// folderBytes is the size of the files below a folder.
func folderBytes(t testing.TB, dir string) int64 {
	t.Helper()
	var sum int64
	eachFile(t, dir, func(_ string, size int64) { sum += size })
	return sum
}

// eachFile visits the files below a folder; those that go away meanwhile are
// left out.
func eachFile(t testing.TB, dir string, visit func(file string, size int64)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				visit(file, info.Size())
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachFile visits the files below one folder of each node.
func (s *server) eachFile(folder string, visit func(file string)) {
	for _, n := range s.nodes {
		eachFile(s.t, filepath.Join(n.dir, folder), func(file string, _ int64) { visit(file) })
	}
}

// forget drops a server's files from the page cache, without a word to the
// rest of the machine.
func (s *server) forget() {
	s.t.Helper()
	s.eachFile("", func(file string) {
		f, err := os.Open(file)
		if err != nil {
			return // gone meanwhile
		}
		defer f.Close()
		_ = f.Sync() // dirty pages stay
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			s.t.Errorf("%s: drop from the page cache: %v", file, err)
		}
	})
}

// recall brings a server's files into the page cache.
func (s *server) recall() {
	s.t.Helper()
	s.eachFile("data", func(file string) {
		if f, err := os.Open(file); err == nil {
			_, _ = io.Copy(io.Discard, f) // what cannot be read shows in the cell
			f.Close()
		}
	})
}
