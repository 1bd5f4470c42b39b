package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/fakenet"
)

func TestCall(t *testing.T) {
	two(t, nil, func(a, b *node) {
		for _, to := range []Target{a.self, b.self, {Addr: a.self.Addr}, {Addr: b.self.Addr}} {
			w := a.ask(to, verbEcho, []byte("hello"), 0)
			time.Sleep(100 * time.Millisecond)
			w.want(t, 0)
			if string(w.body) != "hello" {
				t.Errorf("%s answered %q", to, w.body)
			}
			w = a.ask(to, verbFail, []byte("room"), 0)
			time.Sleep(100 * time.Millisecond)
			w.want(t, Failed)
			var e *Error
			if !errors.As(w.err, &e) || e.Code != helenus.CodeTruncate || e.Reason != "no room" {
				t.Errorf("%s failed with %v", to, w.err)
			}
			w = a.ask(to, verbDrop, nil, 0)
			time.Sleep(2 * time.Second)
			w.want(t, Timeout)
		}
		if f := facts(b, "DROP"); f.Expired != 2 {
			t.Errorf("dropped: %+v", f)
		}
		if level, ok := a.Feature(b.self); !ok || level != 5 {
			t.Errorf("feature level %d %v", level, ok)
		}
	})
}

// TestLocalIsTheSameValue: no encoding and no other goroutine.
func TestLocalIsTheSameValue(t *testing.T) {
	two(t, nil, func(a, _ *node) {
		w := a.ask(a.self, verbPark, []byte("x"), 0)
		r := a.unpark()
		if len(r) != 1 || r[0].Message != w.call.Request {
			t.Fatal("the handler did not get the very request before Call returned")
		}
		answer := &text{[]byte("y")}
		var got Message
		w.then = func() { got = w.call.Response }
		r[0].Reply(answer)
		w.want(t, 0)
		if got != Message(answer) {
			t.Error("the caller did not get the very answer")
		}
		if len(a.net.Dials()) != 0 {
			t.Error("a connection was made")
		}
	})
}

func TestCompression(t *testing.T) {
	for _, plain := range []bool{false, true} {
		two(t, func(o *Options) { o.NoCompression = plain }, func(a, b *node) {
			a.ask(b.self, verbEcho, nil, 0) // what goes before the hello is never compressed
			time.Sleep(100 * time.Millisecond)
			sent := a.net.Connections()[0].Sent()
			w := a.ask(b.self, verbEcho, bytes.Repeat([]byte("abcd"), 10<<10), 0)
			time.Sleep(100 * time.Millisecond)
			w.want(t, 0)
			if len(w.body) != 40<<10 || string(w.body[len(w.body)-4:]) != "abcd" {
				t.Fatalf("%d bytes came back", len(w.body))
			}
			if took := a.net.Connections()[0].Sent() - sent; (took < 4<<10) == plain {
				t.Errorf("NoCompression %v: %d bytes for 40 KiB", plain, took)
			}
			noisy := noise(20 << 10)
			w = a.ask(b.self, verbEcho, noisy, 0)
			time.Sleep(100 * time.Millisecond)
			w.want(t, 0)
			if !bytes.Equal(w.body, noisy) {
				t.Error("what does not compress came back changed")
			}
		})
	}
}

// TestLanes: a small call does not wait behind a large answer.
func TestLanes(t *testing.T) {
	two(t, nil, func(a, b *node) {
		for _, v := range []VerbID{verbBig, verbEcho, verbGossip} {
			a.ask(b.self, v, nil, 0)
		}
		time.Sleep(100 * time.Millisecond)
		if n := b.Facts().Inbound; n != 3 {
			t.Fatalf("%d connections for three lanes", n)
		}
		for _, c := range a.net.Connections() {
			if c.Sent() > 4<<10 {
				t.Fatal("much was sent already")
			}
		}
		big := a.ask(b.self, verbBig, make([]byte, 8<<10), 0)
		small := a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(5 * time.Millisecond)
		small.want(t, 0)
		if big.ended.Load() != 0 {
			t.Error("8 MiB over a window of 256 KiB came in 5 ms")
		}
		time.Sleep(5 * time.Second)
		big.want(t, 0)
	})
}

func TestUnknownVerbAndBadBodies(t *testing.T) {
	two(t, nil, func(a, b *node) {
		extra := verb{Verb: Verb{ID: 99, Name: "NEW", Lane: Small, Timeout: time.Second, NewResponse: newText}}
		for len(a.verbs) <= 99 {
			a.verbs = append(a.verbs, nil)
		}
		a.verbs[99] = &extra
		unknown := a.ask(b.self, 99, nil, 0)
		bad := a.ask(b.self, verbEcho, []byte("does not decode"), 0)
		time.Sleep(100 * time.Millisecond)
		for w, want := range map[*waiter]string{unknown: "does not know verb 99", bad: "no such text"} {
			w.want(t, Failed)
			if !strings.Contains(w.err.Error(), want) {
				t.Error(w.err)
			}
		}
		parked := a.ask(b.self, verbPark, nil, 0)
		time.Sleep(100 * time.Millisecond)
		b.unpark()[0].Reply(&text{[]byte("does not decode")})
		time.Sleep(100 * time.Millisecond)
		parked.want(t, Failed)
		self := a.ask(a.self, 99, nil, 0)
		self.want(t, Failed)
		if n := len(a.net.Dials()); n != 1 {
			t.Errorf("%d connections: a bad message is no reason to cut one", n)
		}
	})
}

// TestDoors: what is no message goes to whoever takes its first byte.
func TestDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(0)
		var got net.Conn
		a := start(t, fn, 1, func(o *Options) {
			o.Doors = func(first byte, nc net.Conn) bool {
				if first == FirstStream {
					got = nc
				}
				return first == FirstStream
			}
		})
		synctest.Wait()
		for _, c := range []struct {
			send string
			ok   bool
		}{{"\xC2rest", true}, {"\xF4rest", false}} {
			got = nil
			nc, err := fn.Host(target(9).Addr.Addr()).Dial(t.Context(), a.self.Addr.String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(nc, c.send)
			synctest.Wait()
			if (got != nil) != c.ok {
				t.Fatalf("%q: handed over: %v", c.send, got != nil)
			}
			if c.ok {
				_ = nc.Close()
				b, err := io.ReadAll(got)
				if err != nil || string(b) != c.send {
					t.Errorf("the door reads %q, %v", b, err)
				}
				_ = got.Close()
			} else if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("an unknown first byte: %v", err)
			}
		}
		if f := a.Facts(); f.Handed != 1 || f.Garbage != 1 || !strings.Contains(a.log.String(), "begins with byte 0xf4") {
			t.Errorf("%+v %s", f, a.log)
		}
		a.end(t)
	})
}

func TestTable(t *testing.T) {
	good := Verb{ID: 1, Name: "A", Timeout: time.Second}
	for want, bad := range map[string][]Verb{
		"have the id 1":  {good, {ID: 1, Name: "B", Timeout: 1}},
		"empty or taken": {good, {ID: 2, Name: "A", Timeout: 1}},
		"no lane 3":      {{ID: 2, Name: "A", Lane: 3, Timeout: 1}},
		"time-out of 0":  {{ID: 2, Name: "A"}},
		"above 1023":     {{ID: 1024, Name: "A", Timeout: 1}},
	} {
		if _, err := New(Options{Self: target(1), Verbs: bad}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no host id, no error")
	}
}
