package ctl

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"helenus/ctl/node"
	"helenus/internal/report"
)

// jobPoll is how often a job is asked how far it is.
const jobPoll = 200 * time.Millisecond

func (c *command) getEndpoints() *cobra.Command {
	return &cobra.Command{
		Use: "getendpoints <keyspace> <table> <key>", Short: "The replicas of a partition key", Aliases: []string{"getreplicas"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return badUse("getendpoints requires keyspace, table and partition key arguments")
			}
			e, err := c.node().Endpoints(cmd.Context(), report.KeyRequest{Keyspace: args[0], Table: args[1], Key: args[2]})
			if err != nil {
				return err
			}
			return c.show(e, func(w io.Writer) {
				for _, a := range e.Addresses {
					fmt.Fprintln(w, a)
				}
			})
		},
	}
}

// tables reads [keyspace [table...]].
func tables(args []string) report.TablesRequest {
	if len(args) == 0 {
		return report.TablesRequest{}
	}
	return report.TablesRequest{Keyspace: args[0], Tables: args[1:]}
}

// silent is the layout of verbs that say nothing when all went well.
func silent(io.Writer) {}

func (c *command) flush() *cobra.Command {
	return &cobra.Command{
		Use: "flush [keyspace [table...]]", Short: "Write memtables to disk",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.node().Flush(cmd.Context(), tables(args)); err != nil {
				return err
			}
			return c.show(report.Empty{}, silent)
		},
	}
}

func (c *command) compact() *cobra.Command {
	return &cobra.Command{
		Use: "compact [keyspace [table...]]", Short: "Merge SSTables, and wait for it",
		RunE: func(cmd *cobra.Command, args []string) error {
			n := c.node()
			job, err := n.Compact(cmd.Context(), tables(args))
			if err == nil {
				job, err = follow(cmd.Context(), n, job)
			}
			if err != nil {
				return err
			}
			return c.show(job, silent)
		},
	}
}

// follow waits for the end of a job. The job goes on if the wait is broken off.
func follow(ctx context.Context, n node.Node, job report.Job) (report.Job, error) {
	ticker := time.NewTicker(jobPoll)
	defer ticker.Stop()
	for job.State == report.Running {
		select {
		case <-ctx.Done():
			return job, fmt.Errorf("job %s goes on; see ctl jobs: %w", job.ID, ctx.Err())
		case <-ticker.C:
		}
		var err error
		if job, err = n.Job(ctx, job.ID); err != nil {
			return job, err
		}
	}
	if job.State == report.Done {
		return job, nil
	}
	kind := job.ErrorKind
	if kind == "" {
		kind = report.Internal
	}
	return job, report.Errorf(kind, "%s of %s: %s: %s", job.Kind, job.Target, job.State, job.Error)
}

func (c *command) jobs() *cobra.Command {
	cmd := &cobra.Command{
		Use: "jobs", Short: "Long work of a node",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			jobs, err := c.node().Jobs(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(report.Jobs{Jobs: jobs}, func(w io.Writer) { jobsLayout(w, jobs) })
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "cancel <id>", Short: "Ask a job to end",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return badUse("cancel requires the id of a job")
			}
			job, err := c.node().CancelJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(job, silent)
		},
	})
	return cmd
}

func jobsLayout(w io.Writer, jobs []report.Job) {
	if len(jobs) == 0 {
		fmt.Fprintln(w, "There are no jobs.")
		return
	}
	rows := [][]string{}
	for _, j := range jobs {
		progress, eta := "", ""
		if j.Total > 0 {
			progress = fmt.Sprintf("%.1f%%", float64(j.Done)/float64(j.Total)*100)
		}
		if j.ETASeconds != nil {
			eta = (time.Duration(*j.ETASeconds) * time.Second).String()
		}
		rows = append(rows, []string{j.ID, j.Kind, j.Target, string(j.State), progress, eta, j.Started.Format(time.RFC3339), j.Error})
	}
	writeTable(w, []string{"id", "kind", "target", "state", "progress", "left", "started", "error"}, rows)
}
