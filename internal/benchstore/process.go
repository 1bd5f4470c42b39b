package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"time"
)

// result is the answer to a step.
type result struct {
	Rows     uint64
	Used     usage
	Took     time.Duration
	Data     int64 // bytes of the table files on the disk
	Log      int64
	State    string
	Cache    cacheUse
	ErrorMsg string
}

// collectorPercent is the agent's setting: docs/benchmarks.md.
const collectorPercent = 400

// serve is an engine's process: it takes steps until its input ends.
func serve(p plan, name, dir, compress string, in io.Reader, out io.Writer) error {
	debug.SetGCPercent(collectorPercent)
	s := settings{dir: dir, cache: p.cache, memtable: p.memtable, block: p.block}
	var err error
	if s.compress, err = strconv.ParseBool(compress); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	e, err := open(name, s)
	if err != nil {
		return err
	}
	steps, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var st step
		if err := steps.Decode(&st); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, e.close())
		}
		var r result
		if st.Reopen != nil {
			s.synced = *st.Reopen
			if err := e.close(); err != nil {
				return err
			}
			if e, err = open(name, s); err != nil {
				return err
			}
			err = waitQuiet()
		} else {
			r, err = st.measure(e, dir)
		}
		if err != nil {
			r.ErrorMsg = err.Error()
		}
		if err := results.Encode(r); err != nil {
			return err
		}
	}
}

// measure runs a step and tells what it used.
func (s *step) measure(e engine, dir string) (r result, err error) {
	stop, err := startProfile(s.Profile)
	if err != nil {
		return r, err
	}
	cache := e.cacheUse()
	before, err := usageNow()
	if err == nil {
		r.Rows, r.Took, err = s.do(e)
	}
	after, err2 := usageNow()
	if err = errors.Join(err, err2, stop()); err != nil {
		return r, err
	}
	r.Used, r.State = after.minus(before), e.state()
	r.Cache = e.cacheUse()
	r.Cache.Hits, r.Cache.Misses = r.Cache.Hits-cache.Hits, r.Cache.Misses-cache.Misses
	if r.Data, err = folderBytes(dir + "/data"); err == nil {
		r.Log, err = folderBytes(dir + "/log")
	}
	return r, err
}

func startProfile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, err
}

// process is an engine's process as compare sees it.
type process struct {
	name    string
	dir     string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	steps   *json.Encoder
	results *json.Decoder
}

func startProcess(name, dir string, compress bool) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: name, dir: dir, cmd: exec.Command(self, name, dir, strconv.FormatBool(compress))}
	p.cmd.Stderr = os.Stderr
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.steps, p.results = json.NewEncoder(p.orders), json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) do(s step) (r result, err error) {
	if err = p.steps.Encode(s); err == nil {
		err = p.results.Decode(&r)
	}
	if err == nil && r.ErrorMsg != "" {
		err = errors.New(r.ErrorMsg)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", p.name, err)
	}
	return r, nil
}

// end closes the engine and removes its files.
func (p *process) end() error {
	return errors.Join(p.orders.Close(), p.cmd.Wait(), os.RemoveAll(p.dir))
}
