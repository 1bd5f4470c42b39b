package replica

import "helenus/agent/wire"

// readVerbs are the reads that this node answers others.
func (r *Replica) readVerbs() []wire.Verb { return nil }
