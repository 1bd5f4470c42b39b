package commitlog

import "time"

// group is the records of one write and one sync: whole blocks of one segment.
// It belongs to the log's mutex until it is sealed, then to the syncer.
type group struct {
	seg     *segment
	start   uint32 // offset of its first block in the segment
	number  uint32
	buf     []byte // blocks; their headers are filled in by frame
	at      int    // where the next byte goes; len(buf) when the last block is full
	records int
	first   time.Time // when its first record came, if there is a window or period
	last    Position  // of its last record
	wanted  bool      // somebody expects it to be synced soon
	urgent  bool      // and now, without a window
	waiters []Waiter
}

// blocksFor is how many more blocks size bytes take.
func (g *group) blocksFor(size, blockSize int) int {
	more := size - (len(g.buf) - g.at)
	if more <= 0 {
		return 0
	}
	perBlock := blockSize - blockHeaderSize
	return (more + perBlock - 1) / perBlock
}

// next is the position the next byte will have.
func (g *group) next() Position {
	at := g.at
	if at == len(g.buf) {
		at += blockHeaderSize
	}
	return Position{g.seg.id, g.start + uint32(at)}
}

// put copies p behind what is there, over as many blocks as it takes.
func (g *group) put(p []byte, blockSize int) {
	for len(p) > 0 {
		if g.at == len(g.buf) {
			g.grow(blockSize)
		}
		n := copy(g.buf[g.at:], p)
		g.at += n
		p = p[n:]
	}
}

func (g *group) grow(blockSize int) {
	size := len(g.buf) + blockSize
	if size > cap(g.buf) {
		bigger := make([]byte, len(g.buf), max(size, 2*cap(g.buf), minBuffer))
		copy(bigger, g.buf)
		g.buf = bigger
	}
	g.at = len(g.buf) + blockHeaderSize
	g.buf = g.buf[:size]
}

const minBuffer = 64 << 10

// frame fills in the block headers and clears what the last block does not use.
func (g *group) frame(blockSize int) {
	clear(g.buf[g.at:])
	for off := 0; off < len(g.buf); off += blockSize {
		h := blockHeader{
			segment: g.seg.id,
			group:   g.number,
			index:   (g.start + uint32(off)) / uint32(blockSize),
			used:    min(blockSize, g.at-off) - blockHeaderSize,
		}
		if off == 0 {
			h.flags |= flagFirst
		}
		if off+blockSize == len(g.buf) {
			h.flags |= flagLast
		}
		putBlockHeader(g.buf[off:off+blockSize], h)
	}
}

// reset readies a group for reuse; a buffer that one huge record made grow is
// given back.
func (g *group) reset(bufferSize int) {
	buf := g.buf[:0]
	if cap(buf) > 2*bufferSize {
		buf = nil
	}
	*g = group{buf: buf, waiters: g.waiters[:0]}
}
