package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

func (c *command) down() *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use: "down", Short: "End the nodes that up started, or kill one of them",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runDown(cmd.Context(), f) },
	}
	f.register(cmd, "kill this node as kill -9 does; up --node starts it again")
	return cmd
}

func (c *command) runDown(ctx context.Context, f *upFlags) error {
	l := lab{f.dir}
	if err := f.checkLab(l); err != nil {
		return err
	}
	if !exists(l.dir) {
		return c.sayDown(l, nil, fmt.Sprintf("There is no lab in %s.", l.dir))
	}
	unlock, err := l.open()
	if err != nil {
		return err
	}
	defer unlock()
	there, err := l.nodes()
	if err != nil {
		return err
	}
	if f.given.Changed("node") {
		if err := f.checkNode(l, len(there)); err != nil {
			return err
		}
	}
	var nodes, ending []*upNode
	for _, n := range there {
		if f.node != 0 && f.node != n.number {
			continue
		}
		one, err := present(n)
		if err != nil {
			return err
		}
		nodes = append(nodes, one)
		if one.already {
			ending = append(ending, one)
		}
	}
	signal := syscall.SIGTERM
	if f.node != 0 {
		signal = syscall.SIGKILL
	}
	if err := end(ctx, ending, signal, f.timeout); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.forget(); err != nil {
			return err
		}
	}
	return c.sayDown(l, nodes, c.farewell(f, l, len(ending)))
}

func (c *command) farewell(f *upFlags, l lab, ended int) string {
	switch {
	case f.node != 0 && ended == 0:
		return fmt.Sprintf("Node %d is not running.", f.node)
	case f.node != 0:
		return fmt.Sprintf("Node %d is killed; %s up --node %d%s starts it again.", f.node, c.env.Name, f.node, l.flag())
	case ended == 0:
		return "Helenus is not running."
	}
	return fmt.Sprintf("Helenus is down; its data stays in %s.", l.dir)
}

func (c *command) sayDown(l lab, nodes []*upNode, text string) error {
	out := labReport{State: "down", Already: true, Dir: l.dir, Nodes: []labNodeReport{}}
	for _, n := range nodes {
		one := n.report("down")
		one.PID, one.Already = 0, !n.already
		out.Already = out.Already && one.Already
		out.Nodes = append(out.Nodes, one)
	}
	return c.show(out, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// end sends all processes a signal and waits until they have ended. It never
// kills one that was only asked: an agent that takes long is flushing.
func end(ctx context.Context, nodes []*upNode, signal syscall.Signal, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, n := range nodes {
		if err := syscall.Kill(n.process.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end node %d, process %d: %w", n.number, n.process.PID, err)
		}
	}
	ticker := time.NewTicker(upPoll)
	defer ticker.Stop()
	for {
		var left []string
		for _, n := range nodes {
			if n.process.alive() {
				left = append(left, fmt.Sprintf("process %d of node %d still runs after %s; see %s", n.process.PID, n.number, timeout, n.logFile()))
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return report.Errorf(report.Timeout, "%s", strings.Join(left, "\n"))
		case <-ticker.C:
		}
	}
}
