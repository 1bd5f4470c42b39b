package wire

import (
	"hash/crc32"

	"helenus/internal/budget"
)

// frameReader takes frames out of what a connection gives. Its buffer is as
// large as it is at rest, uncharged, or as large as the frame that is coming,
// charged before it is made.
type frameReader struct {
	buf        []byte
	start, end int
	skip       int // bytes of a body that there was no memory for
	bodyMax    int
	budget     *budget.Budget
	charged    int64
}

// restBytes is the buffer of a connection on which only small frames come.
const restBytes = 32 << 10

// room is where to read into; never empty.
func (r *frameReader) room() []byte {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) != restBytes {
			r.release()
			r.buf = make([]byte, restBytes)
		}
	}
	if r.end == len(r.buf) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	return r.buf[r.end:]
}

func (r *frameReader) fill(n int) {
	n = max(n, 0)
	r.end += n
	if r.skip > 0 {
		drop := min(r.skip, r.end-r.start)
		r.skip -= drop
		r.start += drop
	}
}

func (r *frameReader) release() {
	r.budget.Release(r.charged)
	r.charged = 0
	r.buf = nil
}

// next gives the next whole frame; its body is valid until room. denied says
// that there was no memory for the body and that it will be passed over.
func (r *frameReader) next() (h header, body []byte, denied, ok bool, err error) {
	have := r.buf[r.start:r.end]
	if len(have) < headerBytes {
		return h, nil, false, false, nil
	}
	if h, err = parseHeader(have, r.bodyMax); err != nil {
		return h, nil, false, false, err
	}
	size := headerBytes + int(h.length)
	if len(have) < size {
		if size > len(r.buf) && !r.grow(size) {
			r.start += headerBytes
			r.skip = int(h.length)
			r.fill(0)
			return h, nil, true, true, nil
		}
		return h, nil, false, false, nil
	}
	body = have[headerBytes:size]
	if crc32.Checksum(body, castagnoli()) != h.sum {
		return h, nil, false, false, garbagef("a frame whose body has a wrong checksum")
	}
	r.start += size
	return h, body, false, true, nil
}

// grow makes the buffer as large as the frame at its start.
func (r *frameReader) grow(size int) bool {
	if !r.budget.Charge(int64(size)) {
		return false
	}
	buf := make([]byte, size)
	n := copy(buf, r.buf[r.start:r.end])
	r.release()
	r.buf, r.start, r.end, r.charged = buf, 0, n, int64(size)
	return true
}
