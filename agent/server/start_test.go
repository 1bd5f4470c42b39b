package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// frame is a request's envelope with any bytes in it.
func frame(version, op byte, stream int16, body ...byte) []byte {
	b := []byte{version, 0, byte(stream >> 8), byte(stream), op}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// message is a well-formed request's envelope.
func message(v proto.Version, stream int16, req *proto.Request) []byte {
	w := proto.NewWriter()
	w.End(req.AppendBody(w.Begin(req.HeaderFor(v, stream)), v), nil)
	return w.Take(nil)
}

func startupWith(options ...proto.Option) *proto.Request {
	return &proto.Request{Header: proto.Header{Op: proto.OpStartup}, Options: options}
}

func queryOf(text string) *proto.Request {
	return &proto.Request{Header: proto.Header{Op: proto.OpQuery}, Text: []byte(text), Params: proto.Params{Consistency: helenus.One}}
}

var plainStartup = startupWith(proto.Option{Key: "CQL_VERSION", Value: "3.0.0"})

// exchange sends bytes and gives what comes back within a second, and whether
// the server hung up.
func exchange(t *testing.T, nc net.Conn, b []byte) (reply []byte, hungUp bool) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = nc.Write(b) // the server may hang up before it has read all
	}()
	if err := nc.SetReadDeadline(time.Now().Add(time.Second)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(nc)
	hungUp = err == nil
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if hungUp {
		_ = nc.Close()
	}
	<-sent
	return reply, hungUp
}

// story renders envelopes, a line each.
func story(t *testing.T, framing proto.Framing, b []byte) string {
	t.Helper()
	dec := proto.Decoder{Responses: true}
	dec.SetFraming(framing)
	var out strings.Builder
	for len(b) > 0 {
		n := copy(dec.Buffer(), b)
		dec.Fill(n)
		b = b[n:]
		for {
			e, ok, perr := dec.Next()
			if perr != nil {
				t.Fatal(perr)
			}
			if !ok {
				break
			}
			out.WriteString(line(t, e))
		}
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func line(t *testing.T, e proto.Envelope) string {
	t.Helper()
	var r proto.Response
	if err := r.Decode(e); err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("v%d %d %s", e.Version, e.Stream, e.Op)
	switch {
	case r.Err != nil:
		s += fmt.Sprintf(" %04x %s", r.Err.Code, r.Err.Message)
	case e.Op == proto.OpSupported:
		for _, x := range r.Supported {
			s += fmt.Sprint(" ", x.Key, x.Values)
		}
	case e.Op == proto.OpEvent:
		s += fmt.Sprint(" ", r.Event.Type, r.Event.Schema)
	}
	return s + "\n"
}

const unsupported = "supported versions are (4/v4, 5/v5)"

// TestFirstWords is what raw bytes get before or instead of a conversation.
func TestFirstWords(t *testing.T) {
	options := func(v byte) []byte { return frame(v, 5, 7) }
	start := message(proto.V4, 1, plainStartup)
	query := message(proto.V4, 2, queryOf("void"))
	startOf := func(o ...proto.Option) []byte { return message(proto.V4, 1, startupWith(o...)) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	supported := " SUPPORTED PROTOCOL_VERSIONS[4/v4 5/v5] COMPRESSION[snappy lz4] CQL_VERSION[3.4.7]"
	for _, c := range []struct {
		name   string
		send   []byte
		want   string
		hungUp bool
	}{
		{"DSE", options(66), "v5 7 ERROR 000a Invalid or unsupported protocol version (66); " + unsupported, true},
		{"65", options(65), "v5 7 ERROR 000a Invalid or unsupported protocol version (65); " + unsupported, true},
		{"beta", options(6), "v5 7 ERROR 000a Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset", true},
		{"v3", options(3), "v5 7 ERROR 000a Invalid or unsupported protocol version (3); " + unsupported, true},
		{"v2", []byte{2, 0, 7, 5, 0, 0, 0, 0}, "v5 7 ERROR 000a Invalid or unsupported protocol version (2); " + unsupported, true},
		{"v1", []byte{1, 0, 7, 5, 0, 0, 0, 0}, "v5 7 ERROR 000a Invalid or unsupported protocol version (1); " + unsupported, true},
		{"STARTUP of 66", frame(66, 1, 0, 0, 0), "v5 0 ERROR 000a Invalid or unsupported protocol version (66); " + unsupported, true},
		{"a response", frame(0x84, 5, 7), "v5 7 ERROR 000a Wrong protocol direction (expected REQUEST, got RESPONSE) for opcode 5 (OPTIONS)", true},
		{"OPTIONS v4", options(4), "v4 7" + supported, false},
		{"OPTIONS v5", options(5), "v5 7" + supported, false},
		{"OPTIONS twice, STARTUP, OPTIONS", join(options(4), options(4), start, options(4)),
			"v4 7" + supported + "\nv4 7" + supported + "\nv4 1 READY\nv4 7" + supported, false},
		{"QUERY first", join(query, query), "v4 2 ERROR 000a Unexpected message QUERY, expecting STARTUP or OPTIONS", true},
		{"REGISTER first", frame(4, 0x0b, 3, 0, 0), "v4 3 ERROR 000a Unexpected message REGISTER, expecting STARTUP or OPTIONS", true},
		{"AUTH_RESPONSE first", frame(4, 0x0f, 3, 0, 0, 0, 0), "v4 3 ERROR 000a Unexpected message AUTH_RESPONSE, expecting STARTUP or OPTIONS", true},
		{"opcode 77 first", join(frame(4, 77, 3), start), "v4 3 ERROR 000a Unknown opcode 77\nv4 1 READY", false},
		{"opcode 77", join(start, frame(4, 77, 3), query), "v4 1 READY\nv4 3 ERROR 000a Unknown opcode 77\nv4 2 RESULT", false},
		{"STARTUP twice", join(start, start, query),
			"v4 1 READY\nv4 1 ERROR 000a Unexpected message STARTUP, the connection is already initialized\nv4 2 RESULT", false},
		{"another version", join(start, message(proto.V5, 9, queryOf("void"))),
			"v4 1 READY\nv4 9 ERROR 000a Invalid message version. Got 5/v5 but previous messages on this connection had version 4/v4", true},
		{"no CQL version", join(startOf(), start), "v4 1 ERROR 000a Missing value CQL_VERSION in STARTUP message\nv4 1 READY", false},
		{"compression zip", startOf(proto.Option{Key: "CQL_VERSION", Value: "3.0.0"}, proto.Option{Key: "COMPRESSION", Value: "zip"}),
			"v4 1 ERROR 000a Unknown compression algorithm: zip", false},
		{"AUTH_RESPONSE", join(start, frame(4, 0x0f, 3, 0, 0, 0, 0)),
			"v4 1 READY\nv4 3 ERROR 000a Unexpected message AUTH_RESPONSE, this node asks for no authentication", false},
		{"unknown event", join(start, frame(4, 0x0b, 3, 0, 1, 0, 1, 'X')), "v4 1 READY\nv4 3 ERROR 000a Invalid value 'X' for Type", false},
		{"torn body", join(start, frame(4, 7, 3, 0, 0, 9), query), "v4 1 READY\nv4 3 ERROR 000a Not enough bytes: 4 wanted, 3 left\nv4 2 RESULT", false},
		{"half a frame", start[:10], "", false},
		{"frame too large", join(start, frame(4, 7, 3, make([]byte, 1<<20+1)...), query),
			"v4 1 READY\nv4 3 ERROR 2200 Request is too big: length 1048577 exceeds maximum allowed length 1048576.\nv4 2 RESULT", false},
		{"negative length", join(start, []byte{4, 0, 0, 3, 7, 0xff, 0xff, 0xff, 0xff}),
			"v4 1 READY\nv4 3 ERROR 000a Invalid value for envelope header body length field: -1", true},
		{"compressed without agreement", join(start, []byte{4, 1, 0, 3, 7, 0, 0, 0, 1, 0}),
			"v4 1 READY\nv4 3 ERROR 000a Received a compressed frame, but no compression was agreed on", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(h *harness) {
				nc := h.dialFrom("10.0.0.1")
				defer nc.Close()
				reply, hungUp := exchange(t, nc, c.send)
				if got := story(t, proto.FramingNone, reply); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				if hungUp != c.hungUp {
					t.Errorf("hung up: %v, want %v", hungUp, c.hungUp)
				}
			})
		})
	}
}

// TestHandshakes goes through start and a statement in all ways to speak.
func TestHandshakes(t *testing.T) {
	for _, c := range dialects {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(h *harness) {
				conn := h.connect(c.version, c.compression)
				defer conn.Close()
				if got := h.texts(conn, conn.QueryRequest("echo", client.Text("a"), client.Text(strings.Repeat("b", 5000)))); len(got) != 2 || len(got[1]) != 5000 {
					t.Errorf("echo: %d values", len(got))
				}
				options, err := conn.Options(h.Context()) // a heart-beat
				if err != nil || len(options) != 3 {
					t.Errorf("OPTIONS: %v, %v", options, err)
				}
				all := h.server.Clients()
				want := Client{Address: h.conns[0].from, Version: int(c.version), Driver: "test", Requests: 3}
				if len(all) != 1 || all[0] != want {
					t.Errorf("clients %+v, want %+v", all, want)
				}
			})
		})
	}
}

var dialects = []struct {
	name        string
	version     proto.Version
	compression proto.Compression
}{
	{"v4", proto.V4, proto.CompressNone},
	{"v4 lz4", proto.V4, proto.CompressLZ4},
	{"v4 snappy", proto.V4, proto.CompressSnappy},
	{"v5", proto.V5, proto.CompressNone},
	{"v5 lz4", proto.V5, proto.CompressLZ4},
}

// TestDamagedSegments: a segment that does not add up ends the connection, as
// nothing after it can be trusted, and says so in a sound one.
func TestDamagedSegments(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     int
		change byte
		want   string
	}{
		{"header", 0, 1, "Unrecoverable CRC mismatch detected in frame header"},
		{"payload", 20, 1, "Unrecoverable CRC mismatch detected in frame body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(h *harness) {
				nc := h.dialFrom("10.0.0.1")
				reply, _ := exchange(t, nc, message(proto.V5, 1, plainStartup))
				if got := story(t, proto.FramingNone, reply); got != "v5 1 READY" {
					t.Fatal(got)
				}
				w := proto.NewWriter()
				w.SetFraming(proto.FramingPlain)
				req := queryOf("void")
				w.End(req.AppendBody(w.Begin(req.HeaderFor(proto.V5, 2)), proto.V5), nil)
				b := w.Take(nil)
				b[c.at] ^= c.change
				reply, hungUp := exchange(t, nc, b)
				if got := story(t, proto.FramingPlain, reply); !strings.Contains(got, c.want) || !hungUp {
					t.Errorf("got %q, hung up %v", got, hungUp)
				}
				if n := h.engine.count(); n != 0 {
					t.Errorf("%d requests were executed", n)
				}
			})
		})
	}
}

// TestFrameTooLarge: in segments too the connection outlives such a frame.
func TestFrameTooLarge(t *testing.T) {
	for _, c := range dialects {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(h *harness) {
				conn := h.connect(c.version, c.compression)
				defer conn.Close()
				for _, size := range []int{1 << 20, 3 << 20} {
					noise := make([]byte, size)
					for i := range noise {
						noise[i] = byte(i * i >> 3)
					}
					_, err := conn.Query(h.Context(), "void", client.Bytes(noise))
					wantError(t, err, helenus.CodeInvalid, "exceeds maximum allowed length 1048576.")
					if _, err := conn.Query(h.Context(), "void"); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// TestOneByteAtATime: frames need not come in one piece.
func TestOneByteAtATime(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		nc := h.dialFrom("10.0.0.1")
		all := slices.Concat(message(proto.V4, 1, plainStartup), message(proto.V4, 2, queryOf("void")), message(proto.V4, 3, queryOf("error")))
		go func() {
			for i := range all {
				if _, err := nc.Write(all[i : i+1]); err != nil {
					return
				}
			}
		}()
		reply, _ := exchange(t, nc, nil)
		if got, want := story(t, proto.FramingNone, reply), "v4 1 READY\nv4 2 RESULT\nv4 3 ERROR 2200 as you wish"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		nc.Close()
	})
}
