package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// HostsMax is how many hosts a network may have.
const HostsMax = 250

// Network is a bridge with hosts. Its methods are for one goroutine at a time;
// those of its hosts may be called from many.
type Network struct {
	Hosts  []*Host
	bridge *os.File
}

// Host is a namespace with the loopback address and one address that the other
// hosts reach.
type Host struct {
	Address netip.Addr
	ns      *os.File
	mac     net.HardwareAddr
	port    int // its interface's number
}

// void is the address of no interface. What is sent to it is lost without a
// word, and the sender is not told.
var void = net.HardwareAddr{2, 0, 0, 0, 0xff, 0xff}

// New makes a network of n hosts. The error says what this machine lacks.
func New(n int) (*Network, error) {
	if n > HostsMax {
		return nil, fmt.Errorf("netns: %d hosts, at most %d", n, HostsMax)
	}
	net := &Network{}
	if err := net.build(n); err != nil {
		net.Close()
		return nil, fmt.Errorf("netns: %w", err)
	}
	return net, nil
}

func (n *Network) build(hosts int) error {
	var err error
	if n.bridge, err = newNamespace(); err != nil {
		return err
	}
	var bridge int
	err = enter(n.bridge, func() error {
		bridge, err = addBridge("bridge")
		return err
	})
	if err != nil {
		return err
	}
	for i := range hosts {
		h := &Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), mac: net.HardwareAddr{2, 0, 0, 0, 0, byte(i + 1)}}
		if h.ns, err = newNamespace(); err != nil {
			return err
		}
		n.Hosts = append(n.Hosts, h)
		if err := enter(n.bridge, func() error { return addCable(fmt.Sprintf("host%d", i+1), bridge, h) }); err != nil {
			return err
		}
		if err := enter(h.ns, h.configure); err != nil {
			return err
		}
	}
	for _, a := range n.Hosts {
		for _, b := range n.Hosts {
			if err := n.Pass(a, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// newNamespace makes a namespace that lives as long as the file, or a process
// in it.
func newNamespace() (*os.File, error) {
	type made struct {
		ns  *os.File
		err error
	}
	done := make(chan made, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with its goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{nil, fmt.Errorf("make a network namespace (root may): %w", err)}
			return
		}
		ns, err := os.Open("/proc/thread-self/ns/net")
		done <- made{ns, err}
	}()
	m := <-done
	return m.ns, m.err
}

// enter runs f on a thread that is in the namespace: sockets that f opens and
// processes that it starts are there.
func enter(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // a thread that cannot go home ends instead
		}
		done <- err
	}()
	return <-done
}

// configure gives the host its address, and the machine's ways of looking for
// others nothing to do: a host that is cut off is not missed, it is silent.
func (h *Host) configure() error {
	i, err := net.InterfaceByName(portName)
	if err != nil {
		return err
	}
	h.port = i.Index
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	if err := nl.setUp(loopback); err != nil {
		return err
	}
	if err := nl.setUp(h.port); err != nil {
		return err
	}
	return nl.addAddress(h.port, h.Address)
}

// Pass lets packets of one host through to another, as they are from the
// beginning.
func (n *Network) Pass(from, to *Host) error { return from.send(to, to.mac) }

// Lose loses what one host sends to another from now on, silently.
func (n *Network) Lose(from, to *Host) error { return from.send(to, void) }

func (h *Host) send(to *Host, mac net.HardwareAddr) error {
	if h == to {
		return nil
	}
	return enter(h.ns, func() error {
		nl, err := openNetlink()
		if err != nil {
			return err
		}
		defer nl.close()
		return nl.setNeighbor(h.port, to.Address, mac)
	})
}

// Cut loses everything between the given hosts and all others, both ways.
func (n *Network) Cut(hosts ...*Host) error { return n.around(hosts, n.Lose) }

// Join undoes Cut of the same hosts.
func (n *Network) Join(hosts ...*Host) error { return n.around(hosts, n.Pass) }

func (n *Network) around(hosts []*Host, do func(from, to *Host) error) error {
	for _, a := range hosts {
		for _, b := range n.Hosts {
			if slices.Contains(hosts, b) {
				continue
			}
			if err := do(a, b); err != nil {
				return err
			}
			if err := do(b, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start starts a process in the host, and ends it with this one.
func (h *Host) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return enter(h.ns, cmd.Start)
}

// Dial connects from the host to a numeric address.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = enter(h.ns, func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Close lets go of the namespaces: they end when no process is in them.
func (n *Network) Close() {
	for _, h := range n.Hosts {
		_ = h.ns.Close() // only read from
	}
	if n.bridge != nil {
		_ = n.bridge.Close() // only read from
	}
}
