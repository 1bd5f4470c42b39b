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
// what is nil answers that it is not on this node yet.
type Backend struct {
	Ready     func(context.Context, report.Empty) (report.Ready, error) // an error while clients are not served yet
	Status    func(context.Context, report.KeyspaceRequest) (report.Ring, error)
	Ring      func(context.Context, report.KeyspaceRequest) (report.Ring, error) // with tokens
	Info      func(context.Context, report.Empty) (report.Info, error)
	Cluster   func(context.Context, report.Empty) (report.Cluster, error)
	Ranges    func(context.Context, report.KeyspaceRequest) (report.TokenRanges, error)
	Endpoints func(context.Context, report.KeyRequest) (report.Endpoints, error)
	Version   func(context.Context, report.Empty) (report.Version, error)
	Flush     func(context.Context, report.TablesRequest) (report.Empty, error)
	Compact   func(context.Context, report.TablesRequest, *job.Progress) error

	GossipInfo      func(context.Context, report.Empty) (report.GossipInfo, error)
	FailureDetector func(context.Context, report.Empty) (report.FailureDetector, error)
	GossipService   func(context.Context, report.Empty) (report.Service, error) // does gossip run?
	NativeService   func(context.Context, report.Empty) (report.Service, error) // are clients served?
	Seeds           func(context.Context, report.Empty) (report.Seeds, error)
	ReloadSeeds     func(context.Context, report.Empty) (report.Seeds, error) // reads the configuration again

	HintSettings  func(context.Context, report.Empty) (report.HintSettings, error)
	ChangeHints   func(context.Context, report.HintChange) (report.HintSettings, error) // all of the change or none
	PendingHints  func(context.Context, report.Empty) (report.HintList, error)
	TruncateHints func(context.Context, report.HintsRequest) (report.Empty, error)

	Metadata        func(context.Context, report.Empty) (report.Metadata, error)
	RecoverMetadata func(context.Context, report.Empty) (report.Metadata, error) // answers how it stands afterwards
}

// NodeOperations is the table of what every node offers.
func NodeOperations(b Backend) []Operation {
	flush := Action("flush", "/flush", "Write the memtables of tables to disk.", b.Flush)
	flush.Deadline = flushDeadline
	return []Operation{
		Query("ready", "/ready", "Does the node serve clients?", b.Ready),
		Query("status", "/status", "All nodes with their state, load and ownership.", b.Status),
		Query("ring", "/ring", "All nodes with their tokens.", b.Ring),
		Query("info", "/info", "This node: load, uptime, memory, caches.", b.Info),
		Query("describecluster", "/cluster", "Name, snitch, partitioner, schema versions, keyspaces.", b.Cluster),
		Query("describering", "/ranges", "The ranges of a keyspace with their replicas.", b.Ranges),
		Query("getendpoints", "/endpoints", "The replicas of a partition key.", b.Endpoints),
		Query("version", "/version", "The release of this node.", b.Version),
		flush,
		LongAction("compact", "/compact", "Merge the SSTables of tables into one.", targetTables, b.Compact),

		Query("gossipinfo", "/gossip", "What gossip holds of each node.", b.GossipInfo),
		Query("failuredetector", "/gossip/failuredetector", "How sure this node is that others are away.", b.FailureDetector),
		Query("statusgossip", "/gossip/status", "Does gossip run?", b.GossipService),
		Query("getseeds", "/gossip/seeds", "The seeds but this node.", b.Seeds),
		Action("reloadseeds", "/gossip/seeds/reload", "Read the seeds from the configuration again.", b.ReloadSeeds),
		Query("statusbinary", "/native/status", "Are clients served?", b.NativeService),

		Query("hintsettings", "/hints/settings", "How writes for nodes that are away are kept.", b.HintSettings),
		Action("changehints", "/hints/settings", "Change that until the node restarts.", b.ChangeHints),
		Query("listpendinghints", "/hints", "The hints that wait, by node.", b.PendingHints),
		Action("truncatehints", "/hints/truncate", "Throw hints away.", b.TruncateHints),

		Query("metadata", "/metadata", "Epoch, leader and voters of the cluster's metadata.", b.Metadata),
		Action("recover_metadata", "/metadata/recover", "Make this node the only voter, when the majority is lost for ever.", b.RecoverMetadata),
	}
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
