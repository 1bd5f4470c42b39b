package coord

import (
	"math"
	"sync"

	"helenus"
	"helenus/agent/replica"
	"helenus/internal/meta"
	"helenus/store/row"
)

// casStripes is how many conditional writes may be under way at once; those of
// partitions that share a stripe wait for each other.
const casStripes = 1024

// casStripe lets one conditional write or serial read run after the other,
// without a goroutine for those that wait.
type casStripe struct {
	mu    sync.Mutex // guards what follows
	busy  bool
	queue []func()
}

// enter runs f now or when the stripe is free; f's end must call leave.
func (s *casStripe) enter(f func()) {
	s.mu.Lock()
	if s.busy {
		s.queue = append(s.queue, f)
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.mu.Unlock()
	f()
}

// leave lets the next one in. It gets a goroutine of its own, so that a long
// queue does not grow the stack.
func (s *casStripe) leave() {
	s.mu.Lock()
	var next func()
	if len(s.queue) > 0 {
		next, s.queue = s.queue[0], s.queue[1:]
	} else {
		s.busy, s.queue = false, nil
	}
	s.mu.Unlock()
	if next != nil {
		go next()
	}
}

func (c *Coordinator) stripe(k row.Key) *casStripe { return &c.cas[k.Prefix>>32%casStripes] }

// CAS implements query.Coordinator: read, decide and write as one step of the
// partition. With one replica its own order is the linear one.
func (c *Coordinator) CAS(op *CAS) {
	c.stats.CAS.Add(1)
	key := op.Command.Keys[0]
	keyspace := op.Command.Table.Keyspace
	if op.Err = c.checkCAS(op, keyspace, key); op.Err != nil {
		op.Done.CASDone(op)
		return
	}
	s := c.stripe(key)
	run := &casRun{c: c, op: op, stripe: s}
	s.enter(run.start)
}

func (c *Coordinator) checkCAS(op *CAS, keyspace string, key row.Key) error {
	if !op.Serial.IsSerial() {
		return helenus.Invalid("Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL")
	}
	if err := c.serializable(op.State, keyspace, key); err != nil {
		return err
	}
	if err := c.available(op.State, keyspace, key, op.Serial); err != nil {
		return err
	}
	return c.available(op.State, keyspace, key, op.Consistency)
}

// casRun is one conditional write in its stripe.
type casRun struct {
	c       *Coordinator
	op      *CAS
	stripe  *casStripe
	newest  int64 // the greatest timestamp of what is written but not looked at
	ballot  int64
	applies bool
}

func (r *casRun) start() {
	r.newest = row.NoTimestamp
	if r.op.Written != nil {
		r.c.opts.Replica.Read(r.op.Written, (*writtenReader)(r))
		return
	}
	r.c.opts.Replica.Read(r.op.Command, r)
}

// writtenReader reads what is written but not looked at, for its timestamps.
type writtenReader casRun

// Partitions implements replica.Consumer.
func (r *writtenReader) Partitions(ps row.Partitions) error {
	seen := row.WatchNewest(ps)
	err := seen.Drain()
	r.newest = seen.Timestamp
	return err
}

// ReadDone implements replica.Consumer.
func (r *writtenReader) ReadDone(err error) {
	run := (*casRun)(r)
	if err != nil {
		run.end(readError(err, run.op.Serial))
		return
	}
	run.c.opts.Replica.Read(run.op.Command, run)
}

// Partitions implements replica.Consumer. The ballot is above the clock and
// above all that is there: a write that was told as applied must not lose to a
// cell with a client's timestamp from the future, or from before the clock was
// set back.
func (r *casRun) Partitions(ps row.Partitions) (err error) {
	seen := row.WatchNewest(ps)
	if r.applies, err = r.op.Done.Decide(seen); err != nil || !r.applies {
		return err
	}
	newest := max(seen.Timestamp, r.newest)
	if newest == math.MaxInt64 {
		return helenus.Invalid("Cannot apply the conditional update: the row holds a write with the greatest timestamp there is (%d)", newest)
	}
	r.ballot = max(r.c.opts.Clock.Micros(), newest+1)
	return nil
}

// ReadDone implements replica.Consumer.
func (r *casRun) ReadDone(err error) {
	if err != nil || !r.applies {
		r.end(readError(err, r.op.Serial))
		return
	}
	mutation, err := r.op.Done.Mutation(r.ballot)
	if err != nil || mutation == nil {
		r.end(err)
		return
	}
	r.c.opts.Replica.Write(&replica.Write{Mutation: mutation, Owner: r})
}

// Written implements replica.Owner.
func (r *casRun) Written(w *replica.Write) {
	err := w.Err
	if err != nil {
		err = writeError(err, &Write{Consistency: r.op.Consistency, Type: helenus.WriteCAS})
	}
	r.end(err)
}

func (r *casRun) end(err error) {
	op := r.op
	op.Err = err
	r.stripe.leave()
	op.Done.CASDone(op)
}

// serializable tells whether the order of this node is that of the partition: it
// is the only replica.
func (c *Coordinator) serializable(state *meta.State, keyspace string, key row.Key) error {
	p := c.placement(state, keyspace)
	if p == nil {
		return helenus.Invalid("keyspace %s does not exist", keyspace)
	}
	tok := c.opts.Partition.Token(key.Bytes)
	for _, n := range p.Replicas(tok) {
		if n.HostID == c.opts.Self {
			continue
		}
		if p.Strategy.Factor() == 1 {
			return helenus.Unsupported("conditional statements on a key whose replica is another node, " + n.Endpoint.Addr().String())
		}
		return helenus.Unsupported("conditional statements over several replicas")
	}
	if p.Pending(tok) != nil {
		return helenus.Unsupported("conditional statements over several replicas")
	}
	return nil
}

// serialRead reads behind all conditional writes of the partition.
func (c *Coordinator) serialRead(r *Read) {
	if err := c.serializable(r.State, r.Command.Table.Keyspace, r.Command.Keys[0]); err != nil {
		c.readDone(r, err)
		return
	}
	s := c.stripe(r.Command.Keys[0])
	s.enter(func() { c.opts.Replica.Read(r.Command, &serialReader{localRead{c: c, r: r}, s}) })
}

type serialReader struct {
	localRead
	stripe *casStripe
}

// ReadDone implements replica.Consumer.
func (l *serialReader) ReadDone(err error) {
	l.stripe.leave()
	l.c.readDone(l.r, err)
}
