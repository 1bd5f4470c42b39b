package server

import (
	"context"
	"time"
)

// writeTimeout is how long a client may leave its answers unread.
const writeTimeout = 30 * time.Second

// watchdog closes connections on which nothing moves. One goroutine that looks
// four times per timeout costs less than a deadline for each read and write;
// the price is that a timeout may come a quarter late.
func (s *Server) watchdog(ctx context.Context) {
	every := writeTimeout
	if idle := s.opts.IdleTimeout; idle > 0 {
		every = min(every, idle)
	}
	ticker := time.NewTicker(max(every/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, c := range s.all() {
				c.check(now)
			}
		}
	}
}

func (c *conn) check(now time.Time) {
	moved := c.moved.Load()
	if moved != c.seen {
		c.seen, c.since = moved, now
		return
	}
	c.mu.Lock()
	writing, idle := c.unwritten > 0, c.owedLocked() == 0
	c.mu.Unlock()
	still := now.Sub(c.since)
	limit := c.server.opts.IdleTimeout
	switch {
	case writing && still >= writeTimeout:
		c.server.opts.Log.Info("client does not read its answers", "client", c.session.Client)
		c.close()
	case idle && limit > 0 && still >= limit:
		c.close()
	}
}
