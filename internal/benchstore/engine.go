package main

// engine is a storage engine. Writers and readers are for one goroutine each.
type engine interface {
	newWriter() writer
	newReader() reader
	flush() error
	// state says in a few words what the data lies in.
	state() string
	cacheUse() cacheUse
	close() error
}

// cacheUse counts the block cache's hits and misses since the engine was opened,
// and what it holds.
type cacheUse struct {
	Hits, Misses, Bytes int64
}

type writer interface {
	write(row, version uint64) error
}

type reader interface {
	// get reads a row with all columns and checks one of them.
	get(row uint64) (found bool, err error)
	// getFiltered is get where the engine has another way that asks its filters
	// at every level.
	getFiltered(row uint64) (found bool, err error)
	// scan reads rows with all columns in the engine's order, at most most, from
	// row on; from the first if row is nil.
	scan(row *uint64, most uint64) (n uint64, err error)
}

// settings are what both engines are opened with.
type settings struct {
	dir      string
	cache    int64
	memtable int64
	block    int
	compress bool
	synced   bool // a write is done when it is on disk
}

func open(name string, s settings) (engine, error) {
	if name == pebbleName {
		return openPebble(s)
	}
	return openHelenus(s)
}
