package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// server is a node under load, ours or Cassandra.
type server struct {
	name    string
	pid     int
	address string
	flush   func()
}

func dial(ctx context.Context, address string) (*client.Conn, error) {
	return client.Connect(ctx, address, client.Config{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}})
}

// ticksPerSecond is USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// cpu is the time that a process has spent in user mode and in the kernel.
func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in parentheses, may hold blanks; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := int64(0)
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// residentBytes is the memory of a process that is in use now.
func residentBytes(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// rowKey spreads consecutive numbers over all keys.
func rowKey(n uint64) uint64 { return n * 0x9e3779b97f4a7c15 }

const (
	columnBytes = 36
	columnCount = 5
)

// fill writes the text column of a row: what a read of it must bring.
func fill(b []byte, key uint64, column int) {
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	x := key + uint64(column)*0xbf58476d1ce4e5b9 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = letters[x>>59]
	}
}

// workload is a closed loop: connections x depth requests are always in flight.
type workload struct {
	table       string
	read        bool
	connections int
	depth       int // of each connection
	operations  int
	firstKey    uint64 // writes go on from here; reads stay within keys
	keys        uint64
}

// measured is what a load found.
type measured struct {
	cpuPerOp   time.Duration
	throughput float64 // operations per second
	p50, p99   time.Duration
}

// lane is one connection of a load. Its calls complete on one goroutine, so
// that nothing here needs a lock.
type lane struct {
	load      workload
	conn      *client.Conn
	next      *atomic.Int64 // operations begun, of all lanes
	left      int           // calls that have not ended
	latencies []time.Duration
	err       error
	done      chan struct{}
}

// slot is one request in flight.
type slot struct {
	lane  *lane
	call  client.Call
	key   uint64
	began time.Time
	room  [8 + columnCount*columnBytes]byte
	cells [][]byte
}

func (l workload) statement() string {
	if l.read {
		return "SELECT c0, c1, c2, c3, c4 FROM " + l.table + " WHERE key = ?"
	}
	return "INSERT INTO " + l.table + " (key, c0, c1, c2, c3, c4) VALUES (?, ?, ?, ?, ?, ?)"
}

// newSlot prepares a request whose values are changed in place.
func (n *lane) newSlot(p *client.Prepared) *slot {
	s := &slot{lane: n, cells: make([][]byte, columnCount)}
	values := []proto.Value{{Bytes: s.room[:8]}}
	for i := 0; i < columnCount && !n.load.read; i++ {
		values = append(values, proto.Value{Bytes: s.column(i)})
	}
	s.call.Request = n.conn.ExecuteRequest(p, values...)
	s.call.Done = func(*client.Call) { s.completed() }
	return s
}

func (s *slot) column(i int) []byte {
	return s.room[8+i*columnBytes : 8+(i+1)*columnBytes]
}

// begin sends the next operation; false: there is none left, or it failed.
func (s *slot) begin() bool {
	n := s.lane
	i := n.next.Add(1) - 1
	if i >= int64(n.load.operations) || n.err != nil {
		return false
	}
	s.key = rowKey(n.load.firstKey + uint64(i))
	if n.load.read {
		s.key = rowKey(rowKey(uint64(i)+n.load.firstKey) % n.load.keys)
	}
	binary.BigEndian.PutUint64(s.room[:8], s.key)
	for c := 0; c < columnCount && !n.load.read; c++ {
		fill(s.column(c), s.key, c)
	}
	s.began = time.Now()
	n.err = n.conn.Go(&s.call)
	return n.err == nil
}

func (s *slot) completed() {
	n := s.lane
	n.latencies = append(n.latencies, time.Since(s.began))
	if s.call.Err != nil {
		n.err = s.call.Err
	} else if n.load.read {
		s.verify()
	}
	if s.begin() {
		return
	}
	if n.left--; n.left == 0 {
		close(n.done)
	}
}

// verify compares one column of the row with what was written.
func (s *slot) verify() {
	rows := &s.call.Response.Rows
	if rows.Count != 1 || !rows.NextRow(s.cells) {
		s.lane.err = fmt.Errorf("key %x: %d rows", s.key, rows.Count)
		return
	}
	var want [columnBytes]byte
	column := int(s.key>>32) % columnCount
	fill(want[:], s.key, column)
	if string(s.cells[column]) != string(want[:]) {
		s.lane.err = fmt.Errorf("key %x: column %d is %q, not %q", s.key, column, s.cells[column], want)
	}
}

// run puts a load on a server.
func (l workload) run(t testing.TB, on *server) measured {
	t.Helper()
	var next atomic.Int64
	lanes := make([]*lane, l.connections)
	for i := range lanes {
		c, err := dial(context.Background(), on.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		lanes[i] = &lane{load: l, conn: c, next: &next, left: l.depth, done: make(chan struct{})}
		lanes[i].latencies = make([]time.Duration, 0, l.operations)
	}
	before, began := cpu(t, on.pid), time.Now()
	var starts sync.WaitGroup
	for _, n := range lanes {
		p, err := n.conn.Prepare(context.Background(), l.statement(), "")
		if err != nil {
			t.Fatal(err)
		}
		starts.Go(func() { n.start(p) })
	}
	starts.Wait()
	var all []time.Duration
	for _, n := range lanes {
		<-n.done
		if n.err != nil {
			t.Fatalf("%s: %s: %v", on.name, l.statement(), n.err)
		}
		all = append(all, n.latencies...)
	}
	took, used := time.Since(began), cpu(t, on.pid)-before
	slices.Sort(all)
	return measured{cpuPerOp: used / time.Duration(len(all)), throughput: float64(len(all)) / took.Seconds(),
		p50: all[len(all)/2], p99: all[len(all)*99/100]}
}

// start sends a lane's first requests from its reader's goroutine, as all that
// follow, by way of one request whose answer is thrown away.
func (n *lane) start(p *client.Prepared) {
	slots := make([]*slot, n.load.depth)
	for i := range slots {
		slots[i] = n.newSlot(p)
	}
	first := &client.Call{Request: n.conn.QueryRequest("SELECT key FROM system.local")}
	first.Done = func(*client.Call) {
		for _, s := range slots {
			if !s.begin() {
				n.left--
			}
		}
		if n.left == 0 {
			close(n.done)
		}
	}
	if err := n.conn.Go(first); err != nil {
		n.err = err
		close(n.done)
	}
}
