// Package acceptor takes the connections that come to a listener.
//
// Nouns: Run (the loop).
//
// agent/wire and agent/server run it for their ports. It never reads from a
// connection, and knows nothing of who may connect.
package acceptor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// failurePause keeps a lack of file descriptors from becoming a busy loop.
const failurePause = 50 * time.Millisecond

// Run gives each connection to take, which must not wait, until ctx ends; the
// listener is closed then. A failure to accept is logged and passes. The error is
// why there can be no more connections.
func Run(ctx context.Context, ln net.Listener, log *slog.Logger, take func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // ends Accept
	defer stop()
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			take(nc)
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the listener was closed to end this
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		default:
			log.Warn("accept failed", "error", err)
			pause(ctx, failurePause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
