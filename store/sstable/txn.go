package sstable

type Txn struct{}

func (t *Txn) Add(d Descriptor) error { return nil }
