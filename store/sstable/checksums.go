package sstable

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
)

// checksumBlock is the unit in which a component is checked and, if it is not
// compressed, read: small where one key is looked for.
func checksumBlock(c Component) int64 {
	switch c {
	case Index:
		return 4 << 10
	case Data:
		return 16 << 10
	}
	return 64 << 10
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	checksumBlockMin = 512
	checksumBlockMax = 1 << 20
	checksumsMagic   = "HelenusC"
	checksumsVersion = 2
)

// blockSums are the CRC32Cs of a component's blocks.
type blockSums struct {
	bytes int64
	block int64 // bytes of each but the last
	sums  []uint32
}

// sumWriter makes blockSums of what is added to it.
type sumWriter struct {
	out  blockSums
	crc  uint32
	fill int64
}

func newSumWriter(c Component) sumWriter {
	return sumWriter{out: blockSums{block: checksumBlock(c)}}
}

// Write implements io.Writer; it never fails.
func (s *sumWriter) Write(p []byte) (int, error) {
	s.add(p)
	return len(p), nil
}

func (s *sumWriter) add(p []byte) {
	s.out.bytes += int64(len(p))
	for len(p) > 0 {
		k := min(int64(len(p)), s.out.block-s.fill)
		s.crc = crc32.Update(s.crc, castagnoli, p[:k])
		p = p[k:]
		if s.fill += k; s.fill == s.out.block {
			s.out.sums = append(s.out.sums, s.crc)
			s.crc, s.fill = 0, 0
		}
	}
}

func (s *sumWriter) finish() blockSums {
	if s.fill > 0 {
		s.out.sums = append(s.out.sums, s.crc)
		s.crc, s.fill = 0, 0
	}
	return s.out
}

func (s *blockSums) blocks() int64 { return (s.bytes + s.block - 1) / s.block }

// check compares one block, numbered from 0, with what was written.
func (s *blockSums) check(i int64, block []byte) error {
	want := min(s.block, s.bytes-i*s.block)
	if int64(len(block)) != want || i >= int64(len(s.sums)) {
		return fmt.Errorf("a block of %d bytes", len(block))
	}
	if got := crc32.Checksum(block, castagnoli); got != s.sums[i] {
		return fmt.Errorf("checksum mismatch: %08x, should be %08x", got, s.sums[i])
	}
	return nil
}

func (s *blockSums) checkAll(b []byte) (offset int64, err error) {
	if int64(len(b)) != s.bytes {
		return 0, fmt.Errorf("%d bytes, should be %d", len(b), s.bytes)
	}
	for i := range int64(len(s.sums)) {
		at := i * s.block
		if err := s.check(i, b[at:min(at+s.block, s.bytes)]); err != nil {
			return at, err
		}
	}
	return 0, nil
}

// checksums is Checksums.db, our own component; docs/format/checksums.md.
type checksums map[Component]blockSums

func (c checksums) encode() []byte {
	dst := append([]byte(checksumsMagic), checksumsVersion)
	names := make([]Component, 0, len(c))
	for n := range c {
		names = append(names, n)
	}
	slices.Sort(names)
	dst = appendU16(dst, uint16(len(names)))
	for _, n := range names {
		s := c[n]
		dst = appendBlock16(dst, []byte(n))
		dst = appendU64(dst, uint64(s.bytes))
		dst = appendU32(dst, uint32(s.block))
		for _, sum := range s.sums {
			dst = appendU32(dst, sum)
		}
	}
	return appendU32(dst, crc32.Checksum(dst, castagnoli))
}

func decodeChecksums(b []byte) (checksums, error) {
	if len(b) < len(checksumsMagic)+1+2+4 || !bytes.HasPrefix(b, []byte(checksumsMagic)) {
		return nil, fmt.Errorf("not a file of checksums")
	}
	body := b[:len(b)-4]
	tail := decoder{all: b, at: len(body)}
	if tail.u32() != crc32.Checksum(body, castagnoli) {
		return nil, fmt.Errorf("checksum mismatch")
	}
	d := decoder{all: body, at: len(checksumsMagic)}
	if v := d.u8(); v != checksumsVersion {
		return nil, fmt.Errorf("version %d", v)
	}
	c := checksums{}
	for range d.count(uint64(d.u16()), 14) {
		name := Component(d.block16())
		var s blockSums
		s.bytes, s.block = d.i64(), int64(d.u32())
		if s.bytes < 0 || s.block < checksumBlockMin || s.block > checksumBlockMax {
			d.failf("%s of %d bytes in blocks of %d", name, s.bytes, s.block)
		}
		if d.err != nil {
			break
		}
		for range d.count(uint64(s.blocks()), 4) {
			s.sums = append(s.sums, d.u32())
		}
		c[name] = s
	}
	d.end()
	return c, d.err
}

// sumReader sums what can be read.
func sumReader(c Component, r io.ReaderAt, size int64) (blockSums, error) {
	w := newSumWriter(c)
	_, err := io.Copy(&w, io.NewSectionReader(r, 0, size))
	return w.finish(), err
}

// tocText is TOC.txt.
func tocText(components []Component) []byte {
	var b strings.Builder
	for _, c := range components {
		b.WriteString(string(c))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
