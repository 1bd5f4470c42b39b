package query

import (
	"container/list"
	"crypto/md5"
	"encoding/hex"
	"sync"

	"helenus"
	"helenus/internal/meta"
)

// preparedCache keeps prepared statements by id, the least recently used out
// first when their texts outgrow the limit.
type preparedCache struct {
	bytesMax int

	mu    sync.Mutex // guards what follows
	byID  map[[16]byte]*list.Element
	order *list.List // of *Prepared, most recently used in front
	bytes int
}

func (c *preparedCache) init(bytesMax int) {
	c.bytesMax, c.byID, c.order = bytesMax, make(map[[16]byte]*list.Element), list.New()
}

// planBytes is a rough size of a plan for each byte of its text.
const planBytes = 16

func (p *Prepared) sizeBytes() int { return len(p.text)*planBytes + 512 }

func (c *preparedCache) get(id []byte) *Prepared {
	if len(id) != 16 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[[16]byte(id)]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*Prepared)
}

func (c *preparedCache) put(p *Prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[p.ID]; e != nil {
		c.removeLocked(e)
	}
	c.byID[p.ID] = c.order.PushFront(p)
	c.bytes += p.sizeBytes()
	for c.bytes > c.bytesMax && c.order.Len() > 1 {
		c.removeLocked(c.order.Back())
	}
}

func (c *preparedCache) remove(id [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[id]; e != nil {
		c.removeLocked(e)
	}
}

func (c *preparedCache) removeLocked(e *list.Element) {
	p := c.order.Remove(e).(*Prepared)
	delete(c.byID, p.ID)
	c.bytes -= p.sizeBytes()
}

func (c *preparedCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

func unprepared(id []byte) error {
	return &helenus.Error{Code: helenus.CodeUnprepared, ID: id, Message: "Prepared query with ID " + hex.EncodeToString(id) +
		" not found (either the query was not prepared on this host (maybe the host has been restarted?) or you have" +
		" prepared too many queries and it has been evicted from the internal cache)"}
}

// prepare answers PREPARE. The id is the MD5 of the keyspace and the text, so
// that every node gives the same one; a text that names its keyspace has the
// same id in all.
func (x *execution) prepare() error {
	keyspace := x.keyspace()
	c, err := x.engine.compileText(x.state, keyspace, x.req.Text)
	if err != nil {
		return err
	}
	p := &Prepared{Params: c.specs, Result: c.result, statement: c.stmt, text: x.req.Text, KeyIndexes: c.keyIndexes}
	if c.usedDefaultKeyspace || !namesTables(c.stmt) {
		p.keyspace = keyspace
	}
	p.ID = md5.Sum([]byte(p.keyspace + p.text))
	x.engine.prepared.put(p)
	x.req.Result.Kind, x.req.Result.Prepared = ResultPrepared, p
	x.finish()
	return nil
}

// namesTables tells whether a statement is one of those that say themselves
// which keyspace they mean, if they do.
func namesTables(s statement) bool {
	switch s.(type) {
	case *selectPlan, *modifyPlan, *batchPlan, *truncation:
		return true
	}
	return false
}

// PreparedCount is the number of statements kept.
func (e *Engine) PreparedCount() int { return e.prepared.len() }

// metadataID names a list of columns: clients of v5 send it back to learn
// whether the columns they know are still right.
func metadataID(columns []ColumnSpec) (id [16]byte) {
	h := md5.New()
	for _, c := range columns {
		h.Write([]byte(c.Name))
		h.Write([]byte{0})
		h.Write([]byte(c.Type.ClassName(false)))
		h.Write([]byte{0, 0})
	}
	copy(id[:], h.Sum(nil))
	return id
}

// compile parses and plans a text.
func (e *Engine) compile(state *meta.State, keyspace, text string) (statement, []ColumnSpec, error) {
	c, err := e.compileText(state, keyspace, text)
	if err != nil {
		return nil, nil, err
	}
	return c.stmt, c.specs, nil
}
