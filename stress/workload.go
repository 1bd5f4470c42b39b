package stress

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Insert  Kind = iota
	Update       // writes all columns of a row, as Insert does, by another statement
	Select       // one row by its key
	Missing      // one row by a key that nobody has written
	Slice        // rows of one partition that follow each other
	kindCount
)

var kindNames = [kindCount]string{"insert", "update", "select", "missing", "slice"}

func (k Kind) String() string { return kindNames[k] }

// Writes tells whether a kind changes anything.
func (k Kind) Writes() bool { return k == Insert || k == Update }

// Order is which rows the operations go to, one after the other.
type Order uint8

// The orders.
const (
	Sequential Order = iota // each row once, then again
	Uniform                 // any row, each as likely
)

// Workload says what the n-th operation is. It is a pure function: the same
// number means the same rows and bytes in every run.
type Workload struct {
	Table Table
	// Mix weighs the kinds; at least one is above 0.
	Mix   [kindCount]int
	Order Order
	// First is the number of the first operation, so that one run can go on
	// where another ended.
	First uint64
	// SliceRows is how many rows a Slice asks for.
	SliceRows uint64
	// Revision is which values writes give to their rows and reads expect.
	Revision uint64
}

// weightMax bounds the weights of a mix.
const weightMax = 1 << 20

func (w *Workload) check() error {
	if err := w.Table.check(); err != nil {
		return err
	}
	sum := 0
	for k, n := range w.Mix {
		if n < 0 || n > weightMax {
			return fmt.Errorf("weight %d of %s: 0 to %d", n, Kind(k), weightMax)
		}
		sum += n
	}
	if sum == 0 {
		return errors.New("no kind of operation has a weight")
	}
	if w.Mix[Slice] > 0 && (w.SliceRows < 1 || w.SliceRows > w.Table.Rows) {
		return fmt.Errorf("slices of %d rows: 1 to %d, which is what a partition has", w.SliceRows, w.Table.Rows)
	}
	return nil
}

func (w *Workload) writesOnly() bool { return w.Mix[Select]+w.Mix[Missing]+w.Mix[Slice] == 0 }

// operation is one operation: its first row and how many it concerns.
type operation struct {
	kind           Kind
	partition, row uint64
	rows           uint64
}

// at is the n-th operation.
func (w *Workload) at(n uint64) operation {
	n += w.First
	op := operation{kind: w.kindOf(n), rows: 1}
	t := &w.Table
	if w.Order == Sequential {
		op.partition, op.row = t.sequence(n)
	} else {
		number := below(mix(n*golden+t.Seed), t.rowCount())
		op.partition, op.row = number/t.Rows, number%t.Rows
	}
	switch op.kind {
	case Missing:
		op.partition = absent(op.partition)
	case Slice:
		op.rows = w.SliceRows
		op.row = min(op.row, t.Rows-w.SliceRows)
	}
	return op
}

func (w *Workload) kindOf(n uint64) Kind {
	sum := 0
	for _, weight := range w.Mix {
		sum += weight
	}
	pick := int(below(mix(n^mix(w.Table.Seed+1)), uint64(sum)))
	for k, weight := range w.Mix {
		if pick -= weight; pick < 0 {
			return Kind(k)
		}
	}
	return kindCount - 1 // not reached: pick is below the sum
}

// statement is the text to prepare for a kind. Its markers stand in the order
// of bind.
func (w *Workload) statement(k Kind) string {
	t := &w.Table
	name := t.Keyspace + "." + t.Name
	where := " WHERE key = ?"
	if t.Rows > 1 {
		where += " AND row = ?"
	}
	switch k {
	case Insert:
		if t.Rows > 1 {
			return fmt.Sprintf("INSERT INTO %s (key, row, %s) VALUES (?, ?%s)", name, t.columnList(""), strings.Repeat(", ?", t.Columns))
		}
		return fmt.Sprintf("INSERT INTO %s (key, %s) VALUES (?%s)", name, t.columnList(""), strings.Repeat(", ?", t.Columns))
	case Update:
		return fmt.Sprintf("UPDATE %s SET %s%s", name, t.columnList(" = ?"), where)
	case Slice:
		return fmt.Sprintf("SELECT %s FROM %s WHERE key = ? AND row >= ? LIMIT %d", t.columnList(""), name, w.SliceRows)
	}
	return fmt.Sprintf("SELECT %s FROM %s%s", t.columnList(""), name, where)
}
