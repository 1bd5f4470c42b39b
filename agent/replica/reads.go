package replica

import (
	"errors"
	"fmt"
	"math"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/store/row"
)

// The flags of a ReadRequest and of a ReadAnswer on the wire.
const (
	readData   = 1 << iota
	readDigest // the two may be asked for together
	readMore   // of an answer: there may be further partitions

	readAsked = readData | readDigest
)

// ReadRequest asks for what a replica has for a command.
type ReadRequest struct {
	Epoch        meta.Epoch
	Data, Digest bool
	BytesMax     int    // about how much the answer may hold; see row.Answer
	Command      []byte // a row.Command
}

// AppendTo implements wire.Message.
func (m *ReadRequest) AppendTo(dst []byte) []byte {
	dst = types.AppendUnsignedVInt(dst, uint64(m.Epoch))
	var flags byte
	if m.Data {
		flags |= readData
	}
	if m.Digest {
		flags |= readDigest
	}
	dst = types.AppendUnsignedVInt(append(dst, flags), uint64(m.BytesMax))
	return append(dst, m.Command...)
}

// Decode implements wire.Message. The command is left for whoever knows the
// schema.
func (m *ReadRequest) Decode(b []byte) error {
	epoch, n := types.UnsignedVInt(b)
	if n <= 0 || n >= len(b) {
		return errors.New("replica: a read without epoch and flags")
	}
	flags := b[n]
	b = b[n+1:]
	bytesMax, n := types.UnsignedVInt(b)
	if n <= 0 || bytesMax > math.MaxInt32 {
		return errors.New("replica: a read without bound")
	}
	if flags&^readAsked != 0 || flags == 0 {
		return fmt.Errorf("replica: read flags %#x", flags)
	}
	*m = ReadRequest{Epoch: meta.Epoch(epoch), Data: flags&readData != 0, Digest: flags&readDigest != 0, BytesMax: int(bytesMax), Command: b[n:]}
	return nil
}

// ReadAnswer is what a replica has: a row.Answer.
type ReadAnswer struct {
	HasData, HasDigest bool
	More               bool
	Rows, Tombstones   int
	Digest             [16]byte
	Data               []byte
}

// AppendTo implements wire.Message.
func (m *ReadAnswer) AppendTo(dst []byte) []byte {
	var flags byte
	if m.HasData {
		flags |= readData
	}
	if m.HasDigest {
		flags |= readDigest
	}
	if m.More {
		flags |= readMore
	}
	dst = append(dst, flags)
	dst = types.AppendUnsignedVInt(dst, uint64(m.Rows))
	dst = types.AppendUnsignedVInt(dst, uint64(m.Tombstones))
	if m.HasDigest {
		dst = append(dst, m.Digest[:]...)
	}
	return append(dst, m.Data...)
}

// Decode implements wire.Message.
func (m *ReadAnswer) Decode(b []byte) error {
	if len(b) == 0 || b[0]&^(readAsked|readMore) != 0 || b[0]&readAsked == 0 {
		return errors.New("replica: an answer without flags")
	}
	flags := b[0]
	*m = ReadAnswer{HasData: flags&readData != 0, HasDigest: flags&readDigest != 0, More: flags&readMore != 0}
	b = b[1:]
	for _, to := range [...]*int{&m.Rows, &m.Tombstones} {
		v, n := types.UnsignedVInt(b)
		if n <= 0 || v > math.MaxInt32 {
			return errors.New("replica: an answer without counts")
		}
		*to, b = int(v), b[n:]
	}
	if m.HasDigest {
		if len(b) < len(m.Digest) {
			return errors.New("replica: an answer whose digest is cut short")
		}
		b = b[copy(m.Digest[:], b):]
	}
	if !m.HasData && len(b) > 0 {
		return fmt.Errorf("replica: %d bytes of data that were not announced", len(b))
	}
	m.Data = b
	return nil
}

func newReadRequest() wire.Message { return new(ReadRequest) }
func newReadAnswer() wire.Message  { return new(ReadAnswer) }

// readVerbs are the reads that this node answers others: small answers and
// large ones do not wait for each other.
func (r *Replica) readVerbs() []wire.Verb {
	handle := func(q *wire.Request) { r.atEpoch(q.Message.(*ReadRequest).Epoch, q, (*Replica).serveRead) }
	return []wire.Verb{
		{ID: VerbRead, Name: "READ", Lane: wire.Small, Timeout: 5 * time.Second,
			NewRequest: newReadRequest, NewResponse: newReadAnswer, Handle: handle},
		{ID: VerbReadLarge, Name: "READ_LARGE", Lane: wire.Large, Timeout: 10 * time.Second,
			NewRequest: newReadRequest, NewResponse: newReadAnswer, Handle: handle},
	}
}

const (
	// answerBytesMax bounds what is answered at once, whatever is asked for; one
	// row may be larger.
	answerBytesMax = 8 << 20
	// answerKeepBytes is how much room an answer keeps for the next one.
	answerKeepBytes = 256 << 10
)

// servedRead is a read of another node's, or of this node's own coordinator,
// on its way through the store.
type servedRead struct {
	r       *Replica
	request *wire.Request
	schema  *schema.Schema
	find    func(schema.TableID) *schema.Table // in schema
	reader  row.CommandReader
	command *row.Command
	answer  row.Answer
	reply   ReadAnswer
}

func (r *Replica) newServedRead() *servedRead {
	if s, ok := r.servedReads.Get().(*servedRead); ok {
		return s
	}
	s := &servedRead{r: r}
	s.find = func(id schema.TableID) *schema.Table { return s.schema.Table(id) }
	return s
}

// serveRead runs a command: at once as far as memory reaches, else on a reader.
func (r *Replica) serveRead(q *wire.Request) {
	if r.opts.States == nil {
		q.Fail(Failed(ReasonSchema, "this node is alone"))
		return
	}
	state := r.opts.States.State()
	s := r.newServedRead()
	s.request, s.schema = q, state.Schema
	var err error
	if s.command, err = s.reader.Read(q.Message.(*ReadRequest).Command, s.find, state.Partitioner); err != nil {
		s.end(Failed(ReasonSchema, "%s (at epoch %d)", err.Error(), state.Epoch))
		return
	}
	if r.opts.Made != nil && r.opts.Made.Owns(s.command.Table) {
		r.readMade(s.command, s)
		return
	}
	r.Read(s.command, s)
}

// errGivenUp ends a read whose coordinator does not wait any more.
var errGivenUp = errors.New("replica: nobody waits for this read")

// Partitions implements Consumer.
func (s *servedRead) Partitions(ps row.Partitions) error {
	if s.request.Expired() {
		return errGivenUp
	}
	m, c := s.request.Message.(*ReadRequest), s.command
	bytesMax := min(m.BytesMax, answerBytesMax)
	if bytesMax <= 0 {
		bytesMax = answerBytesMax
	}
	return s.answer.Write(ps, c, row.AnswerOptions{Data: m.Data, Digest: m.Digest, BytesMax: bytesMax,
		GCBefore: c.Now - int64(c.Table.Options.GCGraceSeconds), TombstonesMax: s.r.opts.TombstonesMax})
}

// tombstonesMaxDefault is Cassandra's tombstone_failure_threshold.
const tombstonesMaxDefault = 100000

// ReadDone implements Consumer.
func (s *servedRead) ReadDone(err error) { s.end(err) }

func (s *servedRead) end(err error) {
	q, r := s.request, s.r
	if err != nil {
		failRead(q, err)
	} else {
		m, a := q.Message.(*ReadRequest), &s.answer
		s.reply = ReadAnswer{HasData: m.Data, HasDigest: m.Digest, More: a.More, Rows: a.Rows, Tombstones: a.Tombstones,
			Digest: a.Digest, Data: a.Data}
		q.Reply(&s.reply)
	}
	s.request, s.schema, s.command, s.reply = nil, nil, nil, ReadAnswer{}
	if s.answer.Kept() > answerKeepBytes {
		s.answer = row.Answer{}
	}
	s.answer.Reset()
	r.servedReads.Put(s)
}

func failRead(q *wire.Request, err error) {
	var told *helenus.Error
	switch {
	case errors.Is(err, errGivenUp):
		q.Drop()
	case errors.As(err, &told):
		q.Fail(told)
	default:
		q.Fail(Failed(ReasonOf(err), "%s", err.Error()))
	}
}
