package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// load is a kind of work.
type load string

const (
	writeNew   load = "write"
	overwrite  load = "overwrite"
	readHit    load = "read"
	readMiss   load = "miss"
	readHitAll load = "read filtered"
	missAll    load = "miss filtered"
	scanSome   load = "scan"
	scanAll    load = "scan all"
)

// step is an order to one engine.
type step struct {
	Load    load
	First   uint64 // row
	Rows    uint64 // of which rows are taken at random, or how many are written
	Count   uint64 // operations
	Workers uint64
	Version uint64
	Seed    uint64
	// Settle waits until the background work has ended, behind a flush if Flush is
	// set; both belong to the step.
	Settle  bool
	Flush   bool
	Profile string // file for a CPU profile
	Reopen  *bool  // instead of all above: open again, synced or not
}

// scanRows is how many rows a short scan reads.
const scanRows = 100

// do runs a step and gives the number of rows it wrote or read, and how long
// that took without what follows it.
func (s *step) do(e engine) (rows uint64, took time.Duration, err error) {
	begun := time.Now()
	var total atomic.Uint64
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for worker := range s.Workers {
		wg.Go(func() {
			n, err := s.work(e, worker)
			total.Add(n)
			if err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took = time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", s.Load, err)
	}
	if s.Flush {
		err = e.flush()
	}
	if s.Settle && err == nil {
		err = waitQuiet()
	}
	return total.Load(), took, err
}

// work is one worker's part.
func (s *step) work(e engine, worker uint64) (rows uint64, err error) {
	from, to := s.Count*worker/s.Workers, s.Count*(worker+1)/s.Workers
	random := rand.New(rand.NewPCG(s.Seed, worker))
	pick := func() uint64 { return s.First + random.Uint64N(s.Rows) }
	switch s.Load {
	case writeNew, overwrite:
		w := e.newWriter()
		for i := from; i < to; i++ {
			at := s.First + i
			if s.Load == overwrite {
				at = pick()
			}
			if err := w.write(at, s.Version+i); err != nil {
				return 0, err
			}
		}
		return to - from, nil
	}
	r := e.newReader()
	for range to - from {
		n, err := s.read(r, pick())
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

func (s *step) read(r reader, at uint64) (rows uint64, err error) {
	want, found := true, false
	switch s.Load {
	case readHit:
		found, err = r.get(at)
	case readHitAll:
		found, err = r.getFiltered(at)
	case readMiss:
		want = false
		found, err = r.get(at + missing)
	case missAll:
		want = false
		found, err = r.getFiltered(at + missing)
	case scanSome:
		rows, err = r.scan(&at, scanRows)
		return rows, err
	case scanAll:
		rows, err = r.scan(nil, s.Rows+1)
		if err == nil && rows != s.Rows {
			err = fmt.Errorf("%d rows, want %d", rows, s.Rows)
		}
		return rows, err
	default:
		return 0, fmt.Errorf("unknown load %q", s.Load)
	}
	if err == nil && found != want {
		err = fmt.Errorf("row %d: found is %t", at, found)
	}
	return 1, err
}
