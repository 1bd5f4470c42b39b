package coord

import "helenus/agent/wire"

// Verbs are what this room answers other nodes.
func (c *Coordinator) Verbs() []wire.Verb { return nil }
