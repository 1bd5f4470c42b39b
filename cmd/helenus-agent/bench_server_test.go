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

// server is a node under load, ours or Cassandra.
type server struct {
	t       *testing.T
	name    string
	address string
	dir     string // of all its files
	logDir  string // its commit log
	pid     func() int
	flush   func()
	compact func() // the table on disk, and waits for it; on any goroutine
	kill    func()
	restart func() time.Duration // of one that was killed
	// remember sets the memory limit for the next restart; nil: there is none.
	remember func(limit string)
	notes    []string
}

// patience keeps a Cassandra that shares its disk with others from giving up:
// a time-out would end the comparison.
const patience = "write_request_timeout: 30s\nread_request_timeout: 30s\n"

func newCassandra(t *testing.T, name, heap, more string) *server {
	t.Helper()
	began := time.Now()
	c := peer.Start(t, peer.Options{Heap: heap, YAML: patience + more})
	s := &server{t: t, name: name, pid: c.PID, address: net.JoinHostPort(c.Address(), "9042"), dir: c.Dir(), logDir: filepath.Join(c.Dir(), "commitlog"),
		flush: func() { c.Nodetool(t, "flush") }, compact: func() { c.Nodetool(t, "compact", "bench", "disk") }, kill: c.Kill}
	s.restart = func() time.Duration {
		began := time.Now()
		c.Restart(t)
		return time.Since(began)
	}
	s.notes = append(s.notes, fmt.Sprintf("%.1f s to start, empty", time.Since(began).Seconds()))
	t.Cleanup(s.resume) // a stopped process does not end in an orderly way
	return s
}

func newHelenus(t *testing.T, name, more string, starts int) *server {
	t.Helper()
	p := newProcess(t, more)
	s := &server{t: t, name: name, pid: func() int { return p.cmd.Process.Pid }, address: fmt.Sprintf("127.0.0.1:%d", p.cql), dir: p.dir,
		logDir: filepath.Join(p.dir, "commitlog"), flush: p.flush, compact: p.compactDisk, kill: p.kill, restart: p.startTimed}
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
	s.notes = append(s.notes, fmt.Sprintf("%.3f s to start, empty (median of %d, at most %.3f s)", took[len(took)/2].Seconds(), len(took), took[len(took)-1].Seconds()))
	t.Cleanup(s.resume)
	return s
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

// pause stops the process, resume lets it go on.
func (s *server) pause()  { _ = unix.Kill(s.pid(), unix.SIGSTOP) } // one that has ended shows soon enough
func (s *server) resume() { _ = unix.Kill(s.pid(), unix.SIGCONT) }

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

// residentBytes is memory in use: VmRSS now, VmHWM at most.
func residentBytes(t testing.TB, pid int, what string) int64 {
	t.Helper()
	return procNumber(t, pid, "status", what) << 10
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

// forget drops a server's files from the page cache, without a word to the
// rest of the machine.
func (s *server) forget() {
	s.t.Helper()
	eachFile(s.t, s.dir, func(file string, _ int64) {
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
	eachFile(s.t, filepath.Join(s.dir, "data"), func(file string, _ int64) {
		if f, err := os.Open(file); err == nil {
			_, _ = io.Copy(io.Discard, f) // what cannot be read shows in the cell
			f.Close()
		}
	})
}
