package query

import (
	"context"

	"helenus/agent/coord"
	"helenus/internal/meta"
)

// Coordinator is how query reaches the replicas. All calls return at once;
// completion may come inline or later, from any goroutine, exactly once.
type Coordinator interface {
	Write(*Write)
	Read(*Read)
	CAS(*CAS)
}

// Metadata is how query sees and changes the cluster's metadata.
type Metadata interface {
	State() *meta.State
	// Commit decides a change; it blocks, so query calls it on a goroutine of
	// its own.
	Commit(ctx context.Context, change meta.Change) (*meta.State, error)
}

// The requests that go through the door are the coordinator's.
type (
	Write  = coord.Write
	Target = coord.Target
	Read   = coord.Read
	CAS    = coord.CAS
	Trace  = coord.Trace
	Clock  = coord.Clock
)
