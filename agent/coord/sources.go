package coord

import (
	"errors"

	"helenus/agent/replica"
	"helenus/store/row"
)

// shown is everything that a read has gathered, as Partitions: part after part,
// each merged from what its replicas answered.
type shown struct {
	x       *reading
	mayWait bool
	next    int // of x.gathers
	at      *gathered
}

// gathered is one gather that is being gone through.
type gathered struct {
	x       *reading
	g       *gather
	mayWait bool
	sources []*source // those in use; more may be kept behind them
	of      []int     // slots of the sources
	ps      row.Partitions
	lacks   *row.Lacks // nil: nothing is repaired
}

func (s *shown) begin(x *reading, mayWait bool) {
	*s = shown{x: x, mayWait: mayWait}
}

// end lets go of the part at hand; whole tells that what was gone through is to
// be repaired.
func (s *shown) end(whole bool) error {
	at := s.at
	s.at = nil
	if at == nil {
		return nil
	}
	return at.close(whole)
}

// Close implements row.Partitions; end does the work.
func (s *shown) Close() error { return nil }

// Next implements row.Partitions.
func (s *shown) Next() (row.Partition, error) {
	for {
		if s.at == nil {
			if ok, err := s.advance(); !ok || err != nil {
				return nil, err
			}
		}
		p, err := s.at.ps.Next()
		if p != nil || err != nil {
			return p, err
		}
		at := s.at
		s.at = nil
		if err := at.close(true); err != nil {
			return nil, err
		}
		if s.mayWait { // it is not gone through again
			at.g.free()
			s.x.gathers[s.next-1] = nil
		}
	}
}

// advance goes on to the next part; false behind the last.
func (s *shown) advance() (bool, error) {
	x := s.x
	if s.next == len(x.gathers) {
		if x.left() == 0 {
			return false, nil
		}
		if !s.mayWait {
			return false, errMore
		}
		x.gathers, x.counted, s.next = x.gathers[:0], 0, 0
		err := x.wait(func(tell chan struct{}) error {
			_, err := x.batch(tell)
			return err
		})
		if err == nil {
			err = x.failure()
		}
		if err != nil {
			return false, err
		}
	}
	s.at = x.open(x.gathers[s.next], s.mayWait)
	s.next++
	return true, nil
}

// wait waits for what begin starts.
func (x *reading) wait(begin func(tell chan struct{}) error) error {
	tell := make(chan struct{}, 1)
	if err := begin(tell); err != nil {
		return err
	}
	<-tell
	return nil
}

// ask asks for what lies behind the end of an answer: one replica, or, for rows
// of one partition, as many as the level wants when only is nil.
func (x *reading) ask(c row.Command, mayWait bool, only *slot) (*gather, error) {
	if !mayWait {
		return nil, errMore
	}
	g := x.c.newGather()
	g.command, g.verb, g.bytesMax = c, replica.VerbReadLarge, largeAnswerBytes
	full := true
	if only != nil {
		g.who.nodes, g.who.blockFor = append(g.who.nodes[:0], only.node), 1
	} else {
		replicas := x.p.Replicas(x.c.opts.Partition.Token(c.Keys[0].Bytes))
		if err := x.c.contact(&g.who, x.p, replicas, x.r.Consistency); err != nil {
			g.giveUp()
			return nil, err
		}
		full = false
	}
	g.prepare(x, full)
	err := x.wait(func(tell chan struct{}) error {
		x.mu.Lock()
		x.pending, x.waits = 1, tell
		x.mu.Unlock()
		x.startGather(g)
		return nil
	})
	if err == nil {
		err = g.err
	}
	if err != nil {
		g.free()
		return nil, err
	}
	return g, nil
}

// open makes Partitions of a gather's answers.
func (x *reading) open(g *gather, mayWait bool) *gathered {
	o := &g.opened
	*o = gathered{x: x, g: g, mayWait: mayWait, sources: o.sources[:0], of: o.of[:0]}
	for i := range g.votes {
		if v := &g.votes[i]; v.data && (g.one < 0 || g.one == i) {
			o.of = append(o.of, i)
			o.addSource(g.slots[i])
		}
	}
	if len(o.sources) == 1 {
		o.ps = o.sources[0]
		return o
	}
	ps := make([]row.Partitions, len(o.sources))
	for i, s := range o.sources {
		ps[i] = s
	}
	t, tie := g.command.Table, x.c.opts.Partition.CompareTie
	if t.Options.ReadRepair == "NONE" {
		o.ps = row.MergePartitions(tie, g.command.Filter.Reversed, ps...)
		return o
	}
	o.lacks = new(row.Lacks)
	o.lacks.Reset(t, &g.command.Filter, len(ps))
	o.ps = &repairing{Partitions: row.Resolve(tie, g.command.Filter.Reversed, o.lacks, ps...), o: o}
	return o
}

// repairing sends what replicas lack whenever that has become much: a mutation
// is bounded, and so is what is held.
type repairing struct {
	row.Partitions
	o    *gathered
	part repairingPart
}

type repairingPart struct {
	row.Partition
	o *gathered
}

// repairBytes is about how much of a repair is sent at once.
const repairBytes = 128 << 10

// Next implements row.Partitions.
func (r *repairing) Next() (row.Partition, error) {
	p, err := r.Partitions.Next()
	if p == nil || err != nil {
		return nil, err
	}
	r.part = repairingPart{p, r.o}
	return &r.part, nil
}

// Next implements row.Partition.
func (p *repairingPart) Next() (*row.Unfiltered, error) {
	if p.o.lacks.SizeBytes() > repairBytes {
		p.o.repair()
	}
	return p.Partition.Next()
}

// repair sends what the replicas lack of what has been gone through. Where it
// may, it waits while much of it is under way.
func (o *gathered) repair() {
	if o.lacks == nil {
		return
	}
	o.x.repair(o)
	if o.mayWait {
		o.x.awaitRepairs()
	}
}

func (o *gathered) close(whole bool) error {
	err := o.ps.Close()
	if whole && err == nil {
		o.repair()
	}
	for _, s := range o.sources {
		s.free()
	}
	return err
}

// source is what one replica answers, as Partitions. Where its answer was cut
// short it asks that replica for more, when the merge comes to that point: so
// what is merged never goes on without rows that a replica still has.
type source struct {
	o       *gathered
	slot    *slot
	command *row.Command // of answers
	answers row.Answers
	more    bool
	last    row.Key // given last; its bytes are s's own
	part    sourcePart

	extra *gather // whose answer answers reads, when not the first
}

// addSource adds what one replica answered; its buffers are used again.
func (o *gathered) addSource(from *slot) {
	n := len(o.sources)
	if n == cap(o.sources) {
		o.sources = append(o.sources, new(source))
	} else if o.sources = o.sources[:n+1]; o.sources[n] == nil {
		o.sources[n] = new(source)
	}
	s := o.sources[n]
	s.o, s.slot, s.command, s.more, s.last.Bytes = o, from, &o.g.command, from.more && o.g.command.Keys == nil, s.last.Bytes[:0]
	s.answers.Reset(from.data, s.command, o.x.c.opts.Partition)
}

// Next implements row.Partitions.
func (s *source) Next() (row.Partition, error) {
	for {
		s.part.free()
		p, err := s.answers.Next()
		if err != nil {
			return nil, err
		}
		if p != nil {
			k := p.Key()
			s.last = row.Key{Prefix: k.Prefix, Bytes: append(s.last.Bytes[:0], k.Bytes...)}
			s.part.begin(s, p)
			return &s.part, nil
		}
		if !s.more {
			return nil, nil
		}
		if err := s.goOn(); err != nil {
			return nil, err
		}
	}
}

// goOn asks for the partitions behind the last one.
func (s *source) goOn() error {
	if len(s.last.Bytes) == 0 {
		return errors.New("coord: a replica has more, and has said nothing")
	}
	c := *s.command
	c.Start = row.KeyBound(row.Key{Prefix: s.last.Prefix, Bytes: append([]byte(nil), s.last.Bytes...)}, false)
	c.After, c.AfterValues = nil, nil
	g, err := s.ask(c)
	if err != nil {
		return err
	}
	s.free()
	s.extra, s.command = g, &g.command
	s.more = g.slots[0].more
	s.answers.Reset(g.slots[0].data, s.command, s.o.x.c.opts.Partition)
	return nil
}

// ask asks this source's replica for more.
func (s *source) ask(c row.Command) (*gather, error) {
	return s.o.x.ask(c, s.o.mayWait, s.slot)
}

func (s *source) free() {
	s.part.free()
	if s.extra != nil {
		s.extra.free()
		s.extra = nil
	}
}

// Close implements row.Partitions.
func (s *source) Close() error { return nil }

// sourcePart is a partition of a source.
type sourcePart struct {
	s     *source
	first row.Partition // what was answered first
	at    row.Partition // where its rows come from now
	from  *row.Answers  // of at; nil: several replicas answered, who go on by themselves
	rows  row.Answers   // when what was answered first was not all
	extra *gather       // what rows reads
	tail  *gathered     // or what at is of
}

func (p *sourcePart) begin(s *source, first row.Partition) {
	p.s, p.first, p.at, p.from = s, first, first, &s.answers
}

// Key implements row.Partition.
func (p *sourcePart) Key() row.Key { return p.first.Key() }

// Deletion implements row.Partition.
func (p *sourcePart) Deletion() row.Deletion { return p.first.Deletion() }

// StaticRow implements row.Partition.
func (p *sourcePart) StaticRow() *row.Row { return p.first.StaticRow() }

// Close implements row.Partition.
func (p *sourcePart) Close() error { return nil }

// Next implements row.Partition.
func (p *sourcePart) Next() (*row.Unfiltered, error) {
	for p.at != nil {
		u, err := p.at.Next()
		if u != nil || err != nil {
			return u, err
		}
		if p.from == nil {
			break
		}
		after, values, cut := p.from.Cut()
		if !cut {
			break
		}
		if err := p.goOn(after, values); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// goOn asks for the rows behind one. Where one replica spoke for all, all are
// asked again, else only this one.
func (p *sourcePart) goOn(after, values []byte) error {
	s := p.s
	k := p.first.Key()
	c := *s.command
	c.Keys, c.Start, c.End = []row.Key{{Prefix: k.Prefix, Bytes: append([]byte(nil), k.Bytes...)}}, row.Bound{}, row.Bound{}
	c.After, c.AfterValues = append([]byte(nil), after...), append([]byte(nil), values...)
	var g *gather
	var err error
	if s.o.g.one >= 0 && s.o.g.who.blockFor > 1 {
		g, err = s.o.x.ask(c, s.o.mayWait, nil)
	} else {
		g, err = s.ask(c)
	}
	if err != nil {
		return err
	}
	p.free()
	o := s.o.x.open(g, s.o.mayWait)
	if len(o.sources) > 1 {
		p.tail, p.from = o, nil
		p.at, err = o.ps.Next()
		return err
	}
	p.extra = g
	p.rows.Reset(g.slots[o.of[0]].data, &g.command, s.o.x.c.opts.Partition)
	p.from = &p.rows
	p.at, err = p.rows.Next()
	return err
}

func (p *sourcePart) free() {
	if p.tail != nil {
		_ = p.tail.close(true) // what its sources hold is in memory
		p.tail.g.free()
	}
	if p.extra != nil {
		p.extra.free()
	}
	p.tail, p.extra, p.at = nil, nil, nil
}
