//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a server's processes have taken until a moment, or between two.
type usage struct {
	cpu  time.Duration
	read int64 // bytes from the disk
	// ends are the ends of connections between the nodes, and the bytes each
	// has sent, at a moment; sent and lost what that makes between two.
	ends map[string]int64
	sent int64
	lost int // ends that are gone, with what they sent last
}

func (s *server) usage() usage {
	s.t.Helper()
	u := usage{ends: s.ends()}
	u.cpu, u.read = s.cpu(), s.io("read_bytes")
	return u
}

// since is what was taken after an earlier moment.
func (u usage) since(earlier usage) usage {
	d := usage{cpu: u.cpu - earlier.cpu, read: u.read - earlier.read}
	for end, sent := range u.ends {
		before := earlier.ends[end]
		if before > sent { // a new connection between the same ports
			before, d.lost = 0, d.lost+1
		}
		d.sent += sent - before
	}
	for end := range earlier.ends {
		if _, there := u.ends[end]; !there {
			d.lost++
		}
	}
	return d
}

// ends asks the kernel for both ends of each TCP connection to where a node
// listens for other nodes: what they have sent, without TCP's headers. All nodes
// are on this machine, so each byte between them is sent by one of these.
func (s *server) ends() map[string]int64 {
	s.t.Helper()
	if len(s.nodes) == 1 {
		return nil
	}
	text, err := exec.Command("ss", "-tinHO").Output()
	if err != nil {
		s.t.Fatalf("ss, of iproute2, which counts bytes between nodes: %v", err)
	}
	var peers []string
	for _, n := range s.nodes {
		peers = append(peers, n.peers)
	}
	return connectionEnds(string(text), peers)
}

// connectionEnds finds the bytes sent in what ss says: state, two queues, this
// end, the other end, and words about the connection.
func connectionEnds(text string, peers []string) map[string]int64 {
	wanted := map[netip.AddrPort]bool{}
	for _, p := range peers {
		wanted[netip.MustParseAddrPort(p)] = true
	}
	ends := map[string]int64{}
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) < 5 {
			continue
		}
		here, there := endpoint(words[3]), endpoint(words[4])
		if !wanted[here] && !wanted[there] {
			continue
		}
		end := here.String() + " " + there.String()
		ends[end] = 0 // ss does not show 0
		for _, w := range words[5:] {
			if n, ok := strings.CutPrefix(w, "bytes_sent:"); ok {
				ends[end], _ = strconv.ParseInt(n, 10, 64) // the kernel's numbers are numbers
			}
		}
	}
	return ends
}

// endpoint reads an address as ss writes it; Java's sockets speak IPv6.
func endpoint(text string) netip.AddrPort {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{} // bound to a device: nobody's here
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// The bounds of settling: quiet is a fifth of a CPU, over all nodes.
const (
	quietFor  = 200 * time.Millisecond
	quietCPU  = quietFor / 5
	behindMax = 20 * time.Second
)

// settle waits until several nodes have done what they owe, and answers for how
// long they were at it: below ALL a client has its answer while replicas are
// still at work, and who does that later must not have it for nothing. A lone
// node has done all when it answers.
func (s *server) settle() time.Duration {
	s.t.Helper()
	if len(s.nodes) == 1 {
		return 0
	}
	began, used := time.Now(), s.cpu()
	for {
		behind := time.Since(began)
		wait(quietFor)
		now := s.cpu()
		if now-used <= quietCPU || behind > behindMax {
			return behind
		}
		used = now
	}
}

// TestConnectionEnds counts in what ss said of nodes at .1 and .2, one of them
// Java.
func TestConnectionEnds(t *testing.T) {
	const text = `ESTAB 0 275      127.0.0.1:54054      127.0.8.1:9042 bbr bytes_sent:111 bytes_acked:110
ESTAB 0 0 [::ffff:127.0.8.2]:40001 [::ffff:127.0.8.1]:7000 cubic rto:204 bytes_sent:1000 bytes_acked:1000 data_segs_out:3
ESTAB 0 0 [::ffff:127.0.8.1]:7000 [::ffff:127.0.8.2]:40001 cubic rto:204 bytes_sent:30 bytes_acked:30
ESTAB 0 0 127.0.8.1:40002 127.0.8.2:7000 cubic rto:204
ESTAB 0 0 127.0.9.1:40002 127.0.9.2:7000 cubic bytes_sent:5
ESTAB 0 0 127.0.0.53%lo:53 127.0.0.1:40002 cubic bytes_sent:5
`
	ends := connectionEnds(text, []string{"127.0.8.1:7000", "127.0.8.2:7000"})
	if len(ends) != 3 || ends["127.0.8.2:40001 127.0.8.1:7000"] != 1000 || ends["127.0.8.1:7000 127.0.8.2:40001"] != 30 {
		t.Fatalf("%v", ends)
	}
	later := usage{cpu: 5, read: 7, ends: map[string]int64{"127.0.8.2:40001 127.0.8.1:7000": 1500, "127.0.8.1:40002 127.0.8.2:7000": 20, "new": 3}}
	got := later.since(usage{cpu: 2, read: 1, ends: ends})
	if got.cpu != 3 || got.read != 6 || got.sent != 500+20+3 || got.lost != 1 {
		t.Errorf("%+v", got)
	}
}

// deviceWritten is how many bytes the disk of the servers has taken so far, what
// the kernel still held included; false where that is no disk. All others are
// stopped when it is asked, so the difference is one server's, with the journal of
// the file system. (The kernel's count by process, write_bytes, takes a whole
// folio for each block.)
func deviceWritten() (bytes int64, ok bool) {
	unix.Sync()
	var st unix.Stat_t
	if err := unix.Stat(os.TempDir(), &st); err != nil {
		return 0, false
	}
	text, _ := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	const sectors, sectorBytes = 6, 512 // the field, in units that never change
	fields := strings.Fields(string(text))
	if len(fields) <= sectors {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[sectors], 10, 64)
	return n * sectorBytes, err == nil
}

// written notes what do, which writes so many bytes of data, makes the disk write.
func (s *server) written(how string, do func() int64) {
	before, ok := deviceWritten()
	size := do()
	if after, _ := deviceWritten(); ok {
		s.note("%.2f bytes written to disk for a byte of data, %d MiB of it, %s", float64(after-before)/float64(size), size>>20, how)
	}
}

func TestDeviceWritten(t *testing.T) {
	before, ok := deviceWritten()
	if !ok {
		t.Skip("SKIP: the folder for temporary files is on no disk")
	}
	const size = 8 << 20
	if err := os.WriteFile(filepath.Join(t.TempDir(), "f"), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, _ := deviceWritten(); after-before < size {
		t.Errorf("%d bytes after writing %d", after-before, size)
	}
}
