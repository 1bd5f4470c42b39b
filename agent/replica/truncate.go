package replica

import (
	"context"
	"fmt"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// Truncation asks a node to remove all that it has of a table.
type Truncation struct {
	Epoch meta.Epoch
	Table schema.TableID
	// Hints: only what is kept of it for other nodes. It goes everywhere first,
	// or a hint on its way could come to a node that has removed its data.
	Hints bool
}

// AppendTo implements wire.Message.
func (t *Truncation) AppendTo(dst []byte) []byte {
	dst = append(types.AppendUnsignedVInt(dst, uint64(t.Epoch)), t.Table[:]...)
	if t.Hints {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Decode implements wire.Message.
func (t *Truncation) Decode(b []byte) error {
	epoch, n := types.UnsignedVInt(b)
	if n <= 0 || len(b)-n != len(t.Table)+1 || b[len(b)-1] > 1 {
		return fmt.Errorf("replica: no truncation: %d bytes", len(b))
	}
	*t = Truncation{Epoch: meta.Epoch(epoch), Table: schema.TableID(b[n:]), Hints: b[len(b)-1] == 1}
	return nil
}

func newTruncation() wire.Message { return new(Truncation) }

// truncationsMax bounds the truncations of others that wait here; they run one
// after the other, since each waits for a flush.
const truncationsMax = 16

func (r *Replica) truncate(q *wire.Request) {
	select {
	case r.truncations <- q:
	default:
		q.Fail(helenus.Errorf(helenus.CodeOverloaded, "%d truncations are waiting", truncationsMax))
	}
}

func (r *Replica) truncateLoop(ctx context.Context) {
	defer r.wg.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-r.truncations:
			r.truncateFor(ctx, q)
		}
	}
}

func (r *Replica) truncateFor(ctx context.Context, q *wire.Request) {
	if q.Expired() {
		q.Drop()
		return
	}
	ctx, cancel := context.WithDeadline(ctx, q.Deadline())
	defer cancel()
	m := q.Message.(*Truncation)
	act := r.Truncate
	if m.Hints {
		act = r.truncateHints
	}
	if err := act(ctx, m.Table); err != nil {
		q.Fail(err)
		return
	}
	q.Reply(nil)
}

// Truncate removes all that this node has of a table; it waits for the disk.
func (r *Replica) Truncate(ctx context.Context, id schema.TableID) error {
	if err := r.truncateHints(ctx, id); err != nil {
		return err
	}
	return r.opts.Store.Truncate(ctx, id)
}

func (r *Replica) truncateHints(ctx context.Context, id schema.TableID) error {
	if r.opts.Truncated == nil {
		return nil
	}
	return r.opts.Truncated(ctx, id)
}
