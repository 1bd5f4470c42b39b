package agent

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// nearPatience bounds how long a local address is tried before the one that
	// is broadcast.
	nearPatience = time.Second
	// farTime is for how long a local address that could not be reached is not
	// tried again.
	farTime = time.Minute
)

// far are the addresses whose owners were not reached where they say they
// listen: the address is of another start, or leads nowhere from here.
type far struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time // by broadcast address; at most one entry a member
}

func (f *far) has(broadcast netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	until, ok := f.until[broadcast]
	if ok && !time.Now().Before(until) {
		delete(f.until, broadcast)
		return false
	}
	return ok
}

func (f *far) add(broadcast netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = make(map[netip.AddrPort]time.Time)
	}
	f.until[broadcast] = time.Now().Add(farTime)
}

// near is the network to other nodes. Everybody calls them by the addresses that
// they broadcast; where the snitch prefers local ones, members of this node's
// datacenter are reached where they listen, as long as that works: metadata may
// know where a node listened before its restart, and cannot be changed before
// members reach each other.
type near Agent

// Dial implements wire.Net and gossip.Net.
func (n *near) Dial(ctx context.Context, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return n.env.Net.Dial(ctx, address)
	}
	if local := n.local(at); local != at {
		c, err := n.dialLocal(ctx, local)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		n.far.add(at)
	}
	return n.env.Net.Dial(ctx, address)
}

func (n *near) dialLocal(ctx context.Context, local netip.AddrPort) (net.Conn, error) {
	patience := nearPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return n.env.Net.Dial(ctx, local.String())
}

// local is where a node is reached that broadcasts an address.
func (n *near) local(address netip.AddrPort) netip.AddrPort {
	if !n.place.PreferLocal() || n.far.has(address) {
		return address
	}
	for _, m := range n.cluster.State().Nodes {
		// This node's own entry may have an address that another machine has by now.
		if m.Broadcast == address && m.Datacenter == n.node.Datacenter && m.HostID != n.cluster.Self() {
			return m.Listen
		}
	}
	return address
}

// nearPackets are packets to and from other nodes, likewise.
type nearPackets struct {
	net.PacketConn
	near *near
}

// WriteTo implements net.PacketConn.
func (p *nearPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if udp, ok := to.(*net.UDPAddr); ok {
		at := udp.AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		if local := p.near.local(at); local != at {
			to = net.UDPAddrFromAddrPort(local)
		}
	}
	return p.PacketConn.WriteTo(b, to)
}
