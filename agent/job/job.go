// Package job keeps long work: what runs, how far it is, how it ended.
//
// Its nouns are Journal (all jobs of a node, listed after a restart too) and
// Progress (what the work tells about itself). The admin API starts jobs for
// rooms that hand over long operations. It never retries and never decides
// what work is due; a job that a restart cut off is listed as interrupted.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"helenus/internal/report"
	"helenus/store/vfs"
)

// The bounds of a journal.
const (
	runningMax      = 64
	endedMax        = 200
	journalBytesMax = 4 << 20
)

// fileName is the journal, formatVersion what is in it.
const (
	fileName      = "jobs.json"
	formatVersion = 1
)

// Journal holds the jobs of one node. Close ends it.
type Journal struct {
	fs     vfs.FS
	dir    string
	log    *slog.Logger
	ctx    context.Context // of all jobs; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	jobs   map[string]*entry // guarded by mu
	closed bool              // guarded by mu

	// saving orders the writes of the file; it is never taken under mu.
	saving sync.Mutex
}

// entry is a job with what it needs while it runs.
type entry struct {
	job      report.Job
	progress *Progress
	cancel   context.CancelFunc
	stopped  bool // somebody asked for the end
}

// Progress is how the work tells how far it is. Its methods may be called from
// any goroutine.
type Progress struct {
	done, total atomic.Int64
	unit        atomic.Pointer[string]
}

// Begin says how much there is to do, and in which unit.
func (p *Progress) Begin(total int64, unit string) {
	p.unit.Store(&unit)
	p.total.Store(total)
}

// Add counts work done.
func (p *Progress) Add(n int64) { p.done.Add(n) }

// file is the journal on disk.
type file struct {
	Version int          `json:"version"`
	Jobs    []report.Job `json:"jobs"`
}

// Open reads the journal of a directory, which exists. Jobs that were running
// become interrupted. A journal that cannot be read is set aside with a
// warning: it is a record, and no reason to stay down.
func Open(fsys vfs.FS, dir string, log *slog.Logger) (*Journal, error) {
	j := &Journal{fs: fsys, dir: dir, log: log, jobs: map[string]*entry{}}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	text, err := j.read()
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	var f file
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Version != formatVersion {
		err = fmt.Errorf("version %d, not %d", f.Version, formatVersion)
	}
	if err != nil {
		log.Warn("the journal of jobs cannot be read and is set aside", "file", j.name(), "error", err)
		if err := j.fs.Rename(j.name(), j.name()+".bad"); err != nil {
			return nil, fmt.Errorf("job: set aside %s: %w", j.name(), err)
		}
		return j, nil
	}
	for _, one := range f.Jobs {
		if one.State == report.Running {
			one.State, one.ETASeconds = report.Interrupted, nil
		}
		j.jobs[one.ID] = &entry{job: one}
	}
	return j, nil
}

func (j *Journal) name() string { return path.Join(j.dir, fileName) }

func (j *Journal) read() ([]byte, error) {
	f, err := j.fs.OpenRead(j.name())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	if n > journalBytesMax {
		return nil, fmt.Errorf("%d bytes, at most %d", n, journalBytesMax)
	}
	text := make([]byte, n)
	if _, err := f.ReadAt(text, 0); err != nil && n > 0 {
		return nil, err
	}
	return text, nil
}

// Start begins work in a goroutine of its own and returns at once. The context
// that the work gets ends with Cancel and with Close.
func (j *Journal) Start(kind, target string, run func(context.Context, *Progress) error) (report.Job, error) {
	ctx, cancel := context.WithCancel(j.ctx)
	e := &entry{progress: &Progress{}, cancel: cancel, job: report.Job{
		ID: uuid.NewString(), Kind: kind, Target: target, State: report.Running, Started: time.Now().UTC().Truncate(time.Millisecond),
	}}
	if err := j.admit(e); err != nil {
		cancel()
		return report.Job{}, err
	}
	j.save()
	begun := e.job // the work may end, and be forgotten, before this function does
	go func() {
		defer j.wg.Done()
		defer cancel()
		err := run(ctx, e.progress)
		j.end(e, err)
		j.save()
	}()
	if job, err := j.Get(begun.ID); err == nil {
		return job, nil
	}
	return begun, nil
}

func (j *Journal) admit(e *entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	running := 0
	for _, other := range j.jobs {
		if other.job.State == report.Running {
			running++
		}
	}
	switch {
	case j.closed:
		return report.Errorf(report.Conflict, "the node is going down")
	case running >= runningMax:
		return report.Errorf(report.Overloaded, "%d jobs are running already", running)
	}
	j.jobs[e.job.ID] = e
	j.wg.Add(1)
	return nil
}

func (j *Journal) end(e *entry, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Millisecond)
	e.job = e.show(now)
	e.job.Ended, e.job.ETASeconds = &now, nil
	switch {
	case err == nil:
		e.job.State = report.Done
	case e.stopped:
		e.job.State, e.job.Error = report.Cancelled, err.Error()
	case j.closed && errors.Is(err, context.Canceled):
		e.job.State, e.job.Error = report.Interrupted, err.Error()
	default:
		e.job.State, e.job.Error = report.Failed, err.Error()
		j.log.Error("job failed", "kind", e.job.Kind, "target", e.job.Target, "id", e.job.ID, "error", err)
	}
	if err != nil {
		e.job.ErrorKind = report.KindOf(err)
	}
	e.progress = nil
	j.forgetLocked()
}

// forgetLocked drops the oldest ended jobs beyond the bound.
func (j *Journal) forgetLocked() {
	var ended []*entry
	for _, e := range j.jobs {
		if e.job.State != report.Running {
			ended = append(ended, e)
		}
	}
	sort.Slice(ended, func(a, b int) bool { return ended[a].job.Started.After(ended[b].job.Started) })
	for i := endedMax; i < len(ended); i++ {
		delete(j.jobs, ended[i].job.ID)
	}
}

// show is the job with its progress as of now.
func (e *entry) show(now time.Time) report.Job {
	job := e.job
	if e.progress == nil {
		return job
	}
	job.Done, job.Total = e.progress.done.Load(), e.progress.total.Load()
	if unit := e.progress.unit.Load(); unit != nil {
		job.Unit = *unit
	}
	if job.Done > 0 && job.Total > job.Done {
		left := float64(now.Sub(job.Started)) / float64(job.Done) * float64(job.Total-job.Done)
		seconds := int64(time.Duration(left).Round(time.Second) / time.Second)
		job.ETASeconds = &seconds
	}
	return job
}

// List gives all jobs, the newest first.
func (j *Journal) List() []report.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	jobs := make([]report.Job, 0, len(j.jobs))
	now := time.Now()
	for _, e := range j.jobs {
		jobs = append(jobs, e.show(now))
	}
	sort.Slice(jobs, func(a, b int) bool {
		if !jobs[a].Started.Equal(jobs[b].Started) {
			return jobs[a].Started.After(jobs[b].Started)
		}
		return jobs[a].ID < jobs[b].ID
	})
	return jobs
}

// Get finds one job.
func (j *Journal) Get(id string) (report.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.jobs[id]
	if !ok {
		return report.Job{}, report.Errorf(report.NotFound, "no job %s", id)
	}
	return e.show(time.Now()), nil
}

// Cancel asks a job to end. It is cancelled once the work has returned; work
// that finishes all the same is done.
func (j *Journal) Cancel(id string) (report.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.jobs[id]
	switch {
	case !ok:
		return report.Job{}, report.Errorf(report.NotFound, "no job %s", id)
	case e.job.State != report.Running:
		return report.Job{}, report.Errorf(report.Conflict, "job %s is %s", id, e.job.State)
	}
	e.stopped = true
	e.cancel()
	return e.show(time.Now()), nil
}

// Close cancels what runs and waits for it.
func (j *Journal) Close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.cancel()
	j.wg.Wait()
}

// save writes the journal. Work goes on if that fails: the list of jobs then
// misses some after a restart.
func (j *Journal) save() {
	j.saving.Lock()
	defer j.saving.Unlock()
	text, err := json.MarshalIndent(file{formatVersion, j.List()}, "", "\t")
	if err == nil {
		err = j.replace(text)
	}
	if err != nil {
		j.log.Warn("the journal of jobs was not written", "file", j.name(), "error", err)
	}
}

func (j *Journal) replace(text []byte) error {
	temporary := j.name() + ".new"
	f, err := j.fs.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = j.fs.Rename(temporary, j.name())
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	return err
}
