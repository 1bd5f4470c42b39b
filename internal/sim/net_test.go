package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// hosts is a network of hosts that echo what they get on port 7.
type hosts struct {
	*Sim
	t    *testing.T
	all  []*Host
	port []*port
}

func onNetwork(t *testing.T, seed uint64, count int, test func(t *testing.T, h *hosts)) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{Sim: New(t, seed), t: t}
		for i := range count {
			host, err := h.net.add(fmt.Sprintf("h%d", i+1), fmt.Sprintf("10.0.0.%d", i+1))
			if err != nil {
				t.Fatal(err)
			}
			h.all = append(h.all, host)
			h.port = append(h.port, host.begin())
			h.listen(i)
		}
		test(t, h)
	})
}

// listen echoes; a host that was shut down listens again.
func (h *hosts) listen(i int) {
	l, err := h.port[i].Listen(h.t.Context(), h.addr(i))
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	h.t.Cleanup(func() { l.Close() })
}

func (h *hosts) addr(i int) string { return fmt.Sprintf("10.0.0.%d:7", i+1) }

func (h *hosts) dial(from, to int) (net.Conn, error) {
	return h.all[from].Dial(h.t.Context(), h.addr(to))
}

// act runs scripts as actors until all have ended.
func (h *hosts) act(scripts ...func(a *Actor) error) {
	h.t.Helper()
	for i, script := range scripts {
		h.Go(fmt.Sprintf("actor%d", i+1), func(a *Actor) {
			if err := script(a); err != nil {
				h.t.Errorf("%s: %v", a.Name, err)
			}
		})
	}
	h.Run(1<<20, nil)
}

// echo sends and gets it back.
func echo(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("got %q for %q", got, text)
	}
	return nil
}

// TestBytesTakeTime: there and back takes at least twice the delay, and what is
// large takes as long as the link says.
func TestBytesTakeTime(t *testing.T) {
	onNetwork(t, 1, 2, func(t *testing.T, h *hosts) {
		h.net.SetLink(h.all[0], h.all[1], &Link{Delay: 10 * time.Millisecond})
		h.net.SetLink(h.all[1], h.all[0], &Link{Delay: 30 * time.Millisecond, BytesPerSecond: 1 << 20})
		h.act(func(*Actor) error {
			began := time.Now()
			c, err := h.dial(0, 1)
			if err != nil {
				return err
			}
			defer c.Close()
			if d := time.Since(began); d < 40*time.Millisecond || d > 41*time.Millisecond {
				t.Errorf("dial took %v", d)
			}
			began = time.Now()
			if err := echo(c, strings.Repeat("x", 128<<10)); err != nil {
				return err
			}
			if d := time.Since(began); d < 165*time.Millisecond || d > 166*time.Millisecond {
				t.Errorf("128 KiB took %v", d)
			}
			return nil
		})
	})
}

// TestReorder: on a connection everything comes in order, between connections it
// does not.
func TestReorder(t *testing.T) {
	onNetwork(t, 3, 2, func(t *testing.T, h *hosts) {
		var order []int
		var scripts []func(a *Actor) error
		for i := range 6 {
			scripts = append(scripts, func(a *Actor) error {
				c, err := h.dial(0, 1)
				if err != nil {
					return err
				}
				defer c.Close()
				for j := range 20 {
					if err := echo(c, fmt.Sprintf("%d of %d", j, i)); err != nil {
						return err
					}
				}
				order = append(order, i)
				return nil
			})
		}
		h.act(scripts...)
		if len(order) != 6 || order[0] == 0 && order[1] == 1 && order[2] == 2 && order[3] == 3 {
			t.Errorf("order %v", order)
		}
	})
}

// TestSameSeedSameNetwork: histories of many connections that are made at the
// same time repeat.
func TestSameSeedSameNetwork(t *testing.T) {
	run := func(seed uint64) (text string) {
		onNetwork(t, seed, 4, func(t *testing.T, h *hosts) {
			h.net.SetUsual(Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.1})
			h.act(func(a *Actor) error {
				ended := make(chan error)
				for i := range 30 { // all at once, as lanes of one node do
					go func() {
						c, err := h.dial(0, 1+i%3)
						if err == nil {
							err = errors.Join(echo(c, fmt.Sprintf("hello %d", i)), echo(c, strings.Repeat("y", i)), c.Close())
						}
						ended <- err
					}()
				}
				var err error
				for range 30 {
					err = errors.Join(err, <-ended)
				}
				return err
			})
			text = h.Trace()
		})
		return text
	}
	for seed := range uint64(5) {
		a, b := run(seed), run(seed)
		if a != b {
			t.Fatalf("seed %d:\n%s\nand then\n%s", seed, a, b)
		}
		if a == run(seed+100) {
			t.Fatalf("seeds %d and %d made the same history", seed, seed+100)
		}
	}
}

// TestPartition: a cut direction holds back bytes, the end of connections and
// new ones; nothing is lost when it goes on.
func TestPartition(t *testing.T) {
	onNetwork(t, 4, 2, func(t *testing.T, h *hosts) {
		h.At(time.Second, "cut", func() { h.net.Cut(h.all[1], h.all[0], true) })
		h.At(5*time.Second, "heal", func() { h.net.Cut(h.all[1], h.all[0], false) })
		h.act(func(a *Actor) error {
			c, err := h.dial(0, 1)
			if err != nil {
				return err
			}
			defer c.Close()
			for i := range 100 {
				if err := echo(c, fmt.Sprint("line ", i)); err != nil {
					return err
				}
				a.Pause = 100 * time.Millisecond
				a.Turn()
			}
			return nil
		}, func(a *Actor) error {
			a.Pause = 2 * time.Second
			for h.Elapsed() < 2*time.Second {
				a.Turn()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if c, err := h.all[0].Dial(ctx, h.addr(1)); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("a dial into a partition: %v, %w", c, err)
			}
			c, err := h.dial(0, 1) // waits until it is healed
			if err != nil {
				return err
			}
			if h.Elapsed() < 5*time.Second {
				t.Error("connected through a partition")
			}
			return c.Close()
		})
		if h.Elapsed() < 5*time.Second {
			t.Errorf("100 lines took %v", h.Elapsed())
		}
	})
}

// TestOneWay: the direction that is not cut works.
func TestOneWay(t *testing.T) {
	onNetwork(t, 5, 2, func(t *testing.T, h *hosts) {
		h.act(func(a *Actor) error {
			c, err := h.dial(0, 1)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := echo(c, "before"); err != nil {
				return err
			}
			h.At(time.Millisecond, "cut", func() { h.net.Cut(h.all[1], h.all[0], true) })
			a.Pause = 5 * time.Millisecond
			a.Turn()
			a.Turn()
			if _, err := io.WriteString(c, "there"); err != nil {
				return err
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("read through a cut: %w", err)
			}
			if !strings.Contains(h.Trace(), "-> 5\n") {
				t.Errorf("nothing arrived:\n%s", h.Trace())
			}
			return nil
		})
	})
}

// TestWindow: who is not read waits, with a deadline or until the end.
func TestWindow(t *testing.T) {
	onNetwork(t, 6, 2, func(t *testing.T, h *hosts) {
		h.act(func(a *Actor) error {
			c, err := h.dial(0, 1)
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			// The echo comes back and nobody reads it: four windows hold what can be
			// under way, one in each direction and one in the hands of the echo.
			n, err := c.Write(make([]byte, 4*windowBytes))
			if !errors.Is(err, os.ErrDeadlineExceeded) || n < windowBytes || n > 3*windowBytes {
				return fmt.Errorf("%d bytes and %w", n, err)
			}
			_ = c.SetWriteDeadline(time.Time{})
			ended := make(chan error)
			go func() {
				_, err := c.Write(make([]byte, windowBytes))
				ended <- err
			}()
			h.At(time.Millisecond, "break", func() { h.net.Break(h.all[0], h.all[1]) })
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				return fmt.Errorf("a write on a broken connection: %w", err)
			}
			return nil
		})
	})
}

// TestHostsEnd: what a dead process and a machine without power are to others.
func TestHostsEnd(t *testing.T) {
	onNetwork(t, 7, 2, func(t *testing.T, h *hosts) {
		for _, silent := range []bool{false, true} {
			h.act(func(a *Actor) error {
				c, err := h.dial(0, 1)
				if err != nil {
					return err
				}
				defer c.Close()
				if err := echo(c, "before"); err != nil {
					return err
				}
				h.At(time.Millisecond, "end", func() { h.all[1].end(silent) })
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, err = c.Read(make([]byte, 1))
				if silent != errors.Is(err, os.ErrDeadlineExceeded) || !silent && !errors.Is(err, syscall.ECONNRESET) {
					return fmt.Errorf("silent %v: read: %w", silent, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = h.all[0].Dial(ctx, h.addr(1))
				if silent != errors.Is(err, context.DeadlineExceeded) || !silent && !errors.Is(err, syscall.ECONNREFUSED) {
					return fmt.Errorf("silent %v: dial: %w", silent, err)
				}
				if silent { // a machine that is back knows nothing of old connections
					_ = c.SetReadDeadline(time.Time{})
					if _, err := io.WriteString(c, "after"); err != nil {
						return err
					}
					h.At(time.Second, "begin", func() { h.port[1] = h.all[1].begin(); h.listen(1) })
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
						return fmt.Errorf("read of a dead life's connection: %w", err)
					}
				}
				return nil
			})
			if !silent {
				h.port[1] = h.all[1].begin()
				h.listen(1)
			}
		}
	})
}

// TestOldLife: who is left of a dead life reaches nobody.
func TestOldLife(t *testing.T) {
	onNetwork(t, 8, 2, func(t *testing.T, h *hosts) {
		h.act(func(*Actor) error {
			old := h.port[0]
			h.all[0].end(false)
			h.port[0] = h.all[0].begin()
			if _, err := old.Dial(t.Context(), h.addr(1)); !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("dial: %w", err)
			}
			if _, err := old.Listen(t.Context(), h.addr(0)); !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("listen: %w", err)
			}
			return nil
		})
	})
}

// TestRefusals: bad addresses and packets get an error that names them.
func TestRefusals(t *testing.T) {
	onNetwork(t, 9, 1, func(t *testing.T, h *hosts) {
		h.act(func(*Actor) error {
			for _, s := range []struct {
				address string
				want    error
			}{{"10.0.0.1:7", syscall.EADDRINUSE}, {"10.0.0.2:8", syscall.EADDRNOTAVAIL}} {
				if _, err := h.port[0].Listen(t.Context(), s.address); !errors.Is(err, s.want) || !strings.Contains(err.Error(), s.address) {
					return fmt.Errorf("listen %s: %w", s.address, err)
				}
			}
			if _, err := h.port[0].Dial(t.Context(), "10.0.0.9:7"); !errors.Is(err, syscall.EHOSTUNREACH) {
				return fmt.Errorf("dial: %w", err)
			}
			if _, err := h.port[0].Dial(t.Context(), "10.0.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
				return fmt.Errorf("dial: %w", err)
			}
			if _, err := h.port[0].ListenPacket(t.Context(), "10.0.0.1:7"); !errors.Is(err, errNoPackets) {
				return fmt.Errorf("packets: %w", err)
			}
			return nil
		})
	})
}

// TestPausedHost: nothing leaves or reaches a host that stands still, and all of
// it does afterwards.
func TestPausedHost(t *testing.T) {
	onNetwork(t, 10, 2, func(t *testing.T, h *hosts) {
		h.act(func(*Actor) error {
			c, err := h.dial(0, 1)
			if err != nil {
				return err
			}
			defer c.Close()
			h.At(0, "pause", func() { h.all[1].pause(true) })
			h.At(3*time.Second, "go on", func() { h.all[1].pause(false) })
			for range 3 {
				if err := echo(c, "x"); err != nil {
					return err
				}
			}
			return nil
		})
		if h.Elapsed() < 3*time.Second {
			t.Error("a paused host answered")
		}
	})
}

// TestLateWrites: what was written before a Close arrives, then the end.
func TestLateWrites(t *testing.T) {
	onNetwork(t, 11, 2, func(t *testing.T, h *hosts) {
		l, err := h.port[1].Listen(t.Context(), "10.0.0.2:8")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan []byte, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("write to who has gone: %v", err)
			}
			c.Close()
			got <- all
		}()
		h.act(func(*Actor) error {
			c, err := h.all[0].Dial(t.Context(), "10.0.0.2:8")
			if err != nil {
				return err
			}
			text := bytes.Repeat([]byte("z"), 100_000)
			if _, err := c.Write(text); err != nil {
				return err
			}
			c.Close()
			if all := <-got; !bytes.Equal(all, text) {
				return fmt.Errorf("%d bytes", len(all))
			}
			return nil
		})
		l.Close()
	})
}
