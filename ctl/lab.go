package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"helenus/internal/yaml"
)

// lab is a folder with one node: its configuration, data, log and process.
type lab struct{ dir string }

func (l lab) configFile() string { return filepath.Join(l.dir, "helenus.yaml") }
func (l lab) logFile() string    { return filepath.Join(l.dir, "agent.log") }
func (l lab) pidFile() string    { return filepath.Join(l.dir, "agent.pid") }

// addresses are where a lab's node listens.
type addresses struct {
	CQLHost   string
	CQLPort   int
	AdminHost string
	AdminPort int
}

func (a addresses) cql() string   { return net.JoinHostPort(a.CQLHost, strconv.Itoa(a.CQLPort)) }
func (a addresses) admin() string { return net.JoinHostPort(a.AdminHost, strconv.Itoa(a.AdminPort)) }

// free finds out whether a node could listen there.
func (a addresses) free() error {
	for _, door := range []struct {
		what, address string
		port          int
	}{{"CQL", a.cql(), a.CQLPort}, {"admin API", a.admin(), a.AdminPort}} {
		if door.port < 1 || door.port > 65535 {
			return badUse("%s: %d is not a port, which is 1 to 65535", door.what, door.port)
		}
		if err := freePort(door.what, door.address); err != nil {
			return err
		}
	}
	return nil
}

// open makes the folder, and takes the lock that keeps two commands apart.
func (l lab) open() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, blocked("make the lab: %v", err)
	}
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, blocked("lock the lab: %v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, blocked("another ctl is at work in %s", l.dir)
	}
	return func() { f.Close() }, nil
}

// configure writes the configuration if there is none, and reads from it where
// the node listens.
func (l lab) configure(wanted addresses) (addresses, error) {
	text, err := os.ReadFile(l.configFile())
	if errors.Is(err, fs.ErrNotExist) {
		// What is written here wins over flags from then on: so only what can be.
		if err := wanted.free(); err != nil {
			return addresses{}, err
		}
		text = []byte(l.config(wanted))
		err = os.WriteFile(l.configFile(), text, 0o644)
	}
	if err != nil {
		return addresses{}, fmt.Errorf("configure the lab: %w", err)
	}
	got := addresses{CQLHost: "localhost", CQLPort: 9042, AdminHost: "127.0.0.1", AdminPort: 7199}
	root, err := yaml.Parse(text)
	if err != nil {
		return got, blocked("%s: %v", l.configFile(), err)
	}
	entries, err := root.Entries()
	if err != nil {
		return got, blocked("%s: %v", l.configFile(), err)
	}
	for _, e := range entries {
		value, _ := e.Value.Scalar()
		switch e.Key {
		case "rpc_address":
			got.CQLHost = value
		case "admin_address":
			got.AdminHost = value
		case "native_transport_port":
			got.CQLPort, err = strconv.Atoi(value)
		case "admin_port":
			got.AdminPort, err = strconv.Atoi(value)
		}
		if err != nil {
			return got, blocked("%s:%d: %s is not a port", l.configFile(), e.Line, value)
		}
	}
	return got, nil
}

// config is the text of a new configuration.
func (l lab) config(a addresses) string {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		dir = l.dir
	}
	quote := func(parts ...string) string { return strconv.Quote(filepath.Join(append([]string{dir}, parts...)...)) }
	return fmt.Sprintf(`# One node on this machine, made by ctl up. Every key of cassandra.yaml may stand here.
cluster_name: lab
data_file_directories: [%s]
commitlog_directory: %s
listen_address: 127.0.0.1
rpc_address: %s
native_transport_port: %d
admin_address: %s
admin_port: %d
`, quote("data"), quote("commitlog"), a.CQLHost, a.CQLPort, a.AdminHost, a.AdminPort)
}

// process is a running agent. Started tells it from another process that got
// the same id later.
type process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// running finds the lab's process, if it lives.
func (l lab) running() (process, bool, error) {
	var p process
	text, err := os.ReadFile(l.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, false, fmt.Errorf("%s: %w", l.pidFile(), err)
	}
	return p, p.alive(), nil
}

// alive tells whether the process still runs, and is still the same.
func (p process) alive() bool {
	started, err := processStart(p.PID)
	return err == nil && started == p.Started
}

// remember writes the process down.
func (l lab) remember(pid int) (process, error) {
	started, err := processStart(pid)
	if err != nil {
		return process{}, fmt.Errorf("the agent ended at once; the end of %s:\n%s", l.logFile(), l.logTail(logTailLines))
	}
	p := process{pid, started}
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(l.pidFile(), text, 0o644)
	}
	if err != nil {
		return p, fmt.Errorf("write %s: %w", l.pidFile(), err)
	}
	return p, nil
}

// logTail is the end of the agent's log.
func (l lab) logTail(linesMax int) string {
	text, err := os.ReadFile(l.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-linesMax):], "\n")
}

// freePort finds out whether an address can be listened on, and if not, who
// does.
func freePort(what, address string) error {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		return ln.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return blocked("%s cannot listen on %s: %v", what, address, err)
	}
	owner := ""
	if at, err := net.ResolveTCPAddr("tcp", address); err == nil {
		at := at.AddrPort()
		owner = portOwner(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
	}
	return blocked("%s: %s is taken%s", what, address, owner)
}
