package agent

import "helenus/internal/meta"

// State is the cluster's metadata as this node has it.
func (a *Agent) State() *meta.State { return a.cluster.State() }
