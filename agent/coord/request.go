package coord

import (
	"helenus"
	"helenus/internal/meta"
	"helenus/store/row"
)

// Write is one mutation on its way to the replicas.
type Write struct {
	// Mutation is the encoded row.Mutation: one or more partitions' updates that
	// are applied as a whole. It must stay valid until WriteDone.
	Mutation []byte
	State    *meta.State
	// Targets are the partitions of the updates, in their order: each has
	// replicas of its own, and each must have enough of them.
	Targets     []Target
	Consistency helenus.Consistency
	Type        helenus.WriteType
	Trace       *Trace
	Done        WriteOwner
	Err         error
}

// Target is a partition that a write changes.
type Target struct {
	Keyspace string
	Key      row.Key
}

// WriteOwner is told of the end of a write.
type WriteOwner interface{ WriteDone(*Write) }

// Read is one command on its way to the replicas.
type Read struct {
	Command     *row.Command
	State       *meta.State
	Consistency helenus.Consistency
	Trace       *Trace
	Done        ReadOwner
	// Tombstones is the most that another replica met, as far as known when it is
	// done; what this node met is for the owner to see.
	Tombstones int
	Err        error
}

// ReadOwner consumes a read.
type ReadOwner interface {
	// Partitions is called with the merged partitions, tombstones still in. It
	// must be able to start again from nothing: when a block is not in memory the
	// iteration ends with an error that it returns unchanged, and Partitions is
	// called once more on a goroutine that may block.
	Partitions(ps row.Partitions) error
	// ReadDone is called exactly once, after the last Partitions; Err holds that
	// call's error or the coordinator's own.
	ReadDone(*Read)
}

// CAS is a conditional write: read, decide, write, in isolation from every
// other CAS of the partition.
type CAS struct {
	Command *row.Command // what the condition looks at; one partition
	// Written are the rows that are written but that Command does not read, or
	// nil: the write has to be newer than these too.
	Written     *row.Command
	State       *meta.State
	Serial      helenus.Consistency
	Consistency helenus.Consistency
	Trace       *Trace
	Done        CASOwner
	Err         error
}

// CASOwner decides a conditional write.
type CASOwner interface {
	// Decide looks at the partition as it is and tells whether the condition
	// holds. Like Partitions it may be called again.
	Decide(ps row.Partitions) (applies bool, err error)
	// Mutation is what to write if it does, encoded, with all timestamps at
	// ballot microseconds (its deletions of what it replaces at ballot-1).
	Mutation(ballotMicros int64) ([]byte, error)
	CASDone(*CAS)
}

// Trace collects what happened to one request, for system_traces.
type Trace struct {
	ID     [16]byte
	events func(activity string)
}

// NewTrace makes a trace whose events go to add.
func NewTrace(id [16]byte, add func(activity string)) *Trace { return &Trace{ID: id, events: add} }

// Event notes an activity; a nil Trace notes nothing.
func (t *Trace) Event(activity string) {
	if t != nil {
		t.events(activity)
	}
}
