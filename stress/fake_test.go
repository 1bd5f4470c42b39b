package stress

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/internal/cql/proto"
)

// fakeNode answers a number of requests with what answer says, over pipes.
type fakeNode struct {
	requests atomic.Int64
	// answer decides on the n-th EXECUTE or QUERY, from 1.
	answer func(n int64) action
}

// action is what a node does with a request; the zero action is a void result.
type action struct {
	after  time.Duration
	err    *helenus.Error
	silent bool
	hangup bool
}

func (f *fakeNode) dial(context.Context, string) (net.Conn, error) {
	here, there := net.Pipe()
	go f.serve(there)
	return here, nil
}

func (f *fakeNode) serve(nc net.Conn) {
	defer nc.Close()
	var dec proto.Decoder
	var req proto.Request
	w := proto.NewWriter()
	for {
		n, err := nc.Read(dec.Buffer())
		if err != nil {
			return
		}
		dec.Fill(n)
		for {
			e, ok, perr := dec.Next()
			if perr != nil {
				return
			}
			if !ok {
				break
			}
			if err := req.Decode(e); err != nil {
				return
			}
			if err := f.serveOne(&req, w, &dec); err != nil {
				return
			}
		}
		if out := w.Take(nil); len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
		}
	}
}

func (f *fakeNode) serveOne(req *proto.Request, w *proto.Writer, dec *proto.Decoder) error {
	h := proto.Header{Version: req.Version, Response: true, Stream: req.Stream, Op: proto.OpResult}
	switch req.Op {
	case proto.OpStartup:
		h.Op = proto.OpReady
		w.Append(h, nil)
		dec.SetVersion(proto.V5)
		dec.SetFraming(proto.FramingPlain)
		// READY itself goes out unframed.
		defer w.SetFraming(proto.FramingPlain)
		return nil
	case proto.OpPrepare:
		w.Append(h, proto.AppendPrepared(nil, req.Version, &proto.Prepared{ID: []byte("id"), ResultID: []byte("meta"), Params: proto.EncodeColumns(req.Version, nil), Result: proto.EncodeColumns(req.Version, nil)}))
		return nil
	}
	a := f.answer(f.requests.Add(1))
	if a.after > 0 {
		<-time.After(a.after)
	}
	switch {
	case a.hangup:
		return errors.New("hung up")
	case a.silent:
	case a.err != nil:
		h.Op = proto.OpError
		w.Append(h, proto.AppendError(nil, req.Version, a.err))
	default:
		w.Append(h, proto.AppendVoid(nil))
	}
	return nil
}
