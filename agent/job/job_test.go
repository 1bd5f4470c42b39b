package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus/internal/report"
	"helenus/store/vfs"
)

func open(t *testing.T, fs vfs.FS) *Journal {
	t.Helper()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	j, err := Open(fs, "/d", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// start begins a job and stops the test when that is refused.
func start(t *testing.T, j *Journal, kind string, run func(context.Context, *Progress) error) report.Job {
	t.Helper()
	one, err := j.Start(kind, "ks.t", run)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func get(t *testing.T, j *Journal, id string) report.Job {
	t.Helper()
	one, err := j.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func untilCancelled(ctx context.Context, _ *Progress) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, vfs.NewMem())
		step := make(chan struct{})
		one := start(t, j, "compact", func(_ context.Context, p *Progress) error {
			p.Begin(100, "bytes")
			<-step
			p.Add(25)
			<-step
			p.Add(75)
			return nil
		})
		if one.State != report.Running || one.Kind != "compact" || one.Target != "ks.t" {
			t.Errorf("%+v", one)
		}
		time.Sleep(10 * time.Second)
		step <- struct{}{}
		synctest.Wait()
		one = get(t, j, one.ID)
		if one.Done != 25 || one.Total != 100 || one.Unit != "bytes" || one.ETASeconds == nil || *one.ETASeconds != 30 {
			t.Errorf("a quarter done after 10 s: %+v", one)
		}
		step <- struct{}{}
		synctest.Wait()
		one = get(t, j, one.ID)
		if one.State != report.Done || one.Done != 100 || one.Ended == nil || one.ETASeconds != nil {
			t.Errorf("ended: %+v", one)
		}
		j.Close()
	})
}

func TestHowJobsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, vfs.NewMem())
		failed := start(t, j, "a", func(context.Context, *Progress) error { return report.Errorf(report.Overloaded, "disk full") })
		cancelled := start(t, j, "b", untilCancelled)
		synctest.Wait()
		if _, err := j.Cancel(cancelled.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if one := get(t, j, failed.ID); one.State != report.Failed || one.Error != "disk full" || one.ErrorKind != report.Overloaded {
			t.Errorf("%+v", one)
		}
		if one := get(t, j, cancelled.ID); one.State != report.Cancelled {
			t.Errorf("%+v", one)
		}
		if _, err := j.Cancel(cancelled.ID); report.KindOf(err) != report.Conflict {
			t.Errorf("cancelling twice: %v", err)
		}
		if _, err := j.Cancel("none"); report.KindOf(err) != report.NotFound {
			t.Errorf("cancelling nothing: %v", err)
		}
		if _, err := j.Get("none"); report.KindOf(err) != report.NotFound {
			t.Errorf("getting nothing: %v", err)
		}
		j.Close()
		if _, err := j.Start("c", "", untilCancelled); report.KindOf(err) != report.Conflict {
			t.Errorf("starting after the end: %v", err)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		j := open(t, fs)
		done := start(t, j, "done", func(context.Context, *Progress) error { return nil })
		synctest.Wait()
		cut := start(t, j, "cut", untilCancelled)
		after := open(t, fs.CrashNone())
		jobs := after.List()
		if len(jobs) != 2 {
			t.Fatalf("%d jobs after a crash, want 2: %+v", len(jobs), jobs)
		}
		if one := get(t, after, cut.ID); one.State != report.Interrupted || one.Kind != "cut" {
			t.Errorf("%+v", one)
		}
		if one := get(t, after, done.ID); one.State != report.Done || one.Ended == nil {
			t.Errorf("%+v", one)
		}
		j.Close()
		if one := get(t, open(t, fs), cut.ID); one.State != report.Interrupted {
			t.Errorf("after an orderly end: %+v", one)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, vfs.NewMem())
		for i := range endedMax + 5 {
			start(t, j, fmt.Sprint("short", i), func(context.Context, *Progress) error { return nil })
			time.Sleep(time.Second)
		}
		jobs := j.List()
		if len(jobs) != endedMax || jobs[0].Kind != fmt.Sprint("short", endedMax+4) {
			t.Errorf("%d jobs, the first %s", len(jobs), jobs[0].Kind)
		}
		for range runningMax {
			start(t, j, "long", untilCancelled)
		}
		if _, err := j.Start("one more", "", untilCancelled); report.KindOf(err) != report.Overloaded {
			t.Errorf("error %v", err)
		}
		j.Close()
	})
}

func TestBadJournalIsSetAside(t *testing.T) {
	for _, text := range []string{"", "{", `{"version": 99}`, strings.Repeat(" ", journalBytesMax+1)} {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create("/d/" + fileName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if n := len(open(t, fs).List()); n != 0 {
			t.Errorf("%d jobs from %.20q", n, text)
		}
		if _, err := fs.Stat("/d/" + fileName + ".bad"); err != nil {
			t.Errorf("%.20q is not set aside: %v", text, err)
		}
	}
}

// TestFailingDisk: work does not depend on its record.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
			if strings.Contains(op.Name, fileName+".new") {
				return vfs.Fault{Err: errors.New("no space")}
			}
			return vfs.Fault{}
		})
		j := open(t, fs)
		one := start(t, j, "a", func(context.Context, *Progress) error { return nil })
		synctest.Wait()
		if got := get(t, j, one.ID); got.State != report.Done {
			t.Errorf("%+v", got)
		}
		j.Close()
	})
}

func FuzzJournal(f *testing.F) {
	good, _ := json.Marshal(file{formatVersion, []report.Job{{ID: "a", State: report.Running}}})
	f.Add(good)
	f.Add([]byte(`{"version":1,"jobs":[{"id":"a","eta_seconds":1e99}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		w, err := fs.Create("/d/" + fileName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		for _, one := range open(t, fs).List() {
			if one.State == report.Running {
				t.Errorf("%+v runs after a restart", one)
			}
		}
	})
}
