package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"helenus/internal/report"
)

// askTimeout bounds one look at the nodes: one of them may be stuck.
const askTimeout = 5 * time.Second

// awaitUp waits until all nodes that shall run answer operators and clients,
// and see each other.
func (c *command) awaitUp(ctx context.Context, nodes []*upNode) error {
	var running []*upNode
	for _, n := range nodes {
		if n.runs() {
			running = append(running, n)
		}
	}
	ticker := time.NewTicker(upPoll)
	defer ticker.Stop()
	var who *upNode
	var lack error
	for {
		n, err := c.lacking(ctx, running)
		var wrong strangerError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		if who == nil || ctx.Err() == nil { // an error of a wait that is over says nothing
			who, lack = n, err
		}
		for _, n := range running {
			if err := n.gone(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %d, process %d: %w; the end of %s:\n%s", who.number, who.process.PID, lack, who.logFile(), who.logTail(logTailLines))
		case <-ticker.C:
		}
	}
}

// lacking is a node that is not there yet, and what it lacks.
func (c *command) lacking(ctx context.Context, nodes []*upNode) (*upNode, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, n := range nodes {
		if n.hostID != "" {
			continue
		}
		id, err := c.serves(ctx, n)
		if err != nil {
			return n, err
		}
		n.hostID = id
	}
	for _, n := range nodes {
		if err := c.seesAll(ctx, n, nodes); err != nil {
			return n, err
		}
	}
	return nil, nil
}

// strangerError says that somebody else is where a node of the lab should be:
// waiting does not help.
type strangerError struct{ error }

// serves asks the node as an operator and as a client, and is told its host id.
func (c *command) serves(ctx context.Context, n *upNode) (string, error) {
	ready, err := c.env.Dial(n.at.admin()).Ready(ctx)
	if err != nil {
		return "", fmt.Errorf("it does not serve yet: %w", err)
	}
	if ready.PID != n.process.PID {
		return "", strangerError{fmt.Errorf("the node at %s is process %d, not %d", n.at.admin(), ready.PID, n.process.PID)}
	}
	if err := askCQL(ctx, n.at.cql()); err != nil {
		return "", fmt.Errorf("it does not serve clients yet: %w", err)
	}
	return ready.HostID, nil
}

// seesAll asks a node whether it sees the others up.
func (c *command) seesAll(ctx context.Context, n *upNode, nodes []*upNode) error {
	if len(nodes) == 1 {
		return nil
	}
	ring, err := c.env.Dial(n.at.admin()).Status(ctx, "")
	if err != nil {
		return fmt.Errorf("it does not tell whom it sees: %w", err)
	}
	seen := map[string]report.Liveness{}
	for _, m := range ring.Members {
		seen[m.HostID] = m.Liveness
	}
	for _, other := range nodes {
		switch seen[other.hostID] {
		case report.Up:
		case "":
			return fmt.Errorf("it does not know node %d (%s)", other.number, other.at.storage())
		default:
			return fmt.Errorf("it sees node %d (%s) %s", other.number, other.at.storage(), seen[other.hostID])
		}
	}
	return nil
}

// gone is the error of a node whose process has ended.
func (n *upNode) gone() error {
	how := "by itself"
	select {
	case err := <-n.fate:
		if err != nil {
			how = err.Error()
		}
	default:
		if n.process.alive() {
			return nil
		}
	}
	return errors.Join(n.ended(how), n.forget())
}

// askCQL sends OPTIONS, which every client begins with, and wants SUPPORTED
// (native protocol v4, sections 2 and 4).
func askCQL(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	const opOptions, opSupported = 0x05, 0x06
	if _, err := conn.Write([]byte{0x04, 0, 0, 0, opOptions, 0, 0, 0, 0}); err != nil {
		return err
	}
	var header [9]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return err
	}
	if header[4] != opSupported {
		return fmt.Errorf("%s answers OPTIONS with opcode %#x", address, header[4])
	}
	return nil
}
