package stress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// lane is one connection. Its calls complete on one goroutine, the reader's,
// which owns cells and want.
type lane struct {
	run      *run
	conn     *client.Conn
	prepared [kindCount]*client.Prepared
	into     *recorder
	cells    [][]byte
	want     []byte
}

// slot is one request in flight, used again and again. It belongs to whoever
// took it from the free ones, then to the call until that completes.
type slot struct {
	lane     *lane
	call     client.Call
	requests [kindCount]*proto.Request // their values alias the room below
	op       operation
	intended int64 // nanoseconds since the run began
	started  int64

	key  [keyBytes]byte
	row  [clusteringBytes]byte
	data []byte // the columns, one after the other
	text []byte // an unprepared statement
}

func (n *lane) newSlot() *slot {
	w := &n.run.cfg.Workload
	t := &w.Table
	s := &slot{lane: n}
	s.call.Done = func(*client.Call) { s.completed() }
	key := []proto.Value{{Bytes: s.key[:]}}
	if t.Rows > 1 {
		key = append(key, proto.Value{Bytes: s.row[:]})
	}
	s.data = make([]byte, t.rowBytes())
	columns := make([]proto.Value, t.Columns)
	for i := range columns {
		columns[i].Bytes = s.data[i*t.ColumnBytes : (i+1)*t.ColumnBytes : (i+1)*t.ColumnBytes]
	}
	for k := range kindCount {
		values := key
		switch {
		case w.Mix[k] == 0:
			continue
		case n.run.cfg.Unprepared:
			s.requests[k] = n.conn.QueryRequest("")
			s.requests[k].Params.Consistency = n.run.cfg.Consistency
			continue
		case k == Insert:
			values = append(key[:len(key):len(key)], columns...)
		case k == Update:
			values = append(columns[:len(columns):len(columns)], key...)
		}
		s.requests[k] = n.conn.ExecuteRequest(n.prepared[k], values...)
		s.requests[k].Params.Consistency = n.run.cfg.Consistency
	}
	return s
}

// start sends an operation; false: it could not be sent.
func (s *slot) start(number uint64, intended, now int64) bool {
	s.prepare(number)
	s.intended, s.started = intended, now
	if err := s.lane.conn.Go(&s.call); err != nil {
		s.failed(err)
		return false
	}
	return true
}

// prepare makes the request of an operation in the slot's room.
func (s *slot) prepare(number uint64) {
	w := &s.lane.run.cfg.Workload
	s.op = w.at(number)
	binary.BigEndian.PutUint64(s.key[:], uint64(w.Table.key(s.op.partition)))
	binary.BigEndian.PutUint32(s.row[:], uint32(s.op.row))
	if s.op.kind.Writes() {
		w.Table.fill(s.data, s.op.partition, s.op.row, w.Revision)
	}
	s.call.Request = s.requests[s.op.kind]
	if s.lane.run.cfg.Unprepared {
		s.literal(w)
		s.call.Request.Text = s.text
	}
}

// literal writes the statement with its values into text.
func (s *slot) literal(w *Workload) {
	t := &w.Table
	b := s.text[:0]
	column, key := 0, 0
	for _, c := range []byte(s.lane.run.statements[s.op.kind]) {
		switch {
		case c != '?':
			b = append(b, c)
		case isColumn(s.op.kind, column, key, t):
			b = append(append(append(b, '\''), s.data[column*t.ColumnBytes:(column+1)*t.ColumnBytes]...), '\'')
			column++
		case key == 0:
			b = strconv.AppendInt(b, t.key(s.op.partition), 10)
			key++
		default:
			b = strconv.AppendUint(b, s.op.row, 10)
			key++
		}
	}
	s.text = b
}

// isColumn tells whether the next marker of a statement stands for a column:
// INSERT has the key first, UPDATE last, the others have only that.
func isColumn(k Kind, column, key int, t *Table) bool {
	switch k {
	case Insert:
		return key == 2 || key == 1 && t.Rows == 1
	case Update:
		return column < t.Columns
	}
	return false
}

// completed is the call's completion: it records, and goes on with whatever is
// to begin by now.
func (s *slot) completed() {
	r := s.lane.run
	s.record(r.now())
	for s.alive() {
		now := r.now() // again: to verify an answer takes time, too
		number, intended, ok := r.claim(now)
		if !ok {
			r.free <- s
			return
		}
		if s.start(number, intended, now) {
			return
		}
	}
	r.retire(s)
}

func (s *slot) alive() bool {
	select {
	case <-s.lane.conn.Dead():
		return false
	default:
		return true
	}
}

func (s *slot) record(now int64) {
	into := s.lane.into
	err := s.call.Err
	if err == nil && !s.op.kind.Writes() {
		err = s.verify()
	}
	if err != nil {
		s.failed(err)
		return
	}
	into.rows.Add(int64(s.op.rows))
	into.latency[s.op.kind].Record(now - s.intended)
	if s.lane.run.schedule.Rate > 0 {
		into.service.Record(now - s.started)
		into.wait.Record(s.started - s.intended)
	}
}

// failed counts an operation that has no latency.
func (s *slot) failed(err error) {
	kind := kindOfError(err)
	var m *mismatch
	if errors.As(err, &m) {
		kind = m.kind
	}
	s.lane.into.errors[kind].Add(1)
	if all := &s.lane.run.samples; all.wanted() {
		all.add(fmt.Sprintf("%s, %s: %s: %v", errorNames[kind], s.op.kind, s.where(s.op.row), err))
	}
}

// where names a row as an operator would ask for it.
func (s *slot) where(row uint64) string {
	t := &s.lane.run.cfg.Workload.Table
	if t.Rows > 1 {
		return fmt.Sprintf("key = %d AND row = %d", t.key(s.op.partition), row)
	}
	return fmt.Sprintf("key = %d", t.key(s.op.partition))
}

// verify compares the rows of an answer with what was written.
func (s *slot) verify() error {
	n := s.lane
	rows := &s.call.Response.Rows
	want := int(s.op.rows)
	if s.op.kind == Missing {
		want = 0
	}
	if rows.Count < want {
		return &mismatch{errLost, fmt.Sprintf("%d rows, %d expected", rows.Count, want)}
	}
	if rows.Count > want {
		return &mismatch{errCorrupt, fmt.Sprintf("%d rows, %d expected", rows.Count, want)}
	}
	if n.run.cfg.NoVerify {
		return nil
	}
	if want > 0 && rows.Width != len(n.cells) {
		return &mismatch{errCorrupt, fmt.Sprintf("%d columns, %d expected", rows.Width, len(n.cells))}
	}
	for i := uint64(0); rows.NextRow(n.cells); i++ {
		if err := s.compare(s.op.row + i); err != nil {
			return err
		}
	}
	return rows.Err()
}

// compare looks at the row in the lane's cells.
func (s *slot) compare(row uint64) error {
	n, w := s.lane, &s.lane.run.cfg.Workload
	n.fillWant(s.op.partition, row, w.Revision)
	column := n.differs()
	if column < 0 {
		return nil
	}
	size := w.Table.ColumnBytes
	text := fmt.Sprintf("column c%d: expected %q, actual %s", column, n.want[column*size:(column+1)*size], cellText(n.cells[column]))
	if s.op.kind == Slice {
		text = fmt.Sprintf("row %d, %s", row, text)
	}
	for back := uint64(1); back <= min(w.Revision, staleLook); back++ {
		if n.fillWant(s.op.partition, row, w.Revision-back); n.differs() < 0 {
			return &mismatch{errStale, fmt.Sprintf("%s (revision %d)", text, w.Revision-back)}
		}
	}
	return &mismatch{errCorrupt, text}
}

// staleLook is how many earlier revisions a wrong row is compared with.
const staleLook = 16

func cellText(cell []byte) string {
	if cell == nil {
		return "null"
	}
	return strconv.Quote(string(cell))
}

func (n *lane) fillWant(partition, row, revision uint64) {
	n.run.cfg.Workload.Table.fill(n.want, partition, row, revision)
}

// differs is the first column of the cells that is not as wanted, or -1.
func (n *lane) differs() int {
	size := n.run.cfg.Workload.Table.ColumnBytes
	for i, cell := range n.cells {
		if string(cell) != string(n.want[i*size:(i+1)*size]) {
			return i
		}
	}
	return -1
}
