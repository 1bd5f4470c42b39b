package row

// Newest shows partitions as they are and remembers the greatest timestamp that
// went by, tombstones' included. A conditional write has to be newer than what
// it decided on, and a client's timestamp or a clock that was set back may have
// left anything there.
type Newest struct {
	Partitions
	Timestamp int64 // NoTimestamp before anything went by
}

// WatchNewest makes a Newest of ps.
func WatchNewest(ps Partitions) *Newest { return &Newest{Partitions: ps, Timestamp: NoTimestamp} }

// Next implements Partitions.
func (n *Newest) Next() (Partition, error) {
	p, err := n.Partitions.Next()
	if p == nil || err != nil {
		return nil, err
	}
	n.saw(p.Deletion().Timestamp)
	n.row(p.StaticRow())
	return &newestPartition{p, n}, nil
}

func (n *Newest) saw(timestamp int64) { n.Timestamp = max(n.Timestamp, timestamp) }

func (n *Newest) row(r *Row) {
	if r == nil {
		return
	}
	n.saw(r.Liveness.Timestamp)
	n.saw(r.Deletion.Timestamp)
	for i := range r.Complex {
		n.saw(r.Complex[i].Deletion.Timestamp)
	}
	for i := range r.Cells {
		n.saw(r.Cells[i].Timestamp)
	}
}

type newestPartition struct {
	Partition
	n *Newest
}

// Next implements Partition.
func (p *newestPartition) Next() (*Unfiltered, error) {
	u, err := p.Partition.Next()
	if u == nil || err != nil {
		return u, err
	}
	if u.Row != nil {
		p.n.row(u.Row)
	} else {
		p.n.saw(u.Marker.Before.Timestamp)
		p.n.saw(u.Marker.After.Timestamp)
	}
	return u, nil
}

// Drain reads what is left, for its timestamps alone.
func (n *Newest) Drain() error {
	for {
		p, err := n.Next()
		if p == nil || err != nil {
			return err
		}
		for {
			u, err := p.Next()
			if err != nil {
				return err
			}
			if u == nil {
				break
			}
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
}
