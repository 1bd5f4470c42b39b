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
	Ranges(ctx context.Context, keyspace string) (report.TokenRanges, error)
	Endpoints(context.Context, report.KeyRequest) (report.Endpoints, error)
	Version(context.Context) (report.Version, error)
	Flush(context.Context, report.TablesRequest) error
	Compact(context.Context, report.TablesRequest) (report.Job, error)
	Jobs(context.Context) ([]report.Job, error)
	Job(ctx context.Context, id string) (report.Job, error)
	CancelJob(ctx context.Context, id string) (report.Job, error)

	GossipInfo(context.Context) (report.GossipInfo, error)
	FailureDetector(context.Context) (report.FailureDetector, error)
	GossipService(context.Context) (report.Service, error)
	NativeService(context.Context) (report.Service, error)
	Seeds(context.Context) (report.Seeds, error)
	ReloadSeeds(context.Context) (report.Seeds, error)

	HintSettings(context.Context) (report.HintSettings, error)
	ChangeHints(context.Context, report.HintChange) (report.HintSettings, error)
	PendingHints(context.Context) (report.HintList, error)
	TruncateHints(context.Context, report.HintsRequest) error

	Metadata(context.Context) (report.Metadata, error)
	RecoverMetadata(context.Context) (report.Metadata, error)
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
