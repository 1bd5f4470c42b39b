package coord

import (
	"helenus"
	"helenus/agent/replica"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// Write starts a write.
func (c *Coordinator) Write(w *Write) {
	c.stats.Writes.Add(1)
	if w.Consistency.IsSerial() {
		w.Err = helenus.Invalid("You must use conditional updates for serializable writes")
	} else {
		w.Err = c.writable(w)
	}
	if w.Err != nil {
		c.stats.WriteErrors.Add(1)
		w.Done.WriteDone(w)
		return
	}
	if c.opts.Wire != nil && !c.alone(w) {
		c.writeToAll(w)
		return
	}
	c.writeHere(w)
}

// writeHere writes what has no other replica than this node, or none that could
// be reached.
func (c *Coordinator) writeHere(w *Write) {
	w.Trace.Event("Appending to commitlog")
	l := c.writes.Get().(*localWrite)
	l.w, l.local.Mutation, l.local.Owner = w, w.Mutation, l
	c.opts.Replica.Write(&l.local)
}

// localWrite completes a write at this node.
type localWrite struct {
	c     *Coordinator
	w     *Write
	local replica.Write
}

// Written implements replica.Owner.
func (l *localWrite) Written(*replica.Write) {
	c, w, err := l.c, l.w, l.local.Err
	l.w, l.local.Mutation, l.local.Err = nil, nil, nil
	c.writes.Put(l)
	w.Err = nil
	if err != nil {
		c.stats.WriteErrors.Add(1)
		w.Err = writeError(err, w)
	}
	w.Trace.Event("Added to memtable")
	w.Done.WriteDone(w)
}

// writable checks that enough replicas of every partition live, before any of
// them is written.
func (c *Coordinator) writable(w *Write) error {
	for i := range w.Targets {
		t := &w.Targets[i]
		p := c.placement(w.State, t.Keyspace)
		if p == nil {
			return helenus.Invalid("keyspace %s does not exist", t.Keyspace)
		}
		if err := c.checkWrite(w.Consistency, p, c.opts.Partition.Token(t.Key.Bytes)); err != nil {
			c.stats.Unavailable.Add(1)
			return err
		}
	}
	return nil
}

func (c *Coordinator) checkWrite(cl helenus.Consistency, p *ring.Placement, tok token.Token) error {
	replicas, pending := p.Replicas(tok), p.Pending(tok)
	if pending != nil {
		replicas = append(replicas[:len(replicas):len(replicas)], pending...)
	}
	return ring.CheckLive(cl, p.Strategy, c.opts.Datacenter, replicas, ring.BlockForWrite(cl, p.Strategy, c.opts.Datacenter, pending), c.alive)
}

// alone tells whether all that a write changes is kept by this node only.
func (c *Coordinator) alone(w *Write) bool {
	for i := range w.Targets {
		t := &w.Targets[i]
		p := c.placement(w.State, t.Keyspace)
		if _, ok := p.Strategy.(ring.Local); ok {
			continue
		}
		tok := c.opts.Partition.Token(t.Key.Bytes)
		replicas := p.Replicas(tok)
		if len(replicas) != 1 || replicas[0].HostID != c.opts.Self || p.Pending(tok) != nil {
			return false
		}
	}
	return true
}
