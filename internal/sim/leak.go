package sim

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing/synctest"

	"helenus/store/vfs"
)

// openFiles knows which files a life has open.
type openFiles struct {
	mu   sync.Mutex
	open map[string]int // guarded by mu; by the name they were opened under
}

// watch wraps a file system so that opening and closing are noted.
func (o *openFiles) watch(fs vfs.FS) vfs.FS { return vfs.NewTraced(fs, o, nil) }

// Write implements io.Writer: it reads the lines of a trace.
func (o *openFiles) Write(line []byte) (int, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
	if strings.Contains(name, " ! ") {
		return len(line), nil // it failed
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch vfs.OpKind(kind) {
	case vfs.OpCreate, vfs.OpOpenRead, vfs.OpOpenReadWrite:
		if o.open == nil {
			o.open = map[string]int{}
		}
		o.open[name]++
	case vfs.OpClose:
		if o.open[name]--; o.open[name] == 0 {
			delete(o.open, name)
		}
	}
	return len(line), nil
}

var _ io.Writer = (*openFiles)(nil)

func (o *openFiles) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.open))
}

// Leaks tells what is left of a world whose nodes have all been stopped and
// whose actors have ended: goroutines, open files, connections, listeners and
// events that nobody will ever let happen. The test's goroutine calls it.
func (s *Sim) Leaks() error {
	synctest.Wait()
	s.admit()
	var errs []error
	leak := func(format string, args ...any) { errs = append(errs, fmt.Errorf("leak: "+format, args...)) }
	for _, n := range s.nodes {
		for i, l := range n.lives {
			select {
			case <-l.gone:
			default:
				leak("life %d of %s has not ended", i+1, n.name)
			}
			for _, name := range l.files.names() {
				leak("life %d of %s has %s open", i+1, n.name, name)
			}
		}
	}
	for _, p := range s.net.open() {
		leak("connection %s is open", p)
	}
	s.net.mu.Lock()
	for _, h := range s.net.hosts {
		for _, port := range slices.Sorted(maps.Keys(h.listeners)) {
			leak("%s listens on port %d", h, port)
		}
	}
	s.net.mu.Unlock()
	for _, e := range append(slices.Clone(s.queue.events), s.held...) {
		if e.owner != nil {
			leak("%s waits", e.name)
		}
	}
	for _, g := range goroutines() {
		leak("goroutine\n%s", g)
	}
	return errors.Join(errs...)
}

// goroutines are the stacks of the other goroutines of this bubble.
func goroutines() (out []string) {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := strings.Split(string(buf), "\n\n")
	bubble := bubbleOf(all[0]) // the caller comes first
	for _, g := range all[1:] {
		if bubble != "" && bubbleOf(g) == bubble && !strings.Contains(g, "testing/synctest.") && !strings.Contains(g, "testing.tRunner") {
			out = append(out, g)
		}
	}
	return out
}

// bubbleOf finds "synctest bubble 7" in the first line of a stack.
func bubbleOf(stack string) string {
	head, _, _ := strings.Cut(stack, "\n")
	_, after, ok := strings.Cut(head, "synctest bubble ")
	if !ok {
		return ""
	}
	number, _, _ := strings.Cut(after, "]")
	number, _, _ = strings.Cut(number, ",")
	return number
}
