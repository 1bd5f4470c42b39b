package ctl

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sort"
	"strconv"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

// metadata is the family of verbs about the log that decides schema and
// topology. nodetool has none: Cassandra before 5.1 has no such log.
func (c *command) metadata() *cobra.Command {
	cmd := &cobra.Command{
		Use: "metadata", Short: "The cluster's metadata: who decides it, and how far it is",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badUse("metadata status or metadata recover, not %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	status := asks(c, "status", "Epoch, leader and voters",
		func(ctx context.Context) (report.Metadata, error) { return c.node().Metadata(ctx) }, c.metadataLayout)
	cmd.AddCommand(status, c.metadataRecover())
	return cmd
}

func (c *command) metadataRecover() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Make this node the only voter, when the majority is lost for ever",
		Long: `Make this node the only voter, when the majority of the voters is lost for ever.

What only the lost voters knew (a change of schema or topology that this node
had not heard of) is gone afterwards, and a lost voter must not come back with
its old data. Run it on the live node with the highest epoch, as
"metadata status" shows it on each. Other voters are chosen again by themselves.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return badUse("metadata recover gives up what only the lost voters know: read metadata recover --help, then add --yes")
			}
			m, err := c.node().RecoverMetadata(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(m, func(w io.Writer) { c.metadataLayout(w, m) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func (c *command) metadataLayout(w io.Writer, m report.Metadata) {
	leader, decided := "none is known", "no: no more than half of the voters live, so neither schema nor topology can change"
	if m.Leader != "" {
		leader = m.Leader
	}
	rows := [][]string{}
	voters := slices.Clone(m.Voters)
	endpoint := func(v report.Voter) string { return net.JoinHostPort(v.Address, strconv.Itoa(v.Port)) }
	sort.Slice(voters, func(i, j int) bool { return addressLess(endpoint(voters[i]), endpoint(voters[j])) })
	for _, v := range voters {
		address, role := c.endpoint(v.Address, v.Port), "follower"
		if v.Leader {
			leader, role = address, "leader"
		}
		rows = append(rows, []string{address, title(string(v.Liveness)), role, v.Datacenter, v.Rack, v.HostID})
	}
	if m.Available {
		decided = "yes"
	}
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-17s: %s\n", name, value)
		}
	}
	line("Cluster", m.ClusterID)
	line("Epoch", strconv.FormatUint(m.Epoch, 10))
	line("Feature level", strconv.FormatUint(m.Level, 10))
	line("Member", strconv.FormatBool(m.Member))
	line("Waiting", m.Waiting)
	line("Problem", m.Problem)
	line("Leader", leader)
	line("Term", strconv.FormatUint(m.Term, 10))
	line("Applied", strconv.FormatUint(m.Applied, 10))
	line("Changes possible", decided)
	fmt.Fprintf(w, "\nVoters\n")
	writeTable(w, []string{"Address", "Status", "Role", "Datacenter", "Rack", "Host ID"}, rows)
}
