package hint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"helenus"
	"helenus/store/vfs"
)

// The files are described in docs/format/hints.md.
const (
	segmentMagic   = "HELT"
	segmentVersion = 1
	segmentSuffix  = ".hints"
	segmentHeader  = 4 + 4 + 16 + 4
	recordHeader   = 4 + 8 + 4 + 4
	recordTail     = 4
	// mutationBytesMax bounds what one record is believed to hold.
	mutationBytesMax = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// record is one hint.
type record struct {
	created  int64 // when its write began, in milliseconds since 1970
	grace    uint32
	mutation []byte
}

func recordSize(mutation int) int { return recordHeader + mutation + recordTail }

func appendRecord(dst []byte, r record) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.mutation)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.created))
	dst = binary.BigEndian.AppendUint32(dst, r.grace)
	dst = binary.BigEndian.AppendUint32(dst, crc(dst[from:]))
	dst = append(dst, r.mutation...)
	return binary.BigEndian.AppendUint32(dst, crc(dst[len(dst)-len(r.mutation):]))
}

var (
	errShort   = errors.New("cut short")
	errDamaged = errors.New("checksum does not match")
)

// parseRecord reads the record at the front of b; need is how many bytes there
// must be to know more, when err is errShort.
func parseRecord(b []byte) (r record, size, need int, err error) {
	if len(b) < recordHeader {
		return r, 0, recordHeader, errShort
	}
	if crc(b[:recordHeader-4]) != binary.BigEndian.Uint32(b[recordHeader-4:]) {
		return r, 0, 0, errDamaged
	}
	length := binary.BigEndian.Uint32(b)
	if length > mutationBytesMax {
		return r, 0, 0, fmt.Errorf("a mutation of %d bytes", length)
	}
	size = recordSize(int(length))
	if len(b) < size {
		return r, 0, size, errShort
	}
	r = record{int64(binary.BigEndian.Uint64(b[4:])), binary.BigEndian.Uint32(b[12:]), b[recordHeader : size-recordTail]}
	if crc(r.mutation) != binary.BigEndian.Uint32(b[size-recordTail:]) {
		return record{}, 0, 0, errDamaged
	}
	return r, size, 0, nil
}

func appendHeader(dst []byte, host helenus.HostID) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, segmentMagic...), segmentVersion)
	dst = append(dst, host[:]...)
	return binary.BigEndian.AppendUint32(dst, crc(dst[from:]))
}

func checkHeader(b []byte, host helenus.HostID) error {
	switch {
	case len(b) < segmentHeader:
		return errShort
	case string(b[:4]) != segmentMagic:
		return errors.New("not a file of hints")
	case crc(b[:segmentHeader-4]) != binary.BigEndian.Uint32(b[segmentHeader-4:segmentHeader]):
		return errDamaged
	case binary.BigEndian.Uint32(b[4:]) != segmentVersion:
		return fmt.Errorf("version %d; this build knows %d", binary.BigEndian.Uint32(b[4:]), segmentVersion)
	case helenus.HostID(b[8:24]) != host:
		return fmt.Errorf("hints for node %s", helenus.HostID(b[8:24]))
	}
	return nil
}

func segmentName(host helenus.HostID, number uint64) string {
	return fmt.Sprintf("%s-%016x%s", host, number, segmentSuffix)
}

// parseSegmentName is the reverse; ok is false for other files.
func parseSegmentName(name string) (host helenus.HostID, number uint64, ok bool) {
	name, ok = strings.CutSuffix(name, segmentSuffix)
	at := strings.LastIndexByte(name, '-')
	if !ok || at < 0 || len(name)-at != 17 {
		return host, 0, false
	}
	digits := strings.ReplaceAll(name[:at], "-", "")
	if len(digits) != 32 {
		return host, 0, false
	}
	for i := range host {
		v, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			return host, 0, false
		}
		host[i] = byte(v)
	}
	number, err := strconv.ParseUint(name[at+1:], 16, 64)
	return host, number, err == nil && name+segmentSuffix == segmentName(host, number)
}

// segmentReader reads the records of a segment, from an offset to an end.
type segmentReader struct {
	file   vfs.File
	offset int64 // of the next record
	end    int64
	buf    []byte
	from   int64 // file offset of buf
}

const readAhead = 64 << 10

// next reads a record, valid until the next call; errShort at the end.
func (s *segmentReader) next() (record, int, error) {
	for {
		have := s.buf[min(max(s.offset-s.from, 0), int64(len(s.buf))):]
		r, size, need, err := parseRecord(have)
		if !errors.Is(err, errShort) {
			return r, size, err
		}
		if s.offset+int64(need) > s.end {
			return r, 0, errShort
		}
		if err := s.fill(need); err != nil {
			return r, 0, err
		}
	}
}

func (s *segmentReader) fill(need int) error {
	size := min(int64(max(need, readAhead)), s.end-s.offset)
	if int64(cap(s.buf)) < size {
		s.buf = make([]byte, size)
	}
	s.buf, s.from = s.buf[:size], s.offset
	if n, err := s.file.ReadAt(s.buf, s.offset); n < len(s.buf) {
		s.buf = s.buf[:0]
		return fmt.Errorf("read %d bytes at %d: %w", size, s.offset, err)
	}
	return nil
}
