package ctl

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/stress"
)

// TestStressLayout compares the result block and the lines of progress with
// the golden file.
func TestStressLayout(t *testing.T) {
	latency := stress.Latency{Mean: 812.4, P50: 700, P95: 1200, P99: 3200, P999: 9876.5, Max: 123456.789}
	open := &stress.Result{Seconds: 10, Operations: 49_990, Rows: 49_990, Rate: 4999, Latency: latency,
		Kinds: []stress.KindResult{{Kind: "insert", Operations: 25_000, Latency: latency}, {Kind: "select", Operations: 24_990, Latency: latency}},
		Schedule: &stress.ScheduleResult{Rate: 5000, Due: 50_010, NotStarted: 10, Late: 321,
			Lateness: stress.Latency{Max: 100_000}, Service: stress.Latency{P50: 650}},
		Errors: map[string]int64{"write timeout": 9, "stale": 1}, Samples: []string{`stale, select: key = 7: column c0: expected "a", actual "b"`},
		ClientCPU: 2.5, Unanswered: 2, Interrupted: true}
	closed := &stress.Result{Seconds: 2, Operations: 100, Rows: 10_000, Rate: 50, Latency: latency, Kinds: open.Kinds[:1], Errors: map[string]int64{}}
	var out bytes.Buffer
	for i, behind := range []uint64{0, 77} {
		stressInterval(&out, stress.Interval{Elapsed: time.Duration(i+1) * time.Second, Operations: 4999, Rate: 4999.4, Latency: latency, Errors: 3, Behind: behind}, i)
	}
	stressLayout(&out, open)
	stressLayout(&out, closed)
	want, err := os.ReadFile("testdata/stress.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s", out.String())
	}
}

func TestStressBadUse(t *testing.T) {
	for line, want := range map[string]string{
		"stress nothing":                           `Found unexpected parameters`,
		"stress write --rate fast":                 `--rate: "fast" is no number like 5000, 20k, 3m or 1b`,
		"stress write -n 99999999999b":             `--operations: "99999999999b" is no number`,
		"stress read --cl some":                    `--cl: unknown consistency level "some": one of ANY, ONE`,
		"stress read --cl any":                     `consistency level ANY is not for reads`,
		"stress read --compression zip":            `--compression "zip": none or lz4`,
		"stress read --order random":               `--order "random": sequential or uniform`,
		"stress read --missing --slice 3 --rows 9": `--missing and --slice: one of them`,
		"stress read --slice 10":                   `slices of 10 rows: 1 to 1, which is what a partition has`,
		"stress mixed --reads 101":                 `--reads 101: 0 to 100`,
		"stress write --table a-b":                 `names have letters, digits and underscores`,
		"stress write --depth 0":                   `4 connections with 0 in flight`,
		"stress write --duration -1s":              `duration -1s`,
	} {
		code, out, errs := run(&fakeNode{}, line)
		if code != exitBadUse || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d\n%s%s", line, code, out, errs)
		}
	}
}

// TestStressDefaults: a run that is not told when to end does end.
func TestStressDefaults(t *testing.T) {
	complete := func(verb string, change func(*stressFlags)) *stressFlags {
		f := &stressFlags{rate: "0", operations: "0", partitions: "20k", level: "local_quorum", compression: "LZ4"}
		f.cfg.Workload.Table.Rows = 7
		change(f)
		if err := f.complete(verb); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := complete("write", func(*stressFlags) {})
	if f.cfg.Operations != 140_000 || f.cfg.Duration != 0 || !f.cfg.LZ4 || f.cfg.Consistency != helenus.LocalQuorum ||
		f.cfg.Workload.Table.Name != "wide" || f.cfg.Workload.Order != stress.Sequential {
		t.Errorf("write: %+v", f.cfg)
	}
	f = complete("read", func(*stressFlags) {})
	if f.cfg.Operations != 0 || f.cfg.Duration != 30*time.Second || f.cfg.Workload.Order != stress.Uniform {
		t.Errorf("read: %+v", f.cfg)
	}
	f = complete("mixed", func(f *stressFlags) { f.reads, f.operations = 20, "5" })
	if f.cfg.Operations != 5 || f.cfg.Duration != 0 || f.cfg.Workload.Mix[stress.Select] != 20 || f.cfg.Workload.Mix[stress.Insert] != 80 {
		t.Errorf("mixed: %+v", f.cfg)
	}
}
