package acceptor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a listener that answers as it is told, and then waits.
type scripted struct {
	answers []error // nil: a connection
	closed  chan struct{}
	once    sync.Once
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.answers) == 0 {
		<-s.closed
		return nil, net.ErrClosed
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	if err != nil {
		return nil, err
	}
	here, _ := net.Pipe()
	return here, nil
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *scripted) Addr() net.Addr { return &net.TCPAddr{Port: 7} }

// A lack of descriptors passes, with a pause; the end of ctx closes the listener
// and is no error, a listener that somebody else closes is one.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		ln := &scripted{answers: []error{nil, syscall.EMFILE, syscall.EMFILE, nil}, closed: make(chan struct{})}
		taken, ended := 0, make(chan error, 1)
		go func() {
			ended <- Run(ctx, ln, slog.New(slog.NewTextHandler(&log, nil)), func(nc net.Conn) {
				taken++
				_ = nc.Close()
			})
		}()
		time.Sleep(2 * failurePause)
		synctest.Wait()
		if taken != 2 || strings.Count(log.String(), "accept failed") != 2 {
			t.Errorf("%d connections after %v\n%s", taken, time.Since(began), log.String())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		<-ln.closed

		other := &scripted{answers: []error{net.ErrClosed}, closed: make(chan struct{})}
		if err := Run(t.Context(), other, slog.New(slog.DiscardHandler), nil); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "accept on :7") {
			t.Error(err)
		}
	})
}
