package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/budget"
)

// TestGolden keeps the bytes of version 1.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/v1.txt", func(t *testing.T, d *datadriven.TestData) string {
		var e encoder
		switch d.Cmd {
		case "hello":
			return hex.Dump(appendHello(nil, &hello{min: 1, max: 1, lane: Large, lz4: true, feature: 7, cluster: ClusterID{1, 15: 2},
				from: helenus.HostID{3, 15: 4}, to: helenus.HostID{5, 15: 6}}))
		case "hello-with-a-key":
			return hex.Dump(appendHello(nil, &hello{min: 1, max: 1, feature: 7, cluster: ClusterID{1, 15: 2}, from: helenus.HostID{3, 15: 4}, key: KeyID{7, 7: 8}}))
		case "welcome":
			return hex.Dump(appendWelcome(nil, &welcome{version: 1, lz4: true, feature: 7, from: helenus.HostID{3, 15: 4}}))
		case "refusal":
			return hex.Dump(appendWelcome(nil, &welcome{status: statusCluster, feature: 7, from: helenus.HostID{3, 15: 4}, reason: "why"}))
		case "request":
			e.encode(&text{[]byte(d.Input)}, false, 0)
			return hex.Dump(appendFrame(nil, e.header(kindRequest, 258, 1<<32|5, 2e6), e.payload))
		case "compressed":
			// What a compressor makes of a text is its own affair: this block is kept.
			body := []byte("\x00\x00\x00\xA0\x8Fthe body\x08\x00\x80\x50 body")
			h := header{kind: kindResponse, flags: frameLZ4, verb: 258, id: 5, length: uint32(len(body)), sum: checksum(body)}
			n, err := h.rawLen(body, 1000)
			if err != nil {
				return err.Error()
			}
			out, err := h.unpack(nil, body, n)
			return fmt.Sprintf("%s%s %v\n", hex.Dump(appendFrame(nil, h, body)), out, err)
		case "failure":
			e.encodeText(d.Input)
			return hex.Dump(appendFrame(nil, e.header(kindFailure, 258, 5, uint32(helenus.CodeOverloaded)), e.payload))
		case "heartbeat":
			return hex.Dump(appendFrame(nil, header{kind: kindPing}, nil)) + hex.Dump(appendFrame(nil, header{kind: kindPong}, nil))
		}
		return "unknown command"
	})
}

// FuzzHello: what reads is what was written, and nothing panics.
func FuzzHello(f *testing.F) {
	h := hello{min: 1, max: 3, lane: Small, lz4: true, feature: 9, cluster: testCluster, from: target(1).ID}
	f.Add(appendHello(nil, &h))
	h.key = KeyID{7: 1}
	f.Add(appendHello(nil, &h))
	f.Add(appendWelcome(nil, &welcome{status: statusCluster, reason: "no"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readHello(bytes.NewReader(b), 0); err == nil {
			again, err := readHello(bytes.NewReader(appendHello(nil, &h)), 0)
			if err != nil || again != h {
				t.Fatalf("%+v %+v %v", h, again, err)
			}
			judge(&hello{min: 1, max: 1}, &h)
		}
		if w, err := readWelcome(bytes.NewReader(b)); err == nil {
			again, err := readWelcome(bytes.NewReader(appendWelcome(nil, &w)))
			if err != nil || again != w {
				t.Fatalf("%+v %+v %v", w, again, err)
			}
		}
	})
}

// FuzzFrames: the reader finds, however the bytes come in, what a reader finds
// that has them all at once.
func FuzzFrames(f *testing.F) {
	one := appendFrame(nil, header{kind: kindPing}, nil)
	body := strings.Repeat("x", 300)
	two := appendFrame(one, header{kind: kindRequest, length: 300, sum: checksum([]byte(body))}, []byte(body))
	f.Add(two, uint8(7))
	big := make([]byte, 40<<10)
	f.Add(appendFrame(two, header{kind: kindResponse, length: 40 << 10, sum: checksum(big)}, big), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		const bodyMax = 64 << 10
		want := slowFrames(b, bodyMax)
		r := frameReader{bodyMax: bodyMax, budget: budget.New("b", 1<<20)}
		src := bytes.NewReader(b)
		var got strings.Builder
		for err := error(nil); err == nil; {
			room := r.room()
			n, readErr := src.Read(room[:min(len(room), int(step)*16+1)])
			r.fill(n)
			err = readErr
			for ok := true; ok; {
				var h header
				var body []byte
				var frameErr error
				if h, body, _, ok, frameErr = r.next(); frameErr != nil {
					fmt.Fprintln(&got, "garbage")
					err = io.EOF
				} else if ok {
					fmt.Fprintln(&got, h, checksum(body))
				}
			}
		}
		if got.String() != want {
			t.Fatalf("got\n%swant\n%s", got.String(), want)
		}
		if r.release(); r.budget.Used() != 0 {
			t.Fatal("something is still charged")
		}
	})
}

func slowFrames(b []byte, bodyMax int) string {
	var out strings.Builder
	for len(b) >= headerBytes {
		h, err := parseHeader(b[:headerBytes], bodyMax)
		if err == nil && len(b) < headerBytes+int(h.length) {
			break
		}
		if err != nil || checksum(b[headerBytes:headerBytes+int(h.length)]) != h.sum {
			fmt.Fprintln(&out, "garbage")
			break
		}
		body := b[headerBytes : headerBytes+int(h.length)]
		fmt.Fprintln(&out, h, checksum(body))
		b = b[headerBytes+len(body):]
	}
	return out.String()
}
