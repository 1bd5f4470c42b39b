package stress

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// run is one run's state. Slots wait in free; a completion takes the next
// operation itself if that is due, so that the pacer only acts when the load
// is below what the slots allow.
type run struct {
	cfg        Config
	schedule   Schedule
	statements [kindCount]string
	began      time.Time
	end        int64 // nanoseconds since began; nothing begins later

	next      atomic.Uint64 // operations begun
	stopping  atomic.Bool
	free      chan *slot
	lanes     []*lane
	recorders []*recorder
	samples   samples

	slots int           // in all
	lost  atomic.Int64  // of them
	gone  chan *slot    // the lost ones
	left  int           // not lost at the end of the run
	dead  chan struct{} // closed when all are lost

	silent chan struct{} // closed when the nodes have not answered for too long
}

// Setup makes the keyspace and the table if they do not exist. The keyspace
// then has the replication given, for example
// "{'class': 'SimpleStrategy', 'replication_factor': 1}".
func Setup(ctx context.Context, cfg Config, replication string) error {
	if err := cfg.Check(); err != nil {
		return fmt.Errorf("stress: %w", err)
	}
	c, err := cfg.connect(ctx, cfg.Addresses[0])
	if err != nil {
		return fmt.Errorf("stress: %w", err)
	}
	defer func() { _ = c.Close() }() // never fails
	t := &cfg.Workload.Table
	for _, text := range []string{"CREATE KEYSPACE IF NOT EXISTS " + t.Keyspace + " WITH replication = " + replication, t.Definition()} {
		if _, err := c.Query(ctx, text); err != nil {
			return fmt.Errorf("stress: %s: %w", text, err)
		}
	}
	return nil
}

func (c *Config) connect(ctx context.Context, address string) (*client.Conn, error) {
	cc := client.Config{Dial: c.Dial, Username: c.Username, Password: c.Password, InFlightMax: c.Depth, DriverName: "helenus-stress"}
	if c.LZ4 {
		cc.Compression = proto.CompressLZ4
	}
	return client.Connect(ctx, address, cc)
}

// Run puts the load on. It ends when the load does, or when ctx does: then with
// the result so far, marked as interrupted. An error means that there is no
// result, or that the nodes are gone (then both are given).
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("stress: %w", err)
	}
	r := &run{cfg: cfg, schedule: Schedule{cfg.Rate}, slots: cfg.Connections * cfg.Depth, dead: make(chan struct{}), silent: make(chan struct{})}
	r.free, r.gone = make(chan *slot, r.slots), make(chan *slot, r.slots)
	for range min(cfg.Connections, 2*runtime.GOMAXPROCS(0)) {
		r.recorders = append(r.recorders, new(recorder))
	}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, fmt.Errorf("stress: %w", err)
	}
	res := r.measure(ctx)
	if r.left == 0 && !res.Interrupted {
		return res, fmt.Errorf("stress: all connections have ended: %w", r.lanes[0].conn.Err())
	}
	return res, nil
}

// connect makes the lanes and puts their slots, mixed, into free.
func (r *run) connect(ctx context.Context) error {
	w := &r.cfg.Workload
	for i := range r.cfg.Connections {
		conn, err := r.cfg.connect(ctx, r.cfg.Addresses[i%len(r.cfg.Addresses)])
		if err != nil {
			return err
		}
		n := &lane{run: r, conn: conn, into: r.recorders[i%len(r.recorders)],
			cells: make([][]byte, w.Table.Columns), want: make([]byte, w.Table.rowBytes())}
		r.lanes = append(r.lanes, n)
		for k := range kindCount {
			if w.Mix[k] == 0 {
				continue
			}
			r.statements[k] = w.statement(k)
			if r.cfg.Unprepared {
				continue
			}
			if n.prepared[k], err = conn.Prepare(ctx, r.statements[k], ""); err != nil {
				return fmt.Errorf("prepare %s: %w", r.statements[k], err)
			}
		}
	}
	for range r.cfg.Depth {
		for _, n := range r.lanes {
			r.free <- n.newSlot()
		}
	}
	return nil
}

func (r *run) close() {
	var all sync.WaitGroup
	for _, n := range r.lanes {
		all.Go(func() { _ = n.conn.Close() }) // never fails
	}
	all.Wait()
}

func (r *run) now() int64 { return int64(time.Since(r.began)) }

// claim takes the next operation if there is one that may begin now.
func (r *run) claim(now int64) (number uint64, intended int64, ok bool) {
	if r.stopping.Load() || now >= r.end {
		return 0, 0, false
	}
	for {
		n := r.next.Load()
		if n >= r.cfg.Operations {
			return 0, 0, false
		}
		at := now
		if r.schedule.Rate > 0 {
			if at = r.schedule.at(n); at > now {
				return 0, 0, false
			}
		}
		if r.next.CompareAndSwap(n, n+1) {
			return n, at, true
		}
	}
}

// measure runs from the first operation to the last answer.
func (r *run) measure(ctx context.Context) *Result {
	if r.cfg.Operations == 0 {
		r.cfg.Operations = 1 << 63
	}
	r.end = int64(durationLimit)
	if r.cfg.Duration > 0 {
		r.end = int64(r.cfg.Duration)
	}
	if r.cfg.Begin != nil {
		r.cfg.Begin()
	}
	used := processCPU()
	r.began = time.Now()
	stop := context.AfterFunc(ctx, func() { r.stopping.Store(true) })
	ended := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() { r.tell(ended) })
	background.Go(func() { r.watch(ended) })
	r.pace(ctx)
	ran := min(r.now(), r.end)
	unanswered := r.drain(ctx)
	took := r.now()
	used = processCPU() - used
	if r.cfg.End != nil {
		r.cfg.End()
	}
	r.left = r.slots - int(r.lost.Load())
	close(ended)
	background.Wait()
	if unanswered > 0 {
		r.close() // which completes them with an error
	}
	res := r.result(took, used)
	if r.schedule.Rate > 0 {
		res.Schedule = r.kept(ran)
	}
	res.Interrupted = !stop()
	res.Unanswered = unanswered
	return res
}

// pace begins operations when they are due, or in a closed loop once for each
// slot: what follows begins in the completion of the one before.
func (r *run) pace(ctx context.Context) {
	if r.schedule.Rate > 0 {
		defer sharpen()()
	}
	for started := 0; r.schedule.Rate > 0 || started < r.slots; started++ {
		var s *slot
		select {
		case s = <-r.free:
		case <-r.dead:
			return
		case <-r.silent:
			return
		case <-ctx.Done():
			return
		}
		number, intended, ok := r.await()
		if !ok {
			r.free <- s
			return
		}
		if !s.start(number, intended, r.now()) {
			r.putBack(s)
		}
	}
}

// napMax bounds a nap, so that the end of the run is seen.
const napMax = 10 * time.Millisecond

// await claims an operation as soon as one is due; false: the run is over.
func (r *run) await() (number uint64, intended int64, ok bool) {
	for {
		now := r.now()
		if number, intended, ok = r.claim(now); ok {
			return number, intended, true
		}
		n := r.next.Load()
		if r.stopping.Load() || now >= r.end || n >= r.cfg.Operations || r.schedule.Rate == 0 {
			return 0, 0, false
		}
		if wait := min(r.schedule.at(n), r.end) - now; wait > 0 {
			r.cfg.Sleep(min(time.Duration(wait), napMax))
		}
	}
}

func (r *run) putBack(s *slot) {
	if s.alive() {
		r.free <- s
		return
	}
	r.retire(s)
}

// retire takes a slot whose connection has ended out of the run.
func (r *run) retire(s *slot) {
	if r.lost.Add(1) == int64(r.slots) {
		close(r.dead)
	}
	r.gone <- s
}

// interruptedMax is how long an operator who ends a run waits for answers.
const interruptedMax = 2 * time.Second

// drain waits until no slot is in flight and answers how many still are.
func (r *run) drain(ctx context.Context) int {
	interrupted, enough := ctx.Done(), (<-chan time.Time)(nil)
	for back := 0; back < r.slots; {
		select {
		case <-r.free:
			back++
		case <-r.gone:
			back++
		case <-interrupted:
			interrupted = nil
			timer := time.NewTimer(interruptedMax)
			defer timer.Stop()
			enough = timer.C
		case <-enough:
			return r.slots - back
		case <-r.silent:
			return r.slots - back
		}
	}
	return 0
}

// watch gives the run up when requests are in flight and not one answer has
// come for as long as patience lasts.
func (r *run) watch(ended <-chan struct{}) {
	ticker := time.NewTicker(r.cfg.Patience)
	defer ticker.Stop()
	for before := int64(-1); ; {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		t := r.total()
		now := t.all.Total + t.errors
		if now == before && r.next.Load() > uint64(now) {
			close(r.silent)
			return
		}
		before = now
	}
}

// tell reports intervals until the run has ended.
func (r *run) tell(ended <-chan struct{}) {
	if r.cfg.Progress == nil || r.cfg.Interval <= 0 {
		return
	}
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	var before totals
	last := int64(0)
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		t, now := r.total(), r.now()
		i := Interval{Elapsed: time.Duration(now), Operations: t.all.Total, Errors: t.errors}
		if r.schedule.Rate > 0 {
			due := min(r.schedule.due(min(now, r.end)), r.cfg.Operations)
			i.Behind = due - min(due, r.next.Load())
		}
		var all Counts
		all.Merge(&t.all)
		all.Since(&before.all)
		i.Rate = float64(all.Total) / (float64(now-last) / second)
		i.Latency = all.latency()
		before, last = t, now
		r.cfg.Progress(i)
	}
}

// total adds up the recorders.
func (r *run) total() totals {
	var t totals
	for _, rec := range r.recorders {
		for k := range rec.latency {
			t.kinds[k].Add(&rec.latency[k])
		}
		t.service.Add(&rec.service)
		t.wait.Add(&rec.wait)
		t.rows += rec.rows.Load()
		for k := range rec.errors {
			n := rec.errors[k].Load()
			t.errorsByKind[k] += n
			t.errors += n
		}
	}
	for k := range t.kinds {
		t.all.Merge(&t.kinds[k])
	}
	return t
}

func (r *run) result(took int64, used time.Duration) *Result {
	t := r.total()
	res := &Result{Seconds: float64(took) / second, Operations: t.all.Total, Rows: t.rows, Latency: t.all.latency(),
		Kinds: []KindResult{}, Errors: map[string]int64{}, Samples: r.samples.all(), Counts: t.all}
	res.Rate = float64(res.Operations) / res.Seconds
	if n := t.all.Total + t.errors; n > 0 {
		res.ClientCPU = float64(used.Nanoseconds()/n) / 1e3
	}
	for k := range t.kinds {
		if r.cfg.Workload.Mix[k] > 0 {
			res.Kinds = append(res.Kinds, KindResult{Kind(k).String(), t.kinds[k].Total, t.kinds[k].latency()})
		}
	}
	for k, n := range t.errorsByKind {
		if n > 0 {
			res.Errors[errorNames[k]] = n
		}
	}
	return res
}

// kept tells how the schedule was kept until the moment when nothing began any
// more.
func (r *run) kept(ran int64) *ScheduleResult {
	t := r.total()
	started := r.next.Load()
	due := max(started, min(r.schedule.due(ran), r.cfg.Operations))
	return &ScheduleResult{Rate: r.schedule.Rate, Due: due, NotStarted: due - started,
		Late: t.wait.Above(int64(LateAfter)), Lateness: t.wait.latency(), Service: t.service.latency()}
}

// processCPU is the time this process has used, in user mode and in the kernel.
func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // shown as none: not worth the run
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
