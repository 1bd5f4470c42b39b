package agent

import (
	"context"
	"net"
	"net/netip"
)

// near is the network to other nodes. Everybody calls them by the addresses that
// they broadcast; where the snitch prefers local ones, members of this node's
// datacenter are reached where they listen.
type near Agent

// Dial implements wire.Net and gossip.Net.
func (n *near) Dial(ctx context.Context, address string) (net.Conn, error) {
	if at, err := netip.ParseAddrPort(address); err == nil {
		address = n.local(at).String()
	}
	return n.env.Net.Dial(ctx, address)
}

// local is where a node is reached that broadcasts an address.
func (n *near) local(address netip.AddrPort) netip.AddrPort {
	if !n.place.PreferLocal() {
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
