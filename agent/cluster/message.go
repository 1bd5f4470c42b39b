package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"helenus"
	"helenus/internal/meta"
)

// The messages between nodes; docs/format/metadata.md is their page. Decode copies
// what it keeps.

const (
	nameBytesMax   = 1 << 10
	seedsMax       = 256
	pieceBytes     = 256 << 10 // of entries or of a snapshot in one answer
	pieceBytesMax  = changeBytesMax + pieceBytes
	changeBytesMax = 8 << 20
)

type proposalID [16]byte

// facts is what a node says of itself to one that looks for a cluster.
type facts struct {
	host        helenus.HostID
	addr        helenus.Endpoint
	clusterName string
	partitioner string
	seeds       []helenus.Endpoint // sorted, each once
	level       meta.Level
	cluster     meta.ClusterID // zero: the node is new
	epoch       meta.Epoch
	round       uint64         // rises with every round of questions
	founding    bool           // asks for the receiver's promise to let it found
	promised    helenus.HostID // whom this node lets found a cluster
}

// proposal is a change on its way to whoever decides. The id makes sure that it
// happens once: it is looked for behind base.
type proposal struct {
	id     proposalID
	base   meta.Epoch
	change []byte
}

type verdict uint8

const (
	decided   verdict = iota + 1 // the change holds at the epoch
	elsewhere                    // this node does not decide; leader may
	refused                      // it cannot be
)

// outcome is what became of a proposal.
type outcome struct {
	verdict verdict
	epoch   meta.Epoch     // of the one who answers
	leader  helenus.HostID // zero: not known

	// Of a refusal: coded tells whether it is a *helenus.Error.
	coded    bool
	code     helenus.ErrorCode
	message  string
	keyspace string
	table    string
}

// pullRequest asks for what comes behind a place in the history. With a snapshot
// under way it asks for the next piece of it.
type pullRequest struct {
	have     point
	snapshot meta.Epoch // 0: none is under way
	offset   uint64
}

type pullAnswer struct {
	epoch   meta.Epoch // the newest of the one who answers
	entries []entry    // hashes are not sent, but for the last one's
	last    [hashSize]byte

	// Or a piece of a snapshot, when total is not zero.
	snapshot point
	total    uint64
	offset   uint64
	piece    []byte
}

// packer appends fields, unpacker takes them; numbers are big-endian.
type packer []byte

func (p *packer) u8(v uint8)     { *p = append(*p, v) }
func (p *packer) u32(v uint32)   { *p = binary.BigEndian.AppendUint32(*p, v) }
func (p *packer) u64(v uint64)   { *p = binary.BigEndian.AppendUint64(*p, v) }
func (p *packer) fixed(b []byte) { *p = append(*p, b...) }
func (p *packer) bytes(b []byte) { p.u32(uint32(len(b))); p.fixed(b) }
func (p *packer) text(s string)  { p.bytes([]byte(s)) }
func (p *packer) flag(v bool)    { p.u8(map[bool]uint8{true: 1}[v]) }
func (p *packer) point(at point) { p.u64(uint64(at.epoch)); p.fixed(at.hash[:]) }
func (p *packer) endpoint(e helenus.Endpoint) {
	if e.IsValid() {
		p.text(e.String())
	} else {
		p.text("")
	}
}

var errShort = errors.New("cut short")

type unpacker struct {
	b   []byte
	err error
}

func (u *unpacker) fail(err error) {
	if u.err == nil {
		u.err = err
	}
	u.b = nil
}

func (u *unpacker) take(n int) []byte {
	if len(u.b) < n {
		u.fail(errShort)
		return make([]byte, min(n, 32))
	}
	taken := u.b[:n]
	u.b = u.b[n:]
	return taken
}

func (u *unpacker) u8() uint8        { return u.take(1)[0] }
func (u *unpacker) u32() uint32      { return binary.BigEndian.Uint32(u.take(4)) }
func (u *unpacker) u64() uint64      { return binary.BigEndian.Uint64(u.take(8)) }
func (u *unpacker) fixed(dst []byte) { copy(dst, u.take(len(dst))) }

// bytes takes up to so many bytes and copies them.
func (u *unpacker) bytes(most int) []byte {
	n := u.u32()
	if u.err == nil && int64(n) > int64(most) {
		u.fail(fmt.Errorf("%d bytes where %d may be", n, most))
	}
	if u.err != nil {
		return nil
	}
	if int64(n) > int64(len(u.b)) {
		u.fail(errShort)
		return nil
	}
	return append([]byte(nil), u.take(int(n))...)
}

func (u *unpacker) text() string { return string(u.bytes(nameBytesMax)) }

func (u *unpacker) flag() bool {
	v := u.u8()
	if v > 1 {
		u.fail(fmt.Errorf("flag byte %d", v))
	}
	return v == 1
}

func (u *unpacker) point() (at point) {
	at.epoch = meta.Epoch(u.u64())
	u.fixed(at.hash[:])
	return at
}

func (u *unpacker) endpoint() helenus.Endpoint {
	s := u.text()
	if s == "" || u.err != nil {
		return helenus.Endpoint{}
	}
	e, err := netip.ParseAddrPort(s)
	if err != nil || e.String() != s {
		u.fail(fmt.Errorf("address %q", s))
	}
	return e
}

// count takes how many elements follow; each has at least so many bytes, which
// bounds what a wrong number can make us allocate.
func (u *unpacker) count(most, sizeBytes int) int {
	n := u.u32()
	if u.err == nil && (int64(n) > int64(most) || int64(n)*int64(sizeBytes) > int64(len(u.b))) {
		u.fail(fmt.Errorf("%d elements cannot be", n))
	}
	if u.err != nil {
		return 0
	}
	return int(n)
}

// done is the error of a reading that should have used all bytes.
func (u *unpacker) done(what string) error {
	if u.err == nil && len(u.b) > 0 {
		u.fail(fmt.Errorf("%d bytes too many", len(u.b)))
	}
	if u.err != nil {
		return fmt.Errorf("cluster: %s: %w", what, u.err)
	}
	return nil
}

// AppendTo implements wire.Message.
func (f *facts) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.fixed(f.host[:])
	p.endpoint(f.addr)
	p.text(f.clusterName)
	p.text(f.partitioner)
	p.u32(uint32(len(f.seeds)))
	for _, s := range f.seeds {
		p.endpoint(s)
	}
	p.u32(uint32(f.level))
	p.fixed(f.cluster[:])
	p.u64(uint64(f.epoch))
	p.u64(f.round)
	p.flag(f.founding)
	p.fixed(f.promised[:])
	return p
}

// Decode implements wire.Message.
func (f *facts) Decode(b []byte) error {
	*f = facts{}
	u := &unpacker{b: b}
	u.fixed(f.host[:])
	f.addr = u.endpoint()
	f.clusterName, f.partitioner = u.text(), u.text()
	for range u.count(seedsMax, 4) {
		f.seeds = append(f.seeds, u.endpoint())
	}
	f.level = meta.Level(u.u32())
	u.fixed(f.cluster[:])
	f.epoch, f.round, f.founding = meta.Epoch(u.u64()), u.u64(), u.flag()
	u.fixed(f.promised[:])
	return u.done("facts")
}

// AppendTo implements wire.Message.
func (m *proposal) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.fixed(m.id[:])
	p.u64(uint64(m.base))
	p.bytes(m.change)
	return p
}

// Decode implements wire.Message.
func (m *proposal) Decode(b []byte) error {
	*m = proposal{}
	u := &unpacker{b: b}
	u.fixed(m.id[:])
	m.base, m.change = meta.Epoch(u.u64()), u.bytes(changeBytesMax)
	return u.done("proposal")
}

// AppendTo implements wire.Message.
func (m *outcome) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.u8(uint8(m.verdict))
	p.u64(uint64(m.epoch))
	p.fixed(m.leader[:])
	p.flag(m.coded)
	p.u32(uint32(m.code))
	p.text(m.message[:min(len(m.message), nameBytesMax)])
	p.text(m.keyspace[:min(len(m.keyspace), nameBytesMax)])
	p.text(m.table[:min(len(m.table), nameBytesMax)])
	return p
}

// Decode implements wire.Message.
func (m *outcome) Decode(b []byte) error {
	*m = outcome{}
	u := &unpacker{b: b}
	m.verdict, m.epoch = verdict(u.u8()), meta.Epoch(u.u64())
	u.fixed(m.leader[:])
	m.coded, m.code = u.flag(), helenus.ErrorCode(u.u32())
	m.message, m.keyspace, m.table = u.text(), u.text(), u.text()
	if m.verdict < decided || m.verdict > refused {
		u.fail(fmt.Errorf("verdict %d", m.verdict))
	}
	return u.done("outcome")
}

// AppendTo implements wire.Message.
func (m *pullRequest) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.point(m.have)
	p.u64(uint64(m.snapshot))
	p.u64(m.offset)
	return p
}

// Decode implements wire.Message.
func (m *pullRequest) Decode(b []byte) error {
	u := &unpacker{b: b}
	*m = pullRequest{have: u.point(), snapshot: meta.Epoch(u.u64()), offset: u.u64()}
	return u.done("pull")
}

// AppendTo implements wire.Message.
func (m *pullAnswer) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.u64(uint64(m.epoch))
	p.u64(m.total)
	if m.total > 0 {
		p.point(m.snapshot)
		p.u64(m.offset)
		p.bytes(m.piece)
		return p
	}
	p.u32(uint32(len(m.entries)))
	for _, e := range m.entries {
		p.u64(uint64(e.epoch))
		p.bytes(e.payload)
	}
	p.fixed(m.last[:])
	return p
}

// Decode implements wire.Message.
func (m *pullAnswer) Decode(b []byte) error {
	u := &unpacker{b: b}
	*m = pullAnswer{epoch: meta.Epoch(u.u64()), total: u.u64()}
	if m.total > 0 {
		m.snapshot, m.offset, m.piece = u.point(), u.u64(), u.bytes(pieceBytesMax)
		return u.done("snapshot")
	}
	for range u.count(pieceBytesMax/12, 12) {
		e := entry{epoch: meta.Epoch(u.u64()), payload: u.bytes(changeBytesMax + proposalBytes)}
		if len(e.payload) < proposalBytes {
			u.fail(errShort)
		}
		m.entries = append(m.entries, e)
	}
	u.fixed(m.last[:])
	return u.done("entries")
}
