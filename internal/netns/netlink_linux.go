package netns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The names and numbers of interfaces in a host.
const (
	portName = "port"
	loopback = 1
	infoPeer = 1 // VETH_INFO_PEER
)

// netlink asks the kernel to change the network of the namespace in which it was
// opened (rtnetlink(7)).
type netlink struct {
	fd  int
	seq uint32
}

func openNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &netlink{fd: fd}, nil
}

func (n *netlink) close() { _ = unix.Close(n.fd) }

// do sends one request and waits for the kernel's word on it.
func (n *netlink) do(what string, kind, flags uint16, head any, attributes []byte) error {
	n.seq++
	body := append(encode(head), attributes...)
	msg := encode(unix.NlMsghdr{Len: uint32(unix.SizeofNlMsghdr + len(body)), Type: kind, Flags: flags | unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: n.seq})
	if err := unix.Sendto(n.fd, append(msg, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: %s: %w", what, err)
	}
	var answer [4096]byte
	size, _, err := unix.Recvfrom(n.fd, answer[:], 0)
	if err != nil {
		return fmt.Errorf("netlink: %s: %w", what, err)
	}
	if size < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("netlink: %s: an answer of %d bytes that is none", what, size)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return fmt.Errorf("netlink: %s: %w", what, unix.Errno(errno))
	}
	return nil
}

// encode lays a struct out as the kernel does.
func encode(v any) []byte {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		panic(err) // not a struct of fixed size
	}
	return b
}

// attribute is one value with its length and kind, padded.
func attribute(kind uint16, parts ...[]byte) []byte {
	var value []byte
	for _, p := range parts {
		value = append(value, p...)
	}
	b := append(encode(unix.RtAttr{Len: uint16(unix.SizeofRtAttr + len(value)), Type: kind}), value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func text(s string) []byte { return append([]byte(s), 0) }

func number(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// up is an interface that is to be switched on.
func up(index int) unix.IfInfomsg {
	return unix.IfInfomsg{Index: int32(index), Flags: unix.IFF_UP, Change: unix.IFF_UP}
}

func (n *netlink) setUp(index int) error {
	return n.do("switch an interface on", unix.RTM_NEWLINK, 0, up(index), nil)
}

// addBridge makes a bridge in the namespace of this thread.
func addBridge(name string) (index int, err error) {
	n, err := openNetlink()
	if err != nil {
		return 0, err
	}
	defer n.close()
	kind := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, text("bridge")))
	if err := n.do("make a bridge", unix.RTM_NEWLINK, create, up(0), append(attribute(unix.IFLA_IFNAME, text(name)), kind...)); err != nil {
		return 0, err
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}

// addCable lays a cable from the bridge, in the namespace of this thread, to a
// host.
func addCable(name string, bridge int, h *Host) error {
	n, err := openNetlink()
	if err != nil {
		return err
	}
	defer n.close()
	peer := attribute(infoPeer, encode(unix.IfInfomsg{}), attribute(unix.IFLA_IFNAME, text(portName)),
		attribute(unix.IFLA_ADDRESS, h.mac), attribute(unix.IFLA_NET_NS_FD, number(int(h.ns.Fd()))))
	info := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, text("veth")), attribute(unix.IFLA_INFO_DATA, peer))
	return n.do("lay a cable", unix.RTM_NEWLINK, create, up(0),
		append(append(attribute(unix.IFLA_IFNAME, text(name)), attribute(unix.IFLA_MASTER, number(bridge))...), info...))
}

func (n *netlink) addAddress(index int, a netip.Addr) error {
	head := unix.IfAddrmsg{Family: unix.AF_INET, Prefixlen: 24, Index: uint32(index)}
	return n.do("give an address", unix.RTM_NEWADDR, create, head,
		append(attribute(unix.IFA_LOCAL, a.AsSlice()), attribute(unix.IFA_ADDRESS, a.AsSlice())...))
}

// setNeighbor says to which interface packets for an address go. The kernel
// believes it for good and asks nobody.
func (n *netlink) setNeighbor(index int, a netip.Addr, mac net.HardwareAddr) error {
	head := unix.NdMsg{Family: unix.AF_INET, Ifindex: int32(index), State: unix.NUD_PERMANENT}
	return n.do("set a neighbor", unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, head,
		append(attribute(unix.NDA_DST, a.AsSlice()), attribute(unix.NDA_LLADDR, mac)...))
}
