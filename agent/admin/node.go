package admin

import (
	"context"
	"strings"
	"time"

	"helenus/agent/job"
	"helenus/internal/metrics"
	"helenus/internal/report"
)

// flushDeadline bounds a flush: everything in memory goes to disk.
const flushDeadline = 10 * time.Minute

// Backend is what one node can answer. The assembly fills it from the rooms;
// what is nil is not in the table of operations.
type Backend struct {
	Ready     func(context.Context, report.Empty) (report.Ready, error) // an error while clients are not served yet
	Status    func(context.Context, report.KeyspaceRequest) (report.Ring, error)
	Ring      func(context.Context, report.KeyspaceRequest) (report.Ring, error) // with tokens
	Info      func(context.Context, report.Empty) (report.Info, error)
	Cluster   func(context.Context, report.Empty) (report.Cluster, error)
	Endpoints func(context.Context, report.KeyRequest) (report.Endpoints, error)
	Version   func(context.Context, report.Empty) (report.Version, error)
	Flush     func(context.Context, report.TablesRequest) (report.Empty, error)
	Compact   func(context.Context, report.TablesRequest, *job.Progress) error
}

// NodeOperations is the table of what every node offers.
func NodeOperations(b Backend) []Operation {
	flush := Action("flush", "/flush", "Write the memtables of tables to disk.", b.Flush)
	flush.Deadline = flushDeadline
	table := []struct {
		offered bool
		op      Operation
	}{
		{b.Ready != nil, Query("ready", "/ready", "Does the node serve clients?", b.Ready)},
		{b.Status != nil, Query("status", "/status", "All nodes with their state, load and ownership.", b.Status)},
		{b.Ring != nil, Query("ring", "/ring", "All nodes with their tokens.", b.Ring)},
		{b.Info != nil, Query("info", "/info", "This node: load, uptime, memory, caches.", b.Info)},
		{b.Cluster != nil, Query("describecluster", "/cluster", "Name, snitch, partitioner, schema versions, keyspaces.", b.Cluster)},
		{b.Endpoints != nil, Query("getendpoints", "/endpoints", "The replicas of a partition key.", b.Endpoints)},
		{b.Version != nil, Query("version", "/version", "The release of this node.", b.Version)},
		{b.Flush != nil, flush},
		{b.Compact != nil, LongAction("compact", "/compact", "Merge the SSTables of tables into one.", targetTables, b.Compact)},
	}
	var ops []Operation
	for _, row := range table {
		if row.offered {
			ops = append(ops, row.op)
		}
	}
	return ops
}

func targetTables(r report.TablesRequest) string {
	switch {
	case r.Keyspace == "":
		return "all keyspaces"
	case len(r.Tables) == 0:
		return r.Keyspace
	}
	return r.Keyspace + "." + strings.Join(r.Tables, ","+r.Keyspace+".")
}

// jobOperations let an operator watch and end jobs.
func jobOperations(j *job.Journal) []Operation {
	return []Operation{
		Query("jobs", "/jobs", "Long work, the newest first.", func(context.Context, report.Empty) (report.Jobs, error) {
			return report.Jobs{Jobs: j.List()}, nil
		}),
		Query("job", "/jobs/{id}", "One job.", func(_ context.Context, r report.JobRequest) (report.Job, error) {
			return j.Get(r.ID)
		}),
		Action("cancel_job", "/jobs/{id}/cancel", "Ask a job to end.", func(_ context.Context, r report.JobRequest) (report.Job, error) {
			return j.Cancel(r.ID)
		}),
	}
}

// percentiles are what an operator sees of a histogram.
var percentiles = []struct {
	name string
	p    float64
}{{"50", 0.5}, {"75", 0.75}, {"95", 0.95}, {"98", 0.98}, {"99", 0.99}, {"max", 1}}

// factsOperation shows the table of facts.
func factsOperation(r *metrics.Registry) Operation {
	return Query("facts", "/facts", "All numbers the node knows about itself.", func(context.Context, report.Empty) (report.Facts, error) {
		out := report.Facts{Facts: []report.Fact{}}
		for _, f := range r.Facts() {
			one := report.Fact{Name: f.Name, Help: f.Help, Unit: string(f.Unit), Kind: f.Kind.String(), Values: []report.FactValue{}}
			f.Read(func(v metrics.Value) { one.Values = append(one.Values, factValue(f.Labels, v)) })
			out.Facts = append(out.Facts, one)
		}
		return out, nil
	})
}

func factValue(labels []string, v metrics.Value) report.FactValue {
	out := report.FactValue{Number: v.Number}
	for i, name := range labels {
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[name] = v.Labels[i]
	}
	// The mean of nothing is not a number, which JSON cannot say.
	if h := v.Histogram; h != nil && h.Count > 0 {
		out.Number, out.Count = h.Mean(), h.Count
		out.Percentiles = map[string]float64{}
		for _, p := range percentiles {
			out.Percentiles[p.name] = float64(h.Percentile(p.p))
		}
	}
	return out
}
