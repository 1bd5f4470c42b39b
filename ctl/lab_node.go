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

// labNode is a folder with one node: its configuration, data, log and process.
type labNode struct {
	number int
	dir    string
}

func (n labNode) configFile() string { return filepath.Join(n.dir, "helenus.yaml") }
func (n labNode) placeFile() string  { return filepath.Join(n.dir, "cassandra-rackdc.properties") }
func (n labNode) logFile() string    { return filepath.Join(n.dir, "agent.log") }
func (n labNode) pidFile() string    { return filepath.Join(n.dir, "agent.pid") }

// addresses are where a node listens.
type addresses struct {
	Host        string // for other nodes
	StoragePort int
	CQLHost     string
	CQLPort     int
	AdminHost   string
	AdminPort   int
}

func (a addresses) storage() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.StoragePort)) }
func (a addresses) cql() string     { return net.JoinHostPort(a.CQLHost, strconv.Itoa(a.CQLPort)) }
func (a addresses) admin() string   { return net.JoinHostPort(a.AdminHost, strconv.Itoa(a.AdminPort)) }

// free finds out whether a node could listen there; every door in the way is told.
func (a addresses) free() error {
	var errs []error
	for _, door := range []struct {
		what, address string
		port          int
	}{{"CQL", a.cql(), a.CQLPort}, {"other nodes", a.storage(), a.StoragePort}, {"admin API", a.admin(), a.AdminPort}} {
		if door.port < 1 || door.port > 65535 {
			return badUse("%s: %d is not a port, which is 1 to 65535", door.what, door.port)
		}
		if err := freePort(door.what, door.address); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// configuration is a node's, to be written.
type configuration struct {
	at    addresses
	seed  string // of node 1, which founds the cluster
	place place
	key   string // the file with the key of gossip; empty: there is none
	// shared tells that other nodes are on this machine, so that none may plan
	// with half of its memory.
	shared bool
}

// write makes the node's folder. The configuration comes last: what has one is
// a node.
func (n labNode) write(c configuration) error {
	err := os.MkdirAll(n.dir, 0o755)
	if err == nil {
		text := fmt.Sprintf("# Where this node stands. It cannot change once the node has joined.\ndc=%s\nrack=%s\n", c.place.datacenter, c.place.rack)
		err = os.WriteFile(n.placeFile(), []byte(text), 0o644)
	}
	if err == nil {
		err = os.WriteFile(n.configFile(), []byte(n.config(c)), 0o644)
	}
	if err != nil {
		return fmt.Errorf("configure node %d: %w", n.number, err)
	}
	return nil
}

// config is the text of a new configuration.
func (n labNode) config(c configuration) string {
	dir, err := filepath.Abs(n.dir)
	if err != nil {
		dir = n.dir
	}
	quote := func(name string) string { return strconv.Quote(filepath.Join(dir, name)) }
	text := fmt.Sprintf(`# Node %d of a lab on this machine, made by ctl up. Every key of cassandra.yaml may stand here.
cluster_name: lab
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: %q
endpoint_snitch: GossipingPropertyFileSnitch
data_file_directories: [%s]
commitlog_directory: %s
hints_directory: %s
listen_address: %s
storage_port: %d
rpc_address: %s
native_transport_port: %d
admin_address: %s
admin_port: %d
`, n.number, c.seed, quote("data"), quote("commitlog"), quote("hints"), c.at.Host, c.at.StoragePort,
		c.at.CQLHost, c.at.CQLPort, c.at.AdminHost, c.at.AdminPort)
	if c.key != "" {
		if key, err := filepath.Abs(c.key); err == nil {
			c.key = key
		}
		text += fmt.Sprintf("gossip_key_file: %q\n", c.key)
	}
	if c.shared {
		text += "memory_limit: 1GiB\n"
	}
	return text
}

// read finds out from the configuration where the node listens.
func (n labNode) read() (addresses, error) {
	got := addresses{Host: "127.0.0.1", StoragePort: 7000, CQLHost: "127.0.0.1", CQLPort: 9042, AdminHost: "127.0.0.1", AdminPort: 7199}
	text, err := os.ReadFile(n.configFile())
	if err != nil {
		return got, fmt.Errorf("read the configuration of node %d: %w", n.number, err)
	}
	root, err := yaml.Parse(text)
	if err != nil {
		return got, blocked("%s: %v", n.configFile(), err)
	}
	entries, err := root.Entries()
	if err != nil {
		return got, blocked("%s: %v", n.configFile(), err)
	}
	hosts := map[string]*string{"listen_address": &got.Host, "rpc_address": &got.CQLHost, "admin_address": &got.AdminHost}
	ports := map[string]*int{"storage_port": &got.StoragePort, "native_transport_port": &got.CQLPort, "admin_port": &got.AdminPort}
	for _, e := range entries {
		value, _ := e.Value.Scalar()
		if host := hosts[e.Key]; host != nil {
			*host = value
		}
		if port := ports[e.Key]; port != nil {
			if *port, err = strconv.Atoi(value); err != nil {
				return got, blocked("%s:%d: %s is not a port", n.configFile(), e.Line, value)
			}
		}
	}
	return got, nil
}

// readPlace finds out where the node stands.
func (n labNode) readPlace() (place, error) {
	// A node of the old form says nothing, and is where nodes are by default.
	p := place{"datacenter1", "rack1"}
	text, err := os.ReadFile(n.placeFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("read the place of node %d: %w", n.number, err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "dc":
			p.datacenter = strings.TrimSpace(value)
		case "rack":
			p.rack = strings.TrimSpace(value)
		}
	}
	return p, nil
}

// process is a running agent. Started tells it from another process that got
// the same id later.
type process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// running finds the node's process, if it lives.
func (n labNode) running() (process, bool, error) {
	var p process
	text, err := os.ReadFile(n.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, false, fmt.Errorf("%s: %w", n.pidFile(), err)
	}
	return p, p.alive(), nil
}

// alive tells whether the process still runs, and is still the same.
func (p process) alive() bool {
	started, err := processStart(p.PID)
	return err == nil && started == p.Started
}

// remember writes the process down.
func (n labNode) remember(pid int) (process, error) {
	started, err := processStart(pid)
	if err != nil {
		return process{}, n.ended("at once")
	}
	p := process{pid, started}
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(n.pidFile(), text, 0o644)
	}
	if err != nil {
		return p, fmt.Errorf("write %s: %w", n.pidFile(), err)
	}
	return p, nil
}

// forget removes what remember wrote.
func (n labNode) forget() error {
	if err := os.Remove(n.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the process: %w", err)
	}
	return nil
}

// ended is the error of an agent that is gone, with the end of its log.
func (n labNode) ended(how string) error {
	return fmt.Errorf("node %d ended: %s; the end of %s:\n%s", n.number, how, n.logFile(), n.logTail(logTailLines))
}

// logTail is the end of the agent's log.
func (n labNode) logTail(linesMax int) string {
	text, err := os.ReadFile(n.logFile())
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
