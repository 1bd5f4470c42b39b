package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helenus/internal/report"
)

// upPoll is how often a starting or ending node is looked at.
const upPoll = 50 * time.Millisecond

// labDir is where a lab is when nothing else is said.
const labDir = ".lab"

// logTailLines is how much of the log explains a failed start.
const logTailLines = 15

// upFlags are what up and down are told.
type upFlags struct {
	dir     string
	agent   string
	nodes   int
	cqlPort int
	timeout time.Duration
	flags   *pflag.FlagSet // which of them were given
}

func (c *command) up() *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use: "up", Short: "Start a node on this machine, in the background",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runUp(cmd.Context(), f) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.agent, "agent", "", "the helenus-agent to start (default: the one beside ctl, else in PATH)")
	cmd.Flags().IntVar(&f.nodes, "nodes", 1, "how many nodes")
	cmd.Flags().IntVar(&f.cqlPort, "cql-port", 9042, "port for clients, of a new lab")
	return cmd
}

func (f *upFlags) register(cmd *cobra.Command) {
	f.flags = cmd.Flags()
	cmd.Flags().StringVar(&f.dir, "dir", labDir, "folder of the lab")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait")
}

func (c *command) runUp(ctx context.Context, f *upFlags) error {
	if f.nodes != 1 {
		return badUse("not supported yet: a lab of %d nodes", f.nodes)
	}
	l := lab{f.dir}
	unlock, err := l.open()
	if err != nil {
		return err
	}
	defer unlock()
	at, err := l.configure(addresses{CQLHost: "127.0.0.1", CQLPort: f.cqlPort, AdminHost: c.host, AdminPort: c.port})
	if err != nil {
		return err
	}
	if err := f.agrees(l, at, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	p, alive, err := l.running()
	if err != nil {
		return err
	}
	word := "is up already"
	ended := make(chan error, 1)
	if !alive {
		word = "is up"
		if p, err = c.launch(l, f, at, ended); err != nil {
			return err
		}
	}
	if err := c.awaitReady(ctx, l, p, at, ended); err != nil {
		return err
	}
	return c.show(labReport{State: "up", Already: alive, PID: p.PID, CQLAddress: at.cql(), AdminAddress: at.admin(), Dir: l.dir, Log: l.logFile()},
		func(w io.Writer) { c.greet(w, l, p, at, word) })
}

// labReport is what programs are told of a lab.
type labReport struct {
	State        string `json:"state"`
	Already      bool   `json:"already"` // nothing had to be done
	PID          int    `json:"pid,omitempty"`
	CQLAddress   string `json:"cql_address,omitempty"`
	AdminAddress string `json:"admin_address,omitempty"`
	Dir          string `json:"dir"`
	Log          string `json:"log,omitempty"`
}

// agrees refuses ports on the command line that an older configuration of the
// lab would silently win over.
func (f *upFlags) agrees(l lab, at addresses, c *command) error {
	for _, p := range []struct {
		flag        string
		given, said int
	}{{"cql-port", f.cqlPort, at.CQLPort}, {"port", c.port, at.AdminPort}} {
		if f.flags.Changed(p.flag) && p.given != p.said {
			return blocked("%s says port %d, --%s says %d: change it there, or take another --dir", l.configFile(), p.said, p.flag, p.given)
		}
	}
	return nil
}

// launch starts the agent in a session of its own, so that it outlives the
// terminal. ended gets its fate while this command waits.
func (c *command) launch(l lab, f *upFlags, at addresses, ended chan<- error) (process, error) {
	agent, err := c.findAgent(f.agent)
	if err != nil {
		return process{}, err
	}
	if err := at.free(); err != nil {
		return process{}, err
	}
	logFile, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return process{}, fmt.Errorf("open the agent's log: %w", err)
	}
	defer logFile.Close()
	cmd := exec.Command(agent, "--config", l.configFile())
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return process{}, fmt.Errorf("start the agent: %w", err)
	}
	p, err := l.remember(cmd.Process.Pid)
	go func() { ended <- cmd.Wait() }()
	return p, err
}

// findAgent is the agent that was named, or the one beside this program, or
// the one in PATH.
func (c *command) findAgent(named string) (string, error) {
	if named != "" {
		return exec.LookPath(named)
	}
	const program = "helenus-agent"
	beside := filepath.Join(filepath.Dir(c.env.Exe), program)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", blocked("no %s beside %s nor in PATH; name one with --agent", program, c.env.Exe)
	}
	return found, nil
}

// awaitReady waits until the node answers operators and clients.
func (c *command) awaitReady(ctx context.Context, l lab, p process, at addresses, ended <-chan error) error {
	n := c.env.Dial(at.admin())
	ticker := time.NewTicker(upPoll)
	defer ticker.Stop()
	for {
		ready, err := n.Ready(ctx)
		if err == nil && ready.PID != p.PID {
			return fmt.Errorf("the node at %s is process %d, not %d", at.admin(), ready.PID, p.PID)
		}
		if err == nil {
			if err = askCQL(ctx, at.cql()); err == nil {
				return nil
			}
		}
		select {
		case fate := <-ended:
			if err := os.Remove(l.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("the agent ended: %w", err)
			}
			how := "by itself"
			if fate != nil {
				how = fate.Error()
			}
			return fmt.Errorf("the agent ended: %s; the end of %s:\n%s", how, l.logFile(), l.logTail(logTailLines))
		case <-ctx.Done():
			return fmt.Errorf("process %d does not serve yet (%w); see %s", p.PID, err, l.logFile())
		case <-ticker.C:
		}
		if !p.alive() {
			return fmt.Errorf("the agent ended; the end of %s:\n%s", l.logFile(), l.logTail(logTailLines))
		}
	}
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

func (c *command) greet(w io.Writer, l lab, p process, at addresses, word string) {
	pointer, place := "", ""
	if at.AdminHost != "127.0.0.1" {
		pointer += " -h " + at.AdminHost
	}
	if at.AdminPort != 7199 {
		pointer += fmt.Sprintf(" -p %d", at.AdminPort)
	}
	if l.dir != labDir {
		place = " --dir " + l.dir
	}
	fmt.Fprintf(w, `Helenus %s: process %d, log %s

  clients    %s
  operators  %s

Try:
  cqlsh %s %d
  %[9]s%[8]s status
  %[9]s%[8]s info
End it with %[9]s down%[10]s; its data stays in %[11]s.
`, word, p.PID, l.logFile(), at.cql(), at.admin(), at.CQLHost, at.CQLPort, pointer, c.env.Name, place, l.dir)
}

func (c *command) down() *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use: "down", Short: "End the node that up started",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runDown(cmd.Context(), f) },
	}
	f.register(cmd)
	return cmd
}

func (c *command) runDown(ctx context.Context, f *upFlags) error {
	l := lab{f.dir}
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		return c.sayDown(l, true, fmt.Sprintf("There is no lab in %s.", l.dir))
	}
	unlock, err := l.open()
	if err != nil {
		return err
	}
	defer unlock()
	p, alive, err := l.running()
	if err != nil {
		return err
	}
	if alive {
		if err := p.end(ctx, f.timeout); err != nil {
			return fmt.Errorf("%w; see %s", err, l.logFile())
		}
	}
	if err := os.Remove(l.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the process: %w", err)
	}
	if !alive {
		return c.sayDown(l, true, "Helenus is not running.")
	}
	return c.sayDown(l, false, fmt.Sprintf("Helenus is down; its data stays in %s.", l.dir))
}

func (c *command) sayDown(l lab, already bool, text string) error {
	return c.show(labReport{State: "down", Already: already, Dir: l.dir}, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// end asks the process to end and waits until it has. It never kills: an agent
// that takes long is flushing.
func (p process) end(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end process %d: %w", p.PID, err)
	}
	ticker := time.NewTicker(upPoll)
	defer ticker.Stop()
	for p.alive() {
		select {
		case <-ctx.Done():
			return report.Errorf(report.Timeout, "process %d still runs after %s", p.PID, timeout)
		case <-ticker.C:
		}
	}
	return nil
}
