package stress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"helenus"
)

// Config says what load to put on which nodes, how, and for how long.
type Config struct {
	Workload Workload
	// Addresses are nodes, host:port; connections go to them in turn.
	Addresses []string
	// Dial makes a connection; nil is TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	Connections int
	Depth       int // requests in flight on each connection, at most
	// Rate is operations per second that begin when they are meant to, whether
	// or not earlier ones have ended, as long as Connections*Depth allow; 0 is a
	// closed loop: all connections are always full.
	Rate uint64
	// Operations and Duration bound the run; at least one is above 0.
	Operations uint64
	Duration   time.Duration

	Consistency        helenus.Consistency // as the protocol numbers them: the zero value is ANY
	Unprepared         bool                // statements as text, with their values
	LZ4                bool
	NoVerify           bool // reads count their rows and compare nothing
	Username, Password string

	// Begin and End, if there, are called right before the first operation begins
	// and when the last has ended: connections are made before and closed after.
	Begin, End func()
	// Progress is called each Interval from a goroutine of the run.
	Interval time.Duration
	Progress func(Interval)
	// Patience is how long no answer at all may come while some are missing,
	// before the run gives them up and ends; 0 means 30 s.
	Patience time.Duration
	// Sleep lets time pass; nil is exact to some microseconds.
	Sleep func(time.Duration)
}

const (
	inFlightMax     = 1 << 17
	slotBytesMax    = 1 << 30
	depthMax        = 1 << 15 // the streams of a connection
	rateMax         = 1 << 32
	patienceDefault = 30 * time.Second
	durationLimit   = 1000 * time.Hour
)

// Check completes the configuration and says what is wrong with it.
func (c *Config) Check() error {
	if err := c.Workload.check(); err != nil {
		return err
	}
	switch {
	case len(c.Addresses) == 0:
		return errors.New("no node to put load on")
	case c.Connections < 1 || c.Depth < 1 || c.Depth > depthMax || c.Connections > inFlightMax/c.Depth:
		return fmt.Errorf("%d connections with %d in flight: at least 1 each, at most %d in flight on one and %d in all",
			c.Connections, c.Depth, depthMax, inFlightMax)
	case c.Connections*c.Depth > slotBytesMax/c.Workload.Table.rowBytes():
		return fmt.Errorf("%d rows of %d bytes in flight: at most %d bytes", c.Connections*c.Depth, c.Workload.Table.rowBytes(), slotBytesMax)
	case !c.Consistency.Valid() || c.Consistency == helenus.Any && !c.Workload.writesOnly():
		return fmt.Errorf("consistency level %s is not for reads", c.Consistency)
	case c.Consistency.IsSerial() && c.Workload.Mix[Insert]+c.Workload.Mix[Update] > 0:
		return fmt.Errorf("consistency level %s is not for writes", c.Consistency)
	case c.Rate > rateMax:
		return fmt.Errorf("rate %d: at most %d operations a second", c.Rate, uint64(rateMax))
	case c.Duration < 0 || c.Duration > durationLimit:
		return fmt.Errorf("duration %s: 0 to %s", c.Duration, durationLimit)
	case c.Operations == 0 && c.Duration == 0:
		return errors.New("the run has no end: neither operations nor a duration")
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if c.Patience <= 0 {
		c.Patience = patienceDefault
	}
	if c.Sleep == nil {
		c.Sleep = nap
	}
	return nil
}
