package row

import "slices"

// Kept is a partition held in memory as a whole: for tests, and for what is
// small and read more than once.
type Kept struct {
	PartitionKey Key
	Deleted      Deletion
	Static       *Row
	Rows         []Unfiltered // rows and markers in clustering order
	arena        Arena
}

// Keep reads p to its end, but does not close it. p must not be reversed.
func Keep(p Partition) (*Kept, error) {
	k := &Kept{Deleted: p.Deletion()}
	k.PartitionKey = Key{Prefix: p.Key().Prefix, Bytes: k.arena.Bytes(p.Key().Bytes)}
	if s := p.StaticRow(); s != nil {
		k.Static = new(Row)
		k.arena.Row(k.Static, s)
	}
	for {
		u, err := p.Next()
		if u == nil || err != nil {
			return k, err
		}
		if u.Row != nil {
			r := new(Row)
			k.arena.Row(r, u.Row)
			k.Rows = append(k.Rows, Unfiltered{Row: r})
		} else {
			m := new(Marker)
			k.arena.Marker(m, u.Marker)
			k.Rows = append(k.Rows, Unfiltered{Marker: m})
		}
	}
}

// KeepReversed is Keep of a reversed partition: it turns it round.
func KeepReversed(p Partition) (*Kept, error) {
	k, err := Keep(p)
	slices.Reverse(k.Rows)
	return k, err
}

// Partition shows k from its begin, or its end if reversed.
func (k *Kept) Partition(reversed bool) Partition {
	return &keptPartition{k: k, reversed: reversed}
}

type keptPartition struct {
	k        *Kept
	reversed bool
	next     int
}

func (p *keptPartition) Key() Key           { return p.k.PartitionKey }
func (p *keptPartition) Deletion() Deletion { return p.k.Deleted }
func (p *keptPartition) StaticRow() *Row    { return p.k.Static }
func (p *keptPartition) Close() error       { return nil }

func (p *keptPartition) Next() (*Unfiltered, error) {
	if p.next >= len(p.k.Rows) {
		return nil, nil
	}
	i := p.next
	p.next++
	if p.reversed {
		i = len(p.k.Rows) - 1 - i
	}
	return &p.k.Rows[i], nil
}

// KeptPartitions shows partitions, which are sorted, one after the other.
func KeptPartitions(reversed bool, ks ...*Kept) Partitions {
	return &keptPartitions{ks: ks, reversed: reversed}
}

type keptPartitions struct {
	ks       []*Kept
	reversed bool
}

func (p *keptPartitions) Next() (Partition, error) {
	if len(p.ks) == 0 {
		return nil, nil
	}
	k := p.ks[0]
	p.ks = p.ks[1:]
	return k.Partition(p.reversed), nil
}

func (p *keptPartitions) Close() error { return nil }
