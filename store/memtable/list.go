package memtable

import (
	"bytes"
	"encoding/binary"

	"helenus/store/row"
)

// list is a skiplist in an arena, sorted by Order: the rows, or the markers, of
// a large partition. Nodes are never removed. One writer, many readers: a node
// is whole before the word that leads to it is stored, and a reader who follows
// an old word sees the list without the newest nodes, whose versions it would
// skip anyway. (Pugh's skip list; links are stored bottom up.)
//
//	node    0 version  8 prev  16 height u8, after u8, size u16  20 values u32
//	        24 order u32  32 next[height], then values and order
//	version 0 sequence  8 older  16 base  24 length u32  32 bytes
//
// A node's versions begin with the newest; older is what readers of an earlier
// sequence see instead. base, if any, is what the bytes must be merged with: a
// large row that changes a little often is not copied every time.
type list struct {
	a    *arena
	head ref
}

const (
	nodePrev     = 8
	nodeHeight   = 16
	nodeAfter    = 17
	nodeSize     = 18
	nodeValues   = 20
	nodeOrder    = 24
	nodeNext     = 32
	heightMax    = 14
	versionOlder = 8
	versionBase  = 16
	versionLen   = 24
	versionData  = 32
)

// preds are the nodes before a place, on each level.
type preds [heightMax]ref

func newList(a *arena) list {
	head, b := a.alloc(nodeNext + 8*heightMax)
	b[nodeHeight] = heightMax
	return list{a, head}
}

// newNode makes a node without links or versions.
func newNode(a *arena, height int, c row.Clustering, size int, after bool) ref {
	n := nodeNext + 8*height
	r, b := a.alloc(n + len(c.Values) + len(c.Order))
	b[nodeHeight] = byte(height)
	if after {
		b[nodeAfter] = 1
	}
	binary.LittleEndian.PutUint16(b[nodeSize:], uint16(size))
	binary.LittleEndian.PutUint32(b[nodeValues:], uint32(len(c.Values)))
	binary.LittleEndian.PutUint32(b[nodeOrder:], uint32(len(c.Order)))
	copy(b[n:], c.Values)
	copy(b[n+len(c.Values):], c.Order)
	return r
}

func (l list) clustering(n ref) row.Clustering {
	b := l.a.from(n)
	at := nodeNext + 8*int(b[nodeHeight])
	v := at + int(binary.LittleEndian.Uint32(b[nodeValues:]))
	o := v + int(binary.LittleEndian.Uint32(b[nodeOrder:]))
	return row.Clustering{Values: b[at:v:v], Order: b[v:o:o]}
}

func (l list) order(n ref) []byte { return l.clustering(n).Order }

// side is a marker's number of components and whether it lies behind them.
func (l list) side(n ref) (size int, after bool) {
	b := l.a.from(n)
	return int(binary.LittleEndian.Uint16(b[nodeSize:])), b[nodeAfter] != 0
}

func (l list) next(n ref, level int) ref { return l.a.load(n + nodeNext + ref(8*level)) }

// prev is the node before n; 0 at the first.
func (l list) prev(n ref) ref {
	if p := l.a.load(n + nodePrev); p != l.head {
		return p
	}
	return 0
}

// find fills in the nodes before the first node not before order, and returns
// that node if it has just this order.
func (l list) find(order []byte, p *preds) ref {
	at := l.head
	var next ref
	for level := heightMax - 1; level >= 0; level-- {
		for {
			next = l.next(at, level)
			if next == 0 || bytes.Compare(l.order(next), order) >= 0 {
				break
			}
			at = next
		}
		if p != nil {
			p[level] = at
		}
	}
	if next != 0 && bytes.Equal(l.order(next), order) {
		return next
	}
	return 0
}

// before is the last node with an Order below order; 0 when there is none.
func (l list) before(order []byte) ref {
	var p preds
	l.find(order, &p)
	if p[0] == l.head {
		return 0
	}
	return p[0]
}

// from is the first node with an Order of order or above.
func (l list) from(order []byte) ref {
	var p preds
	l.find(order, &p)
	return l.next(p[0], 0)
}

// last is the last node.
func (l list) last() ref {
	at := l.head
	for level := heightMax - 1; level >= 0; level-- {
		for next := l.next(at, level); next != 0; next = l.next(at, level) {
			at = next
		}
	}
	if at == l.head {
		return 0
	}
	return at
}

// link puts n, which has a version, behind p.
func (l list) link(n ref, p *preds) {
	height := int(l.a.from(n)[nodeHeight])
	l.a.store(n+nodePrev, p[0])
	for level := range height {
		l.a.store(n+nodeNext+ref(8*level), l.next(p[level], level))
	}
	after := l.next(p[0], 0)
	for level := range height {
		l.a.store(p[level]+nodeNext+ref(8*level), n)
	}
	if after != 0 {
		l.a.store(after+nodePrev, n)
	}
}

// push makes data the newest version of n.
func (l list) push(n ref, sequence uint64, base ref, data []byte) {
	r, b := l.a.alloc(versionData + len(data))
	binary.LittleEndian.PutUint64(b, sequence)
	binary.LittleEndian.PutUint64(b[versionOlder:], uint64(l.a.load(n)))
	binary.LittleEndian.PutUint64(b[versionBase:], uint64(base))
	binary.LittleEndian.PutUint32(b[versionLen:], uint32(len(data)))
	copy(b[versionData:], data)
	l.a.store(n, r)
}

// newest is the version of n that readers of a sequence see; 0 when n was made
// later.
func (l list) newest(n ref, sequence uint64) ref {
	v := l.a.load(n)
	for v != 0 && binary.LittleEndian.Uint64(l.a.from(v)) > sequence {
		v = ref(binary.LittleEndian.Uint64(l.a.from(v)[versionOlder:]))
	}
	return v
}

func (l list) base(v ref) ref { return ref(binary.LittleEndian.Uint64(l.a.from(v)[versionBase:])) }

// data is a version's bytes; none mean that a marker is no more.
func (l list) data(v ref) []byte {
	b := l.a.from(v)
	n := versionData + int(binary.LittleEndian.Uint32(b[versionLen:]))
	return b[versionData:n:n]
}
