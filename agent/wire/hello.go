package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"

	"helenus"
)

// The first byte of a connection to the storage port says what it carries.
// memberlist's bytes are small numbers and 244.
const (
	FirstMessages byte = 0xC1
	FirstStream   byte = 0xC2
)

// The versions of the format that this release speaks.
const (
	versionMin = 1
	versionMax = 1
)

// ClusterID names a cluster. A node that is in none yet has the zero id.
type ClusterID [16]byte

func (c ClusterID) String() string { return helenus.HostID(c).String() }

// KeyID tells keys apart and does not tell them; zero: there is none.
type KeyID [8]byte

func (k KeyID) String() string {
	if k == (KeyID{}) {
		return "none"
	}
	return hex.EncodeToString(k[:])
}

// hello is what the asking side sends first.
type hello struct {
	min, max uint8
	lane     Lane
	lz4      bool
	feature  uint32
	cluster  ClusterID
	from     helenus.HostID
	to       helenus.HostID // zero: whoever is there
	key      KeyID          // of gossip
}

// status is what a hello is answered with.
type status uint8

const (
	statusWelcome status = iota
	statusVersion
	statusCluster
	statusOwnID
	statusOtherHost
	statusLane
	statusKey
)

// welcome is the answer to a hello, whether it lets the peer in or not.
type welcome struct {
	status  status
	version uint8
	lz4     bool
	feature uint32
	from    helenus.HostID
	reason  string // when refused
}

const (
	helloBytes   = 4 + 4 + 3*16 // without a key
	welcomeBytes = 4 + 4 + 16
	helloHead    = 3 // first byte, length
	helloSum     = 4
	// helloBytesMax is the longest body that is read; later versions append.
	helloBytesMax = 2 << 10
	flagLZ4       = 1
)

func appendHello(dst []byte, h *hello) []byte {
	at := len(dst)
	dst = append(dst, FirstMessages, 0, 0, h.min, h.max, byte(h.lane), flagOf(h.lz4))
	dst = binary.BigEndian.AppendUint32(dst, h.feature)
	dst = append(dst, h.cluster[:]...)
	dst = append(dst, h.from[:]...)
	dst = append(dst, h.to[:]...)
	if h.key != (KeyID{}) {
		dst = append(dst, h.key[:]...)
	}
	return endHello(dst, at)
}

func appendWelcome(dst []byte, w *welcome) []byte {
	at := len(dst)
	dst = append(dst, FirstMessages, 0, 0, byte(w.status), w.version, flagOf(w.lz4), 0)
	dst = binary.BigEndian.AppendUint32(dst, w.feature)
	dst = append(dst, w.from[:]...)
	return endHello(append(dst, bounded(w.reason)...), at)
}

func flagOf(set bool) byte {
	if set {
		return flagLZ4
	}
	return 0
}

func endHello(dst []byte, at int) []byte {
	binary.BigEndian.PutUint16(dst[at+1:], uint16(len(dst)-at-helloHead))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli()))
}

// readHandshake reads the body of a hello or a welcome, of at least sizeBytes;
// first is what was read before, 0 if nothing was.
func readHandshake(r io.Reader, first byte, sizeBytes int) ([]byte, error) {
	var head [helloHead]byte
	from := head[:]
	if first != 0 {
		head[0], from = first, head[1:]
	}
	if _, err := io.ReadFull(r, from); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[1:]))
	switch {
	case head[0] != FirstMessages:
		return nil, garbagef("a handshake that begins with byte %#02x", head[0])
	case n < sizeBytes || n > helloBytesMax:
		return nil, garbagef("a handshake of %d bytes, not %d to %d", n, sizeBytes, helloBytesMax)
	}
	b := make([]byte, n+helloSum)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli()), castagnoli(), b[:n])
	if sum != binary.BigEndian.Uint32(b[n:]) {
		return nil, garbagef("a handshake with a wrong checksum")
	}
	return b[:n], nil
}

func readHello(r io.Reader, first byte) (hello, error) {
	b, err := readHandshake(r, first, helloBytes)
	if err != nil {
		return hello{}, err
	}
	h := hello{min: b[0], max: b[1], lane: Lane(b[2]), lz4: b[3]&flagLZ4 != 0, feature: binary.BigEndian.Uint32(b[4:])}
	copy(h.cluster[:], b[8:])
	copy(h.from[:], b[24:])
	copy(h.to[:], b[40:])
	if len(b) >= helloBytes+len(h.key) {
		copy(h.key[:], b[helloBytes:])
	}
	return h, nil
}

func readWelcome(r io.Reader) (welcome, error) {
	b, err := readHandshake(r, 0, welcomeBytes)
	if err != nil {
		return welcome{}, err
	}
	w := welcome{status: status(b[0]), version: b[1], lz4: b[2]&flagLZ4 != 0, feature: binary.BigEndian.Uint32(b[4:]),
		reason: bounded(string(b[welcomeBytes:]))}
	copy(w.from[:], b[8:])
	return w, nil
}

// judge decides on a hello; me is what this node would say itself.
func judge(me, h *hello) welcome {
	w := welcome{version: min(me.max, h.max), lz4: me.lz4 && h.lz4, feature: me.feature, from: me.from}
	refuse := func(s status, format string, args ...any) welcome {
		w.status, w.version, w.lz4, w.reason = s, 0, false, fmt.Sprintf(format, args...)
		return w
	}
	var none ClusterID
	outside := me.cluster == none || h.cluster == none
	switch {
	case h.min > h.max || w.version < max(me.min, h.min):
		return refuse(statusVersion, "no common version: this node speaks %d to %d, the peer %d to %d; upgrade the older one",
			me.min, me.max, h.min, h.max)
	case me.cluster != h.cluster && !outside:
		return refuse(statusCluster, "this node is of cluster %s, the peer of cluster %s; check the seeds of both", me.cluster, h.cluster)
	case h.from == me.from:
		return refuse(statusOwnID, "the peer has this node's own host id %s: it asked itself, or runs on a copy of this node's data", me.from)
	case h.to != (helenus.HostID{}) && h.to != me.from:
		return refuse(statusOtherHost, "this is host %s, not %s", me.from, h.to)
	case h.key != me.key:
		return refuse(statusKey, "host %s has the gossip key %s, host %s has %s: give all nodes the same gossip_key_file", me.from, me.key, h.from, h.key)
	case h.lane >= laneCount:
		return refuse(statusLane, "there is no %s", h.lane)
	case outside && h.lane != Urgent:
		// Whoever founds or joins a cluster has to ask before it belongs to one.
		return refuse(statusCluster, "a node that is in no cluster yet may only use the %s lane", Urgent)
	}
	return w
}
