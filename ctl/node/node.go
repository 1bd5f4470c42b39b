// Package node is the port through which ctl sees one node of a cluster.
//
// Its noun is Node: what an operator asks of one node. Verbs call it; the
// adapters ctl/helenus (HTTP) and, one day, ctl/cassandra (CQL and Jolokia)
// implement it and pass one conformance suite. It never formats for people
// and never speaks to more than one node.
package node

import (
	"context"

	"helenus/internal/report"
)

// Node is one node. Errors of kind *report.Error tell what the node refused;
// *Unreachable tells that nobody answered.
type Node interface {
	Ready(context.Context) (report.Ready, error)
	Status(ctx context.Context, keyspace string) (report.Ring, error)
	Ring(ctx context.Context, keyspace string) (report.Ring, error) // with tokens
	Info(context.Context) (report.Info, error)
	Cluster(context.Context) (report.Cluster, error)
	Endpoints(context.Context, report.KeyRequest) (report.Endpoints, error)
	Version(context.Context) (report.Version, error)
	Flush(context.Context, report.TablesRequest) error
	Compact(context.Context, report.TablesRequest) (report.Job, error)
	Jobs(context.Context) ([]report.Job, error)
	Job(ctx context.Context, id string) (report.Job, error)
	CancelJob(ctx context.Context, id string) (report.Job, error)
}

// Unreachable says that no node answers at an address.
type Unreachable struct {
	Address string
	Cause   error
}

func (e *Unreachable) Error() string {
	return "Failed to connect to '" + e.Address + "': " + e.Cause.Error()
}

func (e *Unreachable) Unwrap() error { return e.Cause }
