package coord

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/store/row"
)

// TestWriteStories runs the scenarios of writes over several nodes; each file is
// a cluster of its own.
//
//	cluster places=(dc1/r1,dc1/r2)     input: a keyspace and its replication a line
//	dead 1 | alive 1                   what the others believe
//	cut 0 1 | heal 0 1                 packets between two nodes are lost
//	isolate 1 | join 1                 packets of a node are lost
//	stop 1                             its connections are refused
//	disk 1 fail | pause | ok           the commit log
//	hints off | on
//	write node=0 cl=QUORUM             input: row.Parse; $2 is a key of node 2
//	wait 2s
//	holders key=$0                     nodes that have the partition
//	hints of 0                         what node 0 keeps for whom
//	conditional node=0 key=$0, truncate node=0
func TestWriteStories(t *testing.T) {
	datadriven.Walk(t, "testdata/write", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := &writeStory{t: t}
			defer s.end()
			datadriven.RunTest(t, path, s.step)
		})
	})
}

type writeStory struct {
	t      *testing.T
	c      *nodes
	resume map[int]func()
}

var keyName = regexp.MustCompile(`\$(\d+)`)

func (s *writeStory) expand(text string) string {
	return keyName.ReplaceAllStringFunc(text, func(name string) string {
		i, _ := strconv.Atoi(name[1:])
		return strconv.Itoa(s.c.key(i))
	})
}

func (s *writeStory) step(t *testing.T, d *datadriven.TestData) string {
	if d.Cmd == "cluster" {
		return s.cluster(d)
	}
	var n []int
	for _, a := range d.CmdArgs {
		if i, err := strconv.Atoi(a.Key); err == nil {
			n = append(n, i)
		}
	}
	switch d.Cmd {
	case "dead", "alive":
		for _, i := range n {
			s.c.setDead(i, d.Cmd == "dead")
		}
	case "cut", "heal":
		s.c.cut(n[0], n[1], d.Cmd == "cut")
	case "isolate", "join":
		s.c.isolate(n[0], d.Cmd == "isolate")
	case "stop":
		s.c.all[n[0]].stop()
		synctest.Wait()
	case "disk":
		s.disk(n[0], d.CmdArgs[1].Key)
	case "wait":
		pause, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		time.Sleep(pause)
		synctest.Wait()
	case "write":
		return s.write(t, d)
	case "holders":
		key, err := strconv.Atoi(s.expand(arg(t, d, "key")))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return s.c.holders("ks", key) + "\n"
	case "hints":
		return s.hints(d, n)
	case "conditional":
		return s.conditional(t, d)
	case "truncate":
		return s.truncate(t, d)
	default:
		d.Fatalf(t, "what is %s?", d.Cmd)
	}
	return ""
}

func arg(t *testing.T, d *datadriven.TestData, name string) string {
	var v string
	d.ScanArgs(t, name, &v)
	return v
}

func (s *writeStory) cluster(d *datadriven.TestData) string {
	sp := spec{latency: time.Millisecond, keyspaces: map[string]string{}}
	for _, a := range d.CmdArgs {
		if a.Key == "places" {
			sp.places = strings.Join(a.Vals, " ")
		}
	}
	for _, line := range strings.Split(d.Input, "\n") {
		name, factors, _ := strings.Cut(line, " ")
		sp.keyspaces[name] = factors
	}
	s.c, s.resume = start(s.t, sp), map[int]func(){}
	synctest.Wait()
	return ""
}

func (s *writeStory) disk(i int, how string) {
	disk := s.c.all[i].disk
	switch how {
	case "fail":
		disk.fail(errors.New("no such disk"))
	case "pause":
		s.resume[i] = disk.pause()
	case "ok":
		disk.fail(nil)
		if f := s.resume[i]; f != nil {
			f()
			delete(s.resume, i)
		}
	}
}

func (s *writeStory) end() {
	if s.c == nil {
		return
	}
	defer s.c.close()
	for i := range s.c.all {
		if f := s.resume[i]; f != nil {
			f()
		}
	}
}

func (s *writeStory) write(t *testing.T, d *datadriven.TestData) string {
	i, _ := strconv.Atoi(arg(t, d, "node"))
	cl, err := helenus.ParseConsistency(arg(t, d, "cl"))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	began := time.Now()
	err = s.c.write(i, cl, "ks", s.expand(d.Input))
	return fmt.Sprintf("%s after %v\n", outcome(err), time.Since(began))
}

// outcome shows all that a client is told.
func outcome(err error) string {
	var told *helenus.Error
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &told):
		return "not an error for clients: " + err.Error()
	}
	text := fmt.Sprintf("%04x %s", int(told.Code), told.Message)
	switch told.Code {
	case helenus.CodeUnavailable:
		text += fmt.Sprintf(" [%s required %d alive %d]", told.Consistency, told.Required, told.Alive)
	case helenus.CodeWriteTimeout, helenus.CodeWriteFailure:
		text += fmt.Sprintf(" [%s %s received %d block for %d", told.Consistency, told.WriteType, told.Alive, told.Required)
		for _, f := range told.Failures {
			text += fmt.Sprintf(" %s:%d", f.From, f.Reason)
		}
		text += "]"
	}
	return text
}

func (s *writeStory) hints(d *datadriven.TestData, n []int) string {
	if len(n) == 0 {
		for _, node := range s.c.all {
			node.hints.mu.Lock()
			node.hints.off = d.CmdArgs[0].Key == "off"
			node.hints.mu.Unlock()
		}
		return ""
	}
	var out []string
	for i := range s.c.all {
		if k := s.c.all[n[0]].hints.of(hostID(i)); k > 0 {
			out = append(out, fmt.Sprintf("%d for node %d\n", k, i))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// casOwner decides for every write.
type casOwner chan error

// Decide implements CASOwner.
func (ch casOwner) Decide(ps row.Partitions) (bool, error) {
	for {
		if p, err := ps.Next(); p == nil || err != nil {
			return true, err
		}
	}
}

// Mutation implements CASOwner.
func (ch casOwner) Mutation(int64) ([]byte, error) { return nil, nil }

// CASDone implements CASOwner.
func (ch casOwner) CASDone(op *CAS) { ch <- op.Err }

func (s *writeStory) conditional(t *testing.T, d *datadriven.TestData) string {
	i, _ := strconv.Atoi(arg(t, d, "node"))
	key, err := strconv.Atoi(s.expand(arg(t, d, "key")))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	done := make(casOwner, 1)
	s.c.all[i].coord.CAS(&CAS{State: s.c.state, Serial: helenus.Serial, Consistency: helenus.Quorum, Done: done,
		Command: &row.Command{Table: s.c.table("ks"), Keys: []row.Key{keyOf(key)}, Filter: row.Filter{Slices: row.AllRows()}}})
	return outcome(<-done) + "\n"
}

func (s *writeStory) truncate(t *testing.T, d *datadriven.TestData) string {
	i, _ := strconv.Atoi(arg(t, d, "node"))
	began := time.Now()
	err := s.c.all[i].coord.Truncate(t.Context(), s.c.state, s.c.table("ks"))
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	return fmt.Sprintf("%s after %v\n", text, time.Since(began))
}
