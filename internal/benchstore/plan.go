package main

import (
	"fmt"
	"strconv"
	"time"
)

const variables = "HELENUS_BENCH_ROWS, _ROUNDS, _READS, _SYNCED, _CACHE_MIB, _MEMTABLE_MIB, _BLOCK_KIB, _DIR, _PROFILE"

// plan is how much is done.
type plan struct {
	rows     uint64 // of the data set
	rounds   uint64 // turns of each engine
	reads    uint64 // point reads of a round
	synced   uint64 // synced writes of a round with 64 writers
	cache    int64  // bytes
	memtable int64
	block    int
	dir      string // where the files go
	profile  string // folder for CPU profiles; none if empty
}

// userBytes is what a row is to the user: its key and its values.
const userBytes = keySize + columns*columnSize

// unsyncedWriters is how many write at once when nobody waits for the disk.
const unsyncedWriters = 2

// quietMax is how long background work may go on.
const quietMax = 5 * time.Minute

func planFromEnvironment(getenv func(string) string) (plan, error) {
	var err error
	number := func(name string, fallback, low, high int64) int64 {
		text := getenv("HELENUS_BENCH_" + name)
		if text == "" {
			return fallback
		}
		n, bad := strconv.ParseInt(text, 10, 64)
		if (bad != nil || n < low || n > high) && err == nil {
			err = fmt.Errorf("HELENUS_BENCH_%s is %q: must be a number from %d to %d", name, text, low, high)
		}
		return n
	}
	p := plan{
		rows:     uint64(number("ROWS", 900_000, 1000, 1e9)),
		rounds:   uint64(number("ROUNDS", 3, 1, 99)),
		reads:    uint64(number("READS", 150_000, 100, 1e9)),
		synced:   uint64(number("SYNCED", 60_000, 100, 1e9)),
		cache:    number("CACHE_MIB", 32, 1, 1<<20) << 20,
		memtable: number("MEMTABLE_MIB", 32, 1, 1<<12) << 20,
		block:    int(number("BLOCK_KIB", 16, 1, 1<<10)) << 10,
		dir:      getenv("HELENUS_BENCH_DIR"),
		profile:  getenv("HELENUS_BENCH_PROFILE"),
	}
	if err == nil && p.block&(p.block-1) != 0 {
		err = fmt.Errorf("HELENUS_BENCH_BLOCK_KIB is %d: must be a power of two", p.block>>10)
	}
	return p, err
}

// memoryRows is how many rows stay in a memtable without a flush.
func (p plan) memoryRows() uint64 { return uint64(p.memtable) / 4 / userBytes }
