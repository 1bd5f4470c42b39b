package row

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// The flags of an encoded Command; docs/format/read.md draws the bytes.
const (
	commandKeys     = 0x01
	commandReversed = 0x02
	commandStatics  = 0x04
	commandRegulars = 0x08
	commandAfter    = 0x10
	commandLimits   = 0x20
	commandFlags    = 0x3f
)

// The kinds of an end of a slice.
const (
	edgeOpen = iota
	edgeOrder
	edgeBefore // its values follow, and it lies before all with that prefix
	edgeAfter
)

// The flags of a bound of a range of partitions.
const (
	boundOpen      = 0x01
	boundKey       = 0x02
	boundInclusive = 0x04
)

// The last byte of an Order: types.AppendBound and AppendClustering.
const (
	orderBefore = 0x20
	orderRow    = 0x38
	orderAfter  = 0x60
)

// AppendCommand appends a command for another node. Columns go by number, so
// that a node whose schema is a little older or newer reads what was meant.
func AppendCommand(dst []byte, c *Command) []byte {
	var flags byte
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(commandKeys, c.Keys != nil)
	set(commandReversed, c.Filter.Reversed)
	set(commandStatics, c.Filter.Statics != nil)
	set(commandRegulars, c.Filter.Regulars != nil)
	set(commandAfter, c.After != nil)
	set(commandLimits, c.Limits != Limits{})
	dst = append(append(dst, flags), c.Table.ID[:]...)
	dst = appendSVInt(dst, c.Now)
	if c.Keys != nil {
		dst = types.AppendUnsignedVInt(dst, uint64(len(c.Keys)))
		for i := range c.Keys {
			dst = appendBlock(dst, c.Keys[i].Bytes)
		}
	} else {
		dst = appendRangeBound(appendRangeBound(dst, &c.Start), &c.End)
	}
	dst = types.AppendUnsignedVInt(dst, uint64(len(c.Filter.Slices)))
	for i := range c.Filter.Slices {
		s := &c.Filter.Slices[i]
		dst = appendEdge(dst, s.Start, s.StartValues, s.StartSize)
		dst = appendEdge(dst, s.End, s.EndValues, s.EndSize)
	}
	dst = appendMask(dst, c.Table.Statics, c.Filter.Statics)
	dst = appendMask(dst, c.Table.Regulars, c.Filter.Regulars)
	if c.After != nil {
		dst = appendBlock(appendBlock(dst, c.After), c.AfterValues)
	}
	if flags&commandLimits != 0 {
		for _, n := range [...]int{c.Limits.Rows, c.Limits.PerPartition, c.Limits.Partitions} {
			dst = types.AppendUnsignedVInt(dst, uint64(min(n, math.MaxInt32)))
		}
	}
	return dst
}

func appendRangeBound(dst []byte, b *Bound) []byte {
	switch {
	case b.Open:
		return append(dst, boundOpen)
	case b.Inclusive && b.HasKey:
		dst = append(dst, boundInclusive|boundKey)
	case b.HasKey:
		dst = append(dst, boundKey)
	case b.Inclusive:
		dst = append(dst, boundInclusive)
	default:
		dst = append(dst, 0)
	}
	if !b.HasKey {
		dst = binary.BigEndian.AppendUint64(dst, b.Key.Prefix)
	}
	return appendBlock(dst, b.Key.Bytes)
}

func appendEdge(dst, order, values []byte, size int) []byte {
	switch {
	case len(order) == 0:
		return append(dst, edgeOpen)
	case values == nil || order[len(order)-1] == orderRow:
		return appendBlock(append(dst, edgeOrder), order)
	case order[len(order)-1] == orderAfter:
		dst = append(dst, edgeAfter)
	default:
		dst = append(dst, edgeBefore)
	}
	dst = types.AppendUnsignedVInt(dst, uint64(size))
	return append(dst, values...)
}

func appendMask(dst []byte, columns []*schema.Column, mask []bool) []byte {
	if mask == nil {
		return dst
	}
	n := 0
	for _, on := range mask {
		if on {
			n++
		}
	}
	dst = types.AppendUnsignedVInt(dst, uint64(n))
	for i, on := range mask {
		if on {
			dst = types.AppendUnsignedVInt(dst, uint64(columns[i].ID))
		}
	}
	return dst
}

// CommandReader reads encoded Commands; used again it allocates nothing.
type CommandReader struct {
	command Command
	keys    []Key
	slices  []Slice
	masks   []bool
	scratch Scratch // its bytes hold the Orders
}

// ErrNoTable says that a command is for a table that is not known here.
var ErrNoTable = errors.New("there is no such table here")

// Read reads a command for one of the tables that find knows. The result
// aliases b and r, until the next Read.
func (r *CommandReader) Read(b []byte, find func(schema.TableID) *schema.Table, p token.Partitioner) (*Command, error) {
	c := cursor{b: b}
	flags := c.byte()
	if flags&^byte(commandFlags) != 0 {
		c.fail("command flags %#x", flags)
	}
	var id schema.TableID
	copy(id[:], c.take(uint64(len(id))))
	if c.err != nil {
		return nil, fmt.Errorf("row: read a command: %w", c.err)
	}
	t := find(id)
	if t == nil {
		return nil, fmt.Errorf("row: read a command for table %x: %w", id, ErrNoTable)
	}
	r.command = Command{Table: t, Now: c.svint()}
	r.keys, r.slices, r.masks, r.scratch.bytes = r.keys[:0], r.slices[:0], r.masks[:0], r.scratch.bytes[:0]
	out := &r.command
	if flags&commandKeys != 0 {
		r.readKeys(&c, p)
	} else {
		out.Start, out.End = readRangeBound(&c, p), readRangeBound(&c, p)
	}
	r.readSlices(&c, t)
	out.Filter.Reversed = flags&commandReversed != 0
	if flags&commandStatics != 0 {
		out.Filter.Statics = r.readMask(&c, t, t.Statics)
	}
	if flags&commandRegulars != 0 {
		out.Filter.Regulars = r.readMask(&c, t, t.Regulars)
	}
	if flags&commandAfter != 0 {
		readAfter(&c, out)
	}
	if flags&commandLimits != 0 {
		for _, to := range [...]*int{&out.Limits.Rows, &out.Limits.PerPartition, &out.Limits.Partitions} {
			*to = int(min(c.uvint(), math.MaxInt32))
		}
	}
	if len(c.b) > 0 {
		c.fail("%d bytes behind the command", len(c.b))
	}
	if c.err != nil {
		return nil, wrap("read a command", t, c.err)
	}
	return out, nil
}

func (r *CommandReader) readKeys(c *cursor, p token.Partitioner) {
	n := c.uvint()
	if n > uint64(len(c.b)) {
		c.fail("%d keys in %d bytes", n, len(c.b))
	}
	for i := uint64(0); i < n && c.err == nil; i++ {
		k := c.block()
		if len(k) > KeySizeMax || len(k) == 0 {
			c.fail("a partition key of %d bytes", len(k))
			return
		}
		r.keys = append(r.keys, Key{Prefix: p.Prefix(k), Bytes: k})
	}
	if r.command.Keys = r.keys; r.keys == nil {
		r.command.Keys = []Key{}
	}
}

func readRangeBound(c *cursor, p token.Partitioner) Bound {
	flags := c.byte()
	if flags == boundOpen {
		return Bound{Open: true}
	}
	if flags&^byte(boundKey|boundInclusive) != 0 {
		c.fail("flags of a bound %#x", flags)
		return Bound{}
	}
	b := Bound{HasKey: flags&boundKey != 0, Inclusive: flags&boundInclusive != 0}
	if !b.HasKey {
		if prefix := c.take(8); prefix != nil {
			b.Key.Prefix = binary.BigEndian.Uint64(prefix)
		}
	}
	if b.Key.Bytes = c.block(); b.HasKey && c.err == nil {
		b.Key.Prefix = p.Prefix(b.Key.Bytes)
	}
	return b
}

func (r *CommandReader) readSlices(c *cursor, t *schema.Table) {
	n := c.uvint()
	if n > uint64(len(c.b)) {
		c.fail("%d slices in %d bytes", n, len(c.b))
	}
	for i := uint64(0); i < n && c.err == nil; i++ {
		var s Slice
		s.Start, s.StartValues, s.StartSize = r.readEdge(c, t)
		s.End, s.EndValues, s.EndSize = r.readEdge(c, t)
		r.slices = append(r.slices, s)
	}
	r.command.Filter.Slices = r.slices
}

func (r *CommandReader) readEdge(c *cursor, t *schema.Table) (order, values []byte, size int) {
	switch kind := c.byte(); kind {
	case edgeOpen:
	case edgeOrder:
		if order = c.block(); len(order) == 0 {
			c.fail("an end of a slice without place")
		}
	case edgeBefore, edgeAfter:
		n := c.uvint()
		if n > uint64(len(t.Clustering)) {
			c.fail("an end of a slice of %d components", n)
			break
		}
		// Orders made before stay where they are when this one needs more room.
		at := readClustering(c, t, int(n), true, kind == edgeAfter, &r.scratch)
		return at.Order, at.Values, int(n)
	default:
		c.fail("an end of a slice of kind %d", kind)
	}
	return order, nil, 0
}

// readAfter reads where a partition goes on; the row's values may be missing.
func readAfter(c *cursor, out *Command) {
	out.After = c.block()
	values := c.block()
	if c.err == nil && len(out.After) == 0 {
		c.fail("a row without place")
	}
	if len(values) == 0 {
		return
	}
	vs := ReadValues(out.Table.ClusteringTypes(), len(out.Table.Clustering), values)
	for ok := true; ok; {
		_, ok = vs.Next()
	}
	if vs.Err() != nil || len(vs.Rest()) > 0 {
		c.fail("values of a row that are none")
	}
	out.AfterValues = values
}

// readMask reads the numbers of columns; those that are gone here are left out.
func (r *CommandReader) readMask(c *cursor, t *schema.Table, columns []*schema.Column) []bool {
	from := len(r.masks)
	for range columns {
		r.masks = append(r.masks, false)
	}
	mask := r.masks[from:len(r.masks):len(r.masks)]
	n := c.uvint()
	for i := uint64(0); i < n && c.err == nil; i++ {
		id := c.uvint()
		if id > math.MaxUint16 {
			c.fail("column id %d", id)
			break
		}
		col := t.ColumnByID(schema.ColumnID(id))
		if col != nil && col.Position < len(columns) && columns[col.Position] == col {
			mask[col.Position] = true
		}
	}
	return mask
}
