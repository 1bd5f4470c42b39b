package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"helenus"
	"helenus/internal/cql/client"
)

// Workload is clients that write, delete and read registers over changing
// coordinators and keep the books.
type Workload struct {
	Registers *Registers
	Nodes     []*Node
	// Datacenter tells where a coordinator stands; nil: all stand in one.
	Datacenter func(n *Node) helenus.Datacenter
	Table      string // of k text PRIMARY KEY, v bigint
	Keys       int
	// Writes and Reads are the levels that are used, each as often as it is named.
	Writes, Reads []helenus.Consistency
	Timeout       time.Duration // of a client's patience; zero is 12 s
	Pause         time.Duration // at most, between two requests

	lie helenus.Consistency // tests of checkers: the level that writes are sent with instead

	mu         sync.Mutex // guards what follows
	silence    time.Duration
	lastAnswer time.Duration
}

// Silence is the longest time without a request that was answered.
func (w *Workload) Silence() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.silence
}

const (
	patience    = 12 * time.Second // more than any time-out of a node
	dialTimeout = 2 * time.Second
)

// WorkloadTable is the table of a Workload of that name.
func WorkloadTable(name string) string {
	return "CREATE TABLE " + name + " (k text PRIMARY KEY, v bigint) WITH read_repair = 'BLOCKING' AND gc_grace_seconds = 864000"
}

// Script makes requests until so much time of the world has passed.
func (w *Workload) Script(until time.Duration) func(a *Actor) {
	if w.Timeout <= 0 {
		w.Timeout = patience
	}
	return func(a *Actor) {
		a.Pause = w.Pause
		conns := make([]*client.Conn, len(w.Nodes))
		defer func() {
			for _, c := range conns {
				if c != nil {
					_ = c.Close() // no request is waiting
				}
			}
		}()
		for {
			a.Turn()
			if a.sim.Elapsed() >= until {
				return
			}
			i := a.Rand.IntN(len(w.Nodes))
			c := w.connection(a, &conns[i], w.Nodes[i])
			if c == nil {
				continue
			}
			if err := w.request(a, c, w.Nodes[i]); err != nil {
				a.sim.Errorf("%s at %s: %v", a.Name, w.Nodes[i].name, err)
				return
			}
		}
	}
}

// connection makes a connection anew if there is none; nil if it cannot.
func (w *Workload) connection(a *Actor, slot **client.Conn, n *Node) *client.Conn {
	if c := *slot; c != nil {
		if c.Err() == nil {
			return c
		}
		_ = c.Close() // it has ended already
		*slot = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := a.Connect(ctx, n)
	if err != nil {
		a.sim.Note("%s: no connection to %s", a.Name, n.name)
		return nil
	}
	*slot = c
	return c
}

// request makes one and judges its answer.
func (w *Workload) request(a *Actor, c *client.Conn, n *Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.Timeout)
	defer cancel()
	level := func(from []helenus.Consistency) Level {
		l := Level{Consistency: from[a.Rand.IntN(len(from))], Datacenter: "datacenter1"}
		if w.Datacenter != nil {
			l.Datacenter = w.Datacenter(n)
		}
		return l
	}
	key := fmt.Sprintf("k%d", a.Rand.IntN(w.Keys))
	var err error
	if x := a.Rand.IntN(10); x < 5 {
		err = w.read(ctx, a, c, w.Registers.Read(key, level(w.Reads)))
	} else {
		err = w.write(ctx, a, c, w.Registers.Write(key, x == 9, level(w.Writes)))
	}
	return err
}

func (w *Workload) write(ctx context.Context, a *Actor, c *client.Conn, x *Write) error {
	text := fmt.Sprintf("INSERT INTO %s (k, v) VALUES ('%s', %d) USING TIMESTAMP %d", w.Table, x.Key, x.Number, x.Number)
	if x.Delete {
		text = fmt.Sprintf("DELETE FROM %s USING TIMESTAMP %d WHERE k = '%s'", w.Table, x.Number, x.Key)
	}
	req := c.QueryRequest(text)
	req.Params.Consistency = x.Level.Consistency
	if w.lie != helenus.Any {
		req.Params.Consistency = w.lie
	}
	_, err := c.Do(ctx, req)
	outcome, unexpected := w.outcome(a, err)
	if err == nil {
		a.sim.Note("%s: %s", a.Name, x)
	} else {
		a.sim.Note("%s: %s: %s: %v", a.Name, x, outcome, err)
	}
	x.Ended(outcome)
	return unexpected
}

func (w *Workload) read(ctx context.Context, a *Actor, c *client.Conn, x *Read) error {
	number, err := ReadRegister(ctx, c, w.Table, x.Key, x.Level.Consistency)
	outcome, unexpected := w.outcome(a, err)
	if err != nil {
		a.sim.Note("%s: read %s at %s: %s: %v", a.Name, x.Key, x.Level, outcome, err)
		x.Failed()
		return unexpected
	}
	a.sim.Note("%s: read %s at %s: %s", a.Name, x.Key, x.Level, shown(number))
	return x.Ended(number)
}

var errContradiction = errors.New("the answer contradicts itself")

// ReadRegister reads a register: its number, or 0 if there is nothing.
func ReadRegister(ctx context.Context, c *client.Conn, table, key string, level helenus.Consistency) (int64, error) {
	req := c.QueryRequest(fmt.Sprintf("SELECT v, writetime(v) FROM %s WHERE k = '%s'", table, key))
	req.Params.Consistency = level
	res, err := c.Do(ctx, req)
	if err != nil {
		return 0, err
	}
	rows, err := res.All()
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	v, at := rows[0][0], rows[0][1]
	if len(rows) != 1 || len(v) != 8 || len(at) != 8 {
		return 0, fmt.Errorf("%w: %d rows, value %x, written at %x", errContradiction, len(rows), v, at)
	}
	if bigint(v) != bigint(at) {
		return 0, fmt.Errorf("%w: value %d with timestamp %d", errContradiction, bigint(v), bigint(at))
	}
	return bigint(v), nil
}

func bigint(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

// outcome tells what an answer means for a write; an error that no fault
// explains is returned.
func (w *Workload) outcome(a *Actor, err error) (Outcome, error) {
	var e *helenus.Error
	isError := errors.As(err, &e)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		now := a.sim.Elapsed()
		w.silence = max(w.silence, now-w.lastAnswer)
		w.lastAnswer = now
		return Acknowledged, nil
	}
	if errors.Is(err, errContradiction) {
		return Unknown, err
	}
	if !isError {
		return Unknown, nil // the connection broke, or the client's patience
	}
	switch e.Code {
	case helenus.CodeUnavailable:
		return Refused, nil
	case helenus.CodeWriteTimeout, helenus.CodeReadTimeout, helenus.CodeWriteFailure, helenus.CodeReadFailure,
		helenus.CodeOverloaded, helenus.CodeBootstrapping, helenus.CodeServer:
		return Unknown, nil
	}
	return Unknown, err
}
