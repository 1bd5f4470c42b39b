package ctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// upPoll is how often a starting or ending node is looked at.
const upPoll = 50 * time.Millisecond

// labDir is where a lab is when nothing else is said.
const labDir = ".lab"

// logTailLines is how much of the log explains a failed start.
const logTailLines = 15

// upFlags are what up and down are told.
type upFlags struct {
	dir         string
	node        int // 0: all
	timeout     time.Duration
	agent       string
	nodes       int
	racks       int
	datacenters int
	cqlPort     int
	storagePort int
	ports       bool
	dryRun      bool
	given       *pflag.FlagSet // tells which of them were
}

func (c *command) up() *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use: "up", Short: "Start a lab: one node or several on this machine, in the background",
		Long: `Start a lab: nodes on this machine that are one cluster, in the background.

A new lab has --nodes nodes at 127.0.0.1, 127.0.0.2 and so on (--host moves the
first one), all at the same ports; on a machine that has only 127.0.0.1, or with
--ports, they are at that address with ports of their own. They stand in
--datacenters datacenters with --racks racks each, as even as can be. Each has a
folder in --dir with its configuration, data and log.

In a lab that is there already, up starts what is not running, and with a
greater --nodes adds nodes. It returns when all that run serve clients and see
each other up.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runUp(cmd.Context(), f) },
	}
	f.register(cmd, "start this node only, of a lab that is there")
	flags := cmd.Flags()
	flags.StringVar(&f.agent, "agent", "", "the helenus-agent to start (default: the one beside ctl, else in PATH)")
	flags.IntVar(&f.nodes, "nodes", 1, "how many nodes")
	flags.IntVar(&f.racks, "racks", 3, "how many racks in each datacenter")
	flags.IntVar(&f.datacenters, "datacenters", 1, "how many datacenters")
	flags.IntVar(&f.cqlPort, "cql-port", 9042, "port for clients, of a new lab")
	flags.IntVar(&f.storagePort, "storage-port", 7000, "port for other nodes, of a new lab")
	flags.BoolVar(&f.ports, "ports", false, "give new nodes ports of their own instead of addresses")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be started, and do nothing")
	return cmd
}

func (f *upFlags) register(cmd *cobra.Command, node string) {
	f.given = cmd.Flags()
	cmd.Flags().StringVar(&f.dir, "dir", labDir, "folder of the lab")
	cmd.Flags().IntVar(&f.node, "node", 0, node)
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait")
}

func (c *command) runUp(ctx context.Context, f *upFlags) error {
	l := lab{f.dir}
	if err := f.check(l); err != nil {
		return err
	}
	if !f.dryRun {
		unlock, err := l.open()
		if err != nil {
			return err
		}
		defer unlock()
	}
	nodes, err := c.planUp(l, f)
	if err != nil {
		return err
	}
	agent, err := c.findAgent(f.agent)
	if err != nil {
		return err
	}
	if f.dryRun {
		return c.showUp(l, nodes, true)
	}
	for _, n := range nodes {
		if n.config == nil {
			continue
		}
		if n.config.key != "" {
			if err := l.makeKey(); err != nil {
				return err
			}
		}
		if err := n.write(*n.config); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	for _, n := range nodes {
		if n.wanted && !n.already {
			if err := n.launch(agent); err != nil {
				return c.halfUp(l, nodes, err)
			}
		}
	}
	if err := c.awaitUp(ctx, nodes); err != nil {
		return c.halfUp(l, nodes, err)
	}
	return c.showUp(l, nodes, false)
}

// halfUp adds to an error what runs all the same, and what to do.
func (c *command) halfUp(l lab, nodes []*upNode, err error) error {
	var running []string
	for _, n := range nodes {
		if n.process.alive() {
			running = append(running, fmt.Sprint(n.number))
		}
	}
	if len(running) == 0 {
		return err
	}
	return fmt.Errorf("%w\nStill running: node %s. %[3]s up%[4]s goes on from here, %[3]s down%[4]s ends it", err, strings.Join(running, ", "), c.env.Name, l.flag())
}

// launch starts the agent in a session of its own, so that it outlives the
// terminal.
func (n *upNode) launch(agent string) error {
	logFile, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of node %d: %w", n.number, err)
	}
	defer logFile.Close()
	cmd := exec.Command(agent, "--config", n.configFile())
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", n.number, err)
	}
	n.fate = make(chan error, 1)
	n.process, err = n.remember(cmd.Process.Pid)
	go func() { n.fate <- cmd.Wait() }()
	return err
}

// findAgent is the agent that was named, or the one beside this program, or
// the one in PATH.
func (c *command) findAgent(named string) (string, error) {
	const program = "helenus-agent"
	if named != "" {
		found, err := exec.LookPath(named)
		if err != nil {
			return "", blocked("--agent %s: %v", named, errors.Unwrap(err))
		}
		return found, nil
	}
	beside := filepath.Join(filepath.Dir(c.env.Exe), program)
	if exists(beside) {
		return beside, nil
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", blocked("no %s beside %s nor in PATH; name one with --agent", program, c.env.Exe)
	}
	return found, nil
}
