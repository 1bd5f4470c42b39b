package coord

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/internal/ring"
	"helenus/store/row"
)

// How much a read asks for and holds.
const (
	// smallAnswerBytes is about the most that is asked for on the lane of small
	// answers, largeAnswerBytes on that of large ones. What there is beyond is
	// asked for when it is wanted.
	smallAnswerBytes = 256 << 10
	largeAnswerBytes = 4 << 20
	// fewRows are asked for on the lane of small answers.
	fewRows = 100
	// retainBytes is about how much is gathered before it is gone through.
	retainBytes = 4 << 20
	// streamsMax bounds the reads that go on beyond what was gathered first: each
	// of them has a goroutine, as it waits in the middle of an iteration.
	streamsMax = 256
)

// errMore ends an iteration that has come to the end of what is in memory; it
// is begun again where it may wait.
var errMore = errors.New("coord: more has to be asked for")

// reading is one read over several replicas. It gathers part by part: a part is
// a key, or an arc of a range.
type reading struct {
	c    *Coordinator
	r    *Read
	p    *ring.Placement
	lat  *latencies
	keys []row.Key // not yet asked for
	arcs arcs
	who  contacts // of the plan

	small bool // answers are, as a rule

	began   time.Time
	rows    int // that live, in what was gathered
	parts   int // that were gathered
	counted int // of gathers
	shown   shown

	mu      sync.Mutex // guards what follows
	gathers []*gather
	pending int           // gathers that are not over
	waits   chan struct{} // who waits for them; nil: nobody, the last one goes on
	repairs int           // not yet acknowledged by enough replicas
	acked   *sync.Cond    // there is one less of them
	ended   bool          // the iteration is over
	told    bool          // and so is the read
	err     error
}

// readReplicas reads a command from the replicas that have it.
func (c *Coordinator) readReplicas(r *Read) {
	p := c.placement(r.State, r.Command.Table.Keyspace)
	if p == nil {
		c.readDone(r, helenus.Invalid("keyspace %s does not exist", r.Command.Table.Keyspace))
		return
	}
	if _, ok := p.Strategy.(ring.Local); ok {
		c.readHere(r)
		return
	}
	x, ok := c.readings.Get().(*reading)
	if !ok {
		x = &reading{c: c}
		x.acked = sync.NewCond(&x.mu)
	}
	x.r, x.p, x.began, x.rows, x.parts, x.counted = r, p, time.Now(), 0, 0, 0
	x.err, x.ended, x.told = nil, false, false
	var err error
	var here bool
	if r.Command.Keys != nil {
		here, err = x.planKeys()
	} else {
		here, err = x.planRange()
	}
	switch {
	case err != nil:
		x.free()
		c.readDone(r, err)
	case here && r.Consistency.IsSerial():
		x.free()
		c.serialRead(r)
	case here:
		x.free()
		c.readHere(r)
	default:
		x.lat = c.latencies.of(r.Command.Table, r.State)
		x.run()
	}
}

// planKeys finds out who is to be asked; here, if that is only this node. A
// serial read of a single replica is linear there; of several it is a quorum
// read until conditional writes run over several replicas.
func (x *reading) planKeys() (here bool, err error) {
	c, keys := x.c, x.r.Command.Keys
	x.keys, here, x.small = keys, true, namesRows(x.r.Command)
	who, remote := &x.who, false
	for i := range keys {
		replicas := x.p.Replicas(c.opts.Partition.Token(keys[i].Bytes))
		if err := c.contact(who, x.p, replicas, x.r.Consistency); err != nil {
			c.stats.Unavailable.Add(1)
			return false, err
		}
		here = here && c.onlyHere(who) && !x.spareFor(who) && (!x.r.Consistency.IsSerial() || len(replicas) == 1)
		remote = remote || !contains(replicas, c.opts.Self)
	}
	if remote {
		c.stats.RemoteReads.Add(1)
	}
	return here, nil
}

// namesRows tells whether a command is for a few rows only, so that its answers
// are small as a rule.
func namesRows(c *row.Command) bool {
	n := len(c.Table.Clustering)
	if n == 0 || c.Limits.Rows > 0 && c.Limits.Rows <= fewRows {
		return true
	}
	for i := range c.Filter.Slices {
		s := &c.Filter.Slices[i]
		if s.StartSize != n || s.EndSize != n || !bytes.Equal(s.StartValues, s.EndValues) {
			return false
		}
	}
	return len(c.Filter.Slices) <= fewRows
}

// spareFor tells whether one more than the level wants is asked at once.
func (x *reading) spareFor(who *contacts) bool {
	return len(who.nodes) > who.blockFor && x.r.Command.Table.Options.SpeculativeRetry == "ALWAYS"
}

// planRange finds out whether this node alone can answer for the whole range.
func (x *reading) planRange() (here bool, err error) {
	c, cmd := x.c, x.r.Command
	if len(x.p.Topology.Tokens()) == 0 {
		c.stats.Unavailable.Add(1)
		return false, helenus.Unavailable(x.r.Consistency, ring.BlockFor(x.r.Consistency, x.p.Strategy, c.opts.Datacenter), 0)
	}
	x.arcs.begin(c, x.p, x.r.Consistency, cmd.Start, cmd.End)
	x.small = false
	who := &x.who
	if _, _, _, err = x.arcs.next(who); err != nil {
		c.stats.Unavailable.Add(1)
		return false, err
	}
	if x.arcs.done && c.onlyHere(who) && !x.spareFor(who) {
		return true, nil
	}
	x.arcs.begin(c, x.p, x.r.Consistency, cmd.Start, cmd.End)
	return false, nil
}

// Close waits for reads that go on by themselves. They end when the calls to
// other nodes do, so those have to be over, or at their deadlines.
func (c *Coordinator) Close() { c.streaming.Wait() }

// readHere reads from this node alone.
func (c *Coordinator) readHere(r *Read) {
	l := c.reads.Get().(*localRead)
	l.r = r
	c.opts.Replica.Read(r.Command, l)
}

// left is how many parts there still are.
func (x *reading) left() int {
	if x.r.Command.Keys != nil {
		return len(x.keys)
	}
	return x.arcs.left()
}

// run gathers batch by batch, then goes through it all. It returns when
// something is waited for; the last gather of a batch goes on.
func (x *reading) run() {
	for !x.enough() {
		waits, err := x.batch(nil)
		if waits {
			return
		}
		if err == nil {
			err = x.failure()
		}
		if err != nil {
			x.finish(err)
			return
		}
	}
	x.consume()
}

// enough tells whether what was gathered will do, as far as that is known.
func (x *reading) enough() bool {
	if x.left() == 0 {
		return true
	}
	if x.parts == 0 {
		return false
	}
	wanted, bytes := x.r.Command.Limits.Rows, 0
	for _, g := range x.gathers {
		bytes += g.bytes()
	}
	return wanted > 0 && x.rows >= wanted || bytes >= retainBytes
}

// failure is the error of the gathers that have just ended, if any; their rows
// are counted.
func (x *reading) failure() error {
	for _, g := range x.gathers[x.counted:] {
		if g.err != nil {
			return g.err
		}
		x.rows += g.rows()
		x.r.Tombstones = max(x.r.Tombstones, g.tombstones())
		x.parts++
		x.counted++
	}
	return nil
}

// batch asks for the next parts; waits is false when all of them have ended
// already. With a channel it tells that one when they have, and waits is true.
func (x *reading) batch(tell chan struct{}) (waits bool, err error) {
	n := concurrency(x.rows, x.parts, x.r.Command.Limits.Rows, x.left())
	if x.r.Command.Keys != nil {
		n = min(concurrencyMax, len(x.keys))
	}
	from := len(x.gathers)
	for range n {
		g, ok, err := x.part()
		if err != nil {
			x.c.stats.Unavailable.Add(1)
			x.drop(from)
			return false, err
		}
		if !ok {
			break
		}
		x.gathers = append(x.gathers, g)
	}
	started := x.gathers[from:]
	x.mu.Lock()
	x.pending, x.waits = len(started)+1, tell
	x.mu.Unlock()
	for _, g := range started {
		x.startGather(g)
	}
	return !x.arrived() || tell != nil, nil
}

// drop gives up parts that were not asked for yet.
func (x *reading) drop(from int) {
	for _, g := range x.gathers[from:] {
		g.giveUp()
	}
	x.gathers = x.gathers[:from]
}

func (x *reading) startGather(g *gather) {
	timeouts := x.c.timeouts()
	timeout := timeouts.Read
	if g.command.Keys == nil {
		timeout = timeouts.Range
	}
	wait := x.lat.wait(time.Now(), timeout)
	if wait != 0 && g.command.Keys == nil {
		wait = -1 // how long a range takes says nothing about its replicas
	}
	g.start(timeout, wait)
}

// part makes a gather of the next part; ok is false when there is none.
func (x *reading) part() (g *gather, ok bool, err error) {
	g = x.c.newGather()
	g.command = *x.r.Command
	g.verb, g.bytesMax = replica.VerbReadLarge, largeAnswerBytes
	if x.small {
		g.verb, g.bytesMax = replica.VerbRead, smallAnswerBytes
	}
	if x.r.Command.Keys == nil {
		g.command.Start, g.command.End, ok, err = x.arcs.next(&g.who)
	} else if len(x.keys) > 0 {
		if !x.r.Command.Continues(x.keys[0]) {
			g.command.After, g.command.AfterValues = nil, nil
		}
		g.key[0], ok = x.keys[0], true
		g.command.Keys = g.key[:]
		x.keys = x.keys[1:]
		if len(x.r.Command.Keys) == 1 { // planned a moment ago
			g.who.nodes, g.who.blockFor = append(g.who.nodes[:0], x.who.nodes...), x.who.blockFor
			g.prepare(x, false)
			return g, true, nil
		}
		err = x.c.contact(&g.who, x.p, x.p.Replicas(x.c.opts.Partition.Token(g.key[0].Bytes)), x.r.Consistency)
	}
	if err != nil || !ok {
		g.giveUp()
		return nil, false, err
	}
	g.prepare(x, g.command.Keys == nil)
	return g, true, nil
}

// arrived counts one gather, or their starter, as done; true for the last.
func (x *reading) arrived() bool {
	x.mu.Lock()
	x.pending--
	last, tell := x.pending == 0, x.waits
	x.mu.Unlock()
	if last && tell != nil {
		tell <- struct{}{}
	}
	return last
}

// gathered is called by a gather that is over.
func (x *reading) gathered(*gather) {
	x.mu.Lock()
	told := x.waits != nil
	x.mu.Unlock()
	if x.arrived() && !told {
		x.proceed()
	}
}

// proceed goes on behind a batch whose last answer came later.
func (x *reading) proceed() {
	if err := x.failure(); err != nil {
		x.finish(err)
		return
	}
	x.run()
}

// consume goes through what was gathered; when more is wanted, it is gone
// through again by a goroutine that may wait for that.
func (x *reading) consume() {
	if x.r.Command.Keys != nil && len(x.gathers) == 1 && x.lat != nil {
		x.lat.record(time.Since(x.began))
	}
	err := x.show(false)
	if !errors.Is(err, errMore) {
		x.finish(err)
		return
	}
	if x.c.streams.Add(1) > streamsMax {
		x.c.streams.Add(-1)
		x.finish(helenus.Errorf(helenus.CodeOverloaded, "More than %d long reads are under way; try again later", streamsMax))
		return
	}
	x.c.streaming.Go(func() {
		defer x.c.streams.Add(-1)
		x.finish(x.show(true))
	})
}

// show lets the owner go through the partitions.
func (x *reading) show(mayWait bool) error {
	x.shown.begin(x, mayWait)
	err := x.r.Done.Partitions(&x.shown)
	if closeErr := x.shown.end(!errors.Is(err, errMore)); err == nil {
		err = closeErr
	}
	return err
}

// finish ends the read, once what it repairs has been acknowledged.
func (x *reading) finish(err error) {
	x.mu.Lock()
	if x.ended = true; err != nil {
		x.err = err
	}
	x.tell()
}

// repaired is called when enough replicas have acknowledged a repair, or cannot.
func (x *reading) repaired(err error) {
	x.mu.Lock()
	x.repairs--
	if x.err == nil {
		x.err = err
	}
	x.acked.Signal()
	x.tell()
}

// repairsMax bounds the repairs of one read that are under way while it goes on.
const repairsMax = 16

// awaitRepairs holds a long read back while replicas take what they had missed.
func (x *reading) awaitRepairs() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.repairs > repairsMax && x.err == nil {
		x.acked.Wait()
	}
}

// tell tells the owner if it is time to, once, and unlocks.
func (x *reading) tell() {
	if !x.ended || x.told || x.err == nil && x.repairs > 0 {
		x.mu.Unlock()
		return
	}
	x.told = true
	x.mu.Unlock()
	c, r, err := x.c, x.r, x.err
	x.free()
	c.readDone(r, err)
}

// free lets go of what was gathered, and of x unless a repair still knows it.
func (x *reading) free() {
	for _, g := range x.gathers {
		if g != nil {
			g.free()
		}
	}
	clear(x.gathers)
	x.gathers, x.keys = x.gathers[:0], nil
	x.r, x.p, x.lat, x.waits = nil, nil, nil, nil
	x.arcs.c, x.arcs.p, x.arcs.tokens = nil, nil, nil
	x.mu.Lock()
	known := x.repairs > 0
	x.mu.Unlock()
	if !known {
		x.c.readings.Put(x)
	}
}
