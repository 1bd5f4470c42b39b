// Package coord carries a request to the replicas that own its key and decides
// by its consistency level when it is answered.
//
// Nouns: Coordinator, Replica (this node's own share), Tables (rows that are
// made, not stored: the system keyspaces), Hints (what a replica missed), tally
// (the counting of answers against a level).
//
// query calls it; agent makes it. It never sees statements or the wire format
// of clients, and never touches the store but through Replica.
//
// What only this node holds takes a short way: its replica's answer is the
// client's.
package coord

import (
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/ring"
	"helenus/internal/token"
	"helenus/store/row"
)

// Replica is this node's share of the data.
type Replica interface {
	Write(w *replica.Write)
	Read(command *row.Command, c replica.Consumer)
}

// Tables are the keyspaces that are rendered from what the node knows.
type Tables interface {
	// Owns tells whether a table is one of these.
	Owns(t *schema.Table) bool
	Read(command *row.Command) (row.Partitions, error)
	// Elsewhere names the only other node that has what a command asks for; false:
	// it is made here.
	Elsewhere(command *row.Command) (helenus.HostID, bool)
}

// Options are what a Coordinator works with.
type Options struct {
	Self       helenus.HostID
	Datacenter helenus.Datacenter
	Partition  token.Partitioner
	Replica    Replica
	Tables     Tables
	Clock      *Clock

	// Wire reaches other nodes; it may be given later, by Connect. Nil: a node
	// that is alone, to which all others count as down.
	Wire      Caller
	Liveness  Liveness        // nil: nobody else lives
	Hints     Hints           // nil: none are kept
	Proximity Proximity       // nil: own datacenter first, then by host id
	Timeouts  func() Timeouts // nil: those of Cassandra
	// Memory bounds the answers of other replicas that are held at once; a read
	// for which there is none fails as Overloaded. Nil: no bound.
	Memory *budget.Budget
}

// Coordinator carries requests.
type Coordinator struct {
	opts  Options
	cas   [casStripes]casStripe
	stats Stats

	writes sync.Pool // *localWrite
	reads  sync.Pool // *localRead

	// Of reads over several nodes.
	readings  sync.Pool // *reading
	gathers   sync.Pool // *gather
	latencies latencyTables
	streams   atomic.Int32
	streaming sync.WaitGroup

	writings  sync.Pool // *writing
	deadlines deadlines
	acks      acks
}

// Stats count what was coordinated since the start.
type Stats struct {
	Reads, Writes, CAS      atomic.Uint64
	ReadErrors, WriteErrors atomic.Uint64
	Unavailable             atomic.Uint64

	// Of Reads (of keys, not of ranges) and Writes, those with a partition that
	// has no replica at this node.
	RemoteReads, RemoteWrites atomic.Uint64

	Mismatches  atomic.Uint64 // digests that differed
	Repairs     atomic.Uint64 // mutations of read repair
	Speculative atomic.Uint64 // replicas asked because others were slow
}

// New makes a Coordinator.
func New(opts Options) *Coordinator {
	c := &Coordinator{opts: opts}
	c.writes.New = func() any { return &localWrite{c: c} }
	c.reads.New = func() any { return &localRead{c: c} }
	c.writings.New = func() any { return newWriting(c) }
	c.deadlines.began = time.Now()
	return c
}

// Connect gives the way to other nodes, which cannot be made before the verbs
// that this room answers. It comes before the first request.
func (c *Coordinator) Connect(w Caller) { c.opts.Wire = w }

// Stats gives the counters; they are live.
func (c *Coordinator) Stats() *Stats { return &c.stats }

// Read starts a read.
func (c *Coordinator) Read(r *Read) {
	c.stats.Reads.Add(1)
	if c.opts.Tables.Owns(r.Command.Table) {
		if at, ok := c.opts.Tables.Elsewhere(r.Command); ok && c.opts.Wire != nil {
			c.readMadeAt(at, r)
		} else {
			c.readMade(r)
		}
		return
	}
	if r.Err = c.readable(r); r.Err != nil {
		c.stats.ReadErrors.Add(1)
		r.Done.ReadDone(r)
		return
	}
	if r.Trace != nil {
		r.Trace.Event("Executing single-partition or range query on " + r.Command.Table.Keyspace + "." + r.Command.Table.Name)
	}
	if c.opts.Wire != nil {
		c.readReplicas(r)
		return
	}
	if r.Consistency.IsSerial() && len(r.Command.Keys) == 1 {
		c.serialRead(r)
		return
	}
	l := c.reads.Get().(*localRead)
	l.r = r
	c.opts.Replica.Read(r.Command, l)
}

// localRead completes a read at this node.
type localRead struct {
	c *Coordinator
	r *Read
}

// Partitions implements replica.Consumer.
func (l *localRead) Partitions(ps row.Partitions) error { return l.r.Done.Partitions(ps) }

// ReadDone implements replica.Consumer.
func (l *localRead) ReadDone(err error) {
	c, r := l.c, l.r
	l.r = nil
	c.reads.Put(l)
	c.readDone(r, err)
}

func (c *Coordinator) readDone(r *Read, err error) {
	r.Err = readError(err, r.Consistency)
	if err != nil {
		c.stats.ReadErrors.Add(1)
	}
	r.Trace.Event("Read finished")
	r.Done.ReadDone(r)
}

// readMade reads one of the tables that are made.
func (c *Coordinator) readMade(r *Read) {
	ps, err := c.opts.Tables.Read(r.Command)
	if err == nil {
		err = r.Done.Partitions(ps)
		if closeErr := ps.Close(); err == nil {
			err = closeErr
		}
	}
	r.Err = err
	r.Done.ReadDone(r)
}

// madeRead is a read of what another node makes.
type madeRead struct {
	c       *Coordinator
	r       *Read
	request replica.ReadRequest
	call    wire.Call
}

// readMadeAt asks a node for what only it has. Nothing is there while it is down.
func (c *Coordinator) readMadeAt(at helenus.HostID, r *Read) {
	n := r.State.Node(at)
	if n == nil || c.opts.Liveness == nil || !c.opts.Liveness.Alive(at) {
		r.Err = r.Done.Partitions(row.NoPartitions())
		r.Done.ReadDone(r)
		return
	}
	m := &madeRead{c: c, r: r}
	m.request = replica.ReadRequest{Epoch: r.State.Epoch, Data: true, BytesMax: largeAnswerBytes, Command: row.AppendCommand(nil, r.Command)}
	m.call = wire.Call{Verb: replica.VerbRead, Request: &m.request, Timeout: c.timeouts().Read, Owner: m}
	c.opts.Wire.Call(wire.Target{ID: at, Addr: n.Broadcast}, &m.call)
}

// Answered implements wire.Owner.
func (m *madeRead) Answered(call *wire.Call) {
	r := m.r
	switch {
	case call.Err == nil:
		var answers row.Answers
		answers.Reset(call.Response.(*replica.ReadAnswer).Data, r.Command, m.c.opts.Partition)
		r.Err = r.Done.Partitions(&answers)
	case wire.KindOf(call.Err) == wire.Unreachable: // it went down a moment ago
		r.Err = r.Done.Partitions(row.NoPartitions())
	default:
		r.Err = readError(call.Err, r.Consistency)
		m.c.stats.ReadErrors.Add(1)
	}
	r.Done.ReadDone(r)
}

// readable checks that enough replicas of every key live; of a range, those of
// all keyspaces' ranges, since any of them may be asked.
func (c *Coordinator) readable(r *Read) error {
	if r.Consistency == helenus.Any {
		return helenus.Invalid("ANY ConsistencyLevel is only supported for writes")
	}
	if r.Consistency == helenus.EachQuorum {
		if _, ok := c.placement(r.State, r.Command.Table.Keyspace).Strategy.(*ring.Network); !ok {
			return helenus.Invalid("EACH_QUORUM ConsistencyLevel is only supported for writes")
		}
	}
	if r.Consistency.IsSerial() && len(r.Command.Keys) > 1 {
		return helenus.Invalid("SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time")
	}
	if c.opts.Wire != nil {
		return nil // readReplicas looks at each part
	}
	if r.Command.Keys == nil {
		return c.available(r.State, r.Command.Table.Keyspace, r.Command.Start.Key, r.Consistency)
	}
	for _, k := range r.Command.Keys {
		if err := c.available(r.State, r.Command.Table.Keyspace, k, r.Consistency); err != nil {
			return err
		}
	}
	return nil
}

func (c *Coordinator) placement(state *meta.State, keyspace string) *ring.Placement {
	return state.Placement(keyspace)
}

// available compares the live replicas of a key with what the level wants.
func (c *Coordinator) available(state *meta.State, keyspace string, key row.Key, cl helenus.Consistency) error {
	p := c.placement(state, keyspace)
	if p == nil {
		return helenus.Invalid("keyspace %s does not exist", keyspace)
	}
	replicas := p.Replicas(c.opts.Partition.Token(key.Bytes))
	err := ring.CheckLive(cl, p.Strategy, c.opts.Datacenter, replicas, ring.BlockFor(cl, p.Strategy, c.opts.Datacenter), c.alive)
	if err != nil {
		c.stats.Unavailable.Add(1)
	}
	return err
}

// alive tells whether a node is worth asking; this one always is.
func (c *Coordinator) alive(n *ring.Node) bool {
	return n.HostID == c.opts.Self || c.opts.Wire != nil && c.opts.Liveness != nil && c.opts.Liveness.Alive(n.HostID)
}
