package ctl

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

// asks is a verb without arguments that shows an answer of the node.
func asks[T any](c *command, use, short string, ask func(context.Context) (T, error), layout func(io.Writer, T)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(answer, func(w io.Writer) { layout(w, answer) })
		},
	}
}

func (c *command) gossipInfo() *cobra.Command {
	cmd := asks(c, "gossipinfo", "What gossip holds of each node",
		func(ctx context.Context) (report.GossipInfo, error) { return c.node().GossipInfo(ctx) }, c.gossipLayout)
	c.resolves(cmd)
	return cmd
}

// nameless is what Java writes before an address of which it knows no name.
const nameless = "/"

// gossipLayout is nodetool's: TOKENS comes last, and never in full.
func (c *command) gossipLayout(w io.Writer, g report.GossipInfo) {
	for _, n := range g.Nodes {
		name := c.endpoint(n.Address, n.Port)
		if !c.resolve {
			name = nameless + name
		}
		fmt.Fprintf(w, "%s\n  generation:%d\n  heartbeat:%d\n", name, n.Generation, n.Heartbeat)
		tokens := "  TOKENS: not present"
		for _, s := range n.States {
			if s.Name == "TOKENS" {
				tokens = fmt.Sprintf("  TOKENS:%d:<hidden>", s.Version)
				continue
			}
			fmt.Fprintf(w, "  %s:%d:%s\n", s.Name, s.Version, s.Value)
		}
		fmt.Fprintln(w, tokens)
	}
	fmt.Fprintln(w)
}

func (c *command) failureDetector() *cobra.Command {
	return asks(c, "failuredetector", "How sure a node is that others are away (phi)",
		func(ctx context.Context) (report.FailureDetector, error) { return c.node().FailureDetector(ctx) },
		func(w io.Writer, f report.FailureDetector) {
			fmt.Fprintf(w, "%10s,%16s\n", "Endpoint", "Phi")
			for _, n := range f.Nodes {
				fmt.Fprintf(w, "%10s,%16.8f\n", nameless+c.endpoint(n.Address, n.Port), n.Phi)
			}
		})
}

func (c *command) getSeeds() *cobra.Command {
	return asks(c, "getseeds", "The seeds, without the node itself",
		func(ctx context.Context) (report.Seeds, error) { return c.node().Seeds(ctx) }, seedsLayout("Current list of seed node IPs"))
}

func (c *command) reloadSeeds() *cobra.Command {
	return asks(c, "reloadseeds", "Read the seeds from the configuration again",
		func(ctx context.Context) (report.Seeds, error) { return c.node().ReloadSeeds(ctx) }, seedsLayout("Updated seed node IP list"))
}

func seedsLayout(what string) func(io.Writer, report.Seeds) {
	return func(w io.Writer, s report.Seeds) {
		if len(s.Addresses) == 0 {
			fmt.Fprintln(w, "Seed node list does not contain any remote node IPs")
			return
		}
		fmt.Fprintf(w, "%s, excluding the current node's IP: %s\n", what, nameless+strings.Join(s.Addresses, " "+nameless))
	}
}

func (c *command) statusGossip() *cobra.Command {
	return asks(c, "statusgossip", "Does gossip run?",
		func(ctx context.Context) (report.Service, error) { return c.node().GossipService(ctx) }, serviceLayout)
}

func (c *command) statusBinary() *cobra.Command {
	return asks(c, "statusbinary", "Are clients served?",
		func(ctx context.Context) (report.Service, error) { return c.node().NativeService(ctx) }, serviceLayout)
}

func serviceLayout(w io.Writer, s report.Service) { fmt.Fprintln(w, running(s.Running)) }

func running(yes bool) string {
	if yes {
		return "running"
	}
	return "not running"
}
