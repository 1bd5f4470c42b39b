package ctl

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

func (c *command) info() *cobra.Command {
	var tokens bool
	cmd := &cobra.Command{
		Use: "info", Short: "One node: load, uptime, memory, caches",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := c.node().Info(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(info, func(w io.Writer) { infoLayout(w, info, tokens) })
		},
	}
	cmd.Flags().BoolVarP(&tokens, "tokens", "T", false, "show all tokens")
	return cmd
}

func infoLayout(w io.Writer, i report.Info, allTokens bool) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-23s: %s\n", name, fmt.Sprintf(format, args...))
	}
	const mb = 1 << 20
	line("ID", "%s", i.HostID)
	line("Gossip active", "%t", i.GossipActive)
	line("Native Transport active", "%t", i.NativeActive)
	line("Load", "%s", fileSize(i.LoadBytes))
	line("Uncompressed load", "%s", fileSize(i.UncompressedLoadBytes))
	line("Generation No", "%d", i.Generation)
	line("Uptime (seconds)", "%d", i.UptimeSeconds)
	line("Heap Memory (MB)", "%.2f / %.2f", float64(i.HeapUsedBytes)/mb, float64(i.HeapMaxBytes)/mb)
	line("Off Heap Memory (MB)", "%.2f", float64(i.OffHeapBytes)/mb)
	line("Data Center", "%s", i.Datacenter)
	line("Rack", "%s", i.Rack)
	line("Exceptions", "%d", i.Exceptions)
	for _, cache := range i.Caches {
		line(title(cache.Name)+" Cache", "%s", cacheLayout(cache))
	}
	line("Percent Repaired", "%s%%", javaDouble(math.Round(i.Repaired*10000)/100))
	switch {
	case len(i.Tokens) == 1:
		line("Token", "%s", i.Tokens[0])
	case allTokens:
		for _, t := range i.Tokens {
			line("Token", "%s", t)
		}
	default:
		line("Token", "(invoke with -T/--tokens to see all %d tokens)", len(i.Tokens))
	}
	line("Bootstrap state", "%s", i.BootstrapState)
	line("Bootstrap failed", "%t", i.BootstrapFailed)
	line("Decommissioning", "%t", i.Decommissioning)
	line("Decommission failed", "%t", i.DecommissionFailed)
}

func cacheLayout(c report.Cache) string {
	rate := "NaN"
	if c.Requests > 0 {
		rate = fmt.Sprintf("%.3f", float64(c.Hits)/float64(c.Requests))
	}
	switch c.Name {
	case "network":
		return fmt.Sprintf("size %s, overflow size: %s, capacity %s", fileSize(c.SizeBytes), fileSize(c.OverflowBytes), fileSize(c.CapacityBytes))
	case "chunk":
		return fmt.Sprintf("entries %d, size %s, capacity %s, %d misses, %d requests, %s recent hit rate, %.3f microseconds miss latency",
			c.Entries, fileSize(c.SizeBytes), fileSize(c.CapacityBytes), c.Requests-c.Hits, c.Requests, rate, c.MissLatencyMicros)
	}
	return fmt.Sprintf("entries %d, size %s, capacity %s, %d hits, %d requests, %s recent hit rate, %d save period in seconds",
		c.Entries, fileSize(c.SizeBytes), fileSize(c.CapacityBytes), c.Hits, c.Requests, rate, c.SavePeriodSeconds)
}

// javaDouble writes 100 as 100.0.
func javaDouble(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (c *command) describeCluster() *cobra.Command {
	return &cobra.Command{
		Use: "describecluster", Short: "Name, snitch, partitioner, schema versions, keyspaces",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := c.node().Cluster(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(cluster, func(w io.Writer) { c.clusterLayout(w, cluster) })
		},
	}
}

func (c *command) clusterLayout(w io.Writer, r report.Cluster) {
	dynamic := "disabled"
	if r.DynamicSnitch {
		dynamic = "enabled"
	}
	fmt.Fprintf(w, "Cluster Information:\n\tName: %s\n\tSnitch: %s\n\tDynamicEndPointSnitch: %s\n\tPartitioner: %s\n\tSchema versions:\n",
		r.Name, r.Snitch, dynamic, r.Partitioner)
	for _, s := range r.Schemas {
		who := s.Addresses
		if c.printPort && len(s.Endpoints) > 0 {
			who = s.Endpoints
		}
		fmt.Fprintf(w, "\t\t%s: [%s]\n\n", s.Version, strings.Join(inOrder(who), ", "))
	}
	fmt.Fprintf(w, "Stats for all nodes:\n\tLive: %d\n\tJoining: %d\n\tMoving: %d\n\tLeaving: %d\n\tUnreachable: %d\n",
		r.Live, r.Joining, r.Moving, r.Leaving, r.Unreachable)
	fmt.Fprint(w, "\nData Centers: \n")
	for _, d := range r.Datacenters {
		fmt.Fprintf(w, "\t%s #Nodes: %d #Down: %d\n", d.Name, d.Nodes, d.Down)
	}
	fmt.Fprint(w, "\nDatabase versions:\n")
	for _, one := range r.Releases {
		fmt.Fprintf(w, "\t%s: [%s]\n", one.Release, strings.Join(inOrder(one.Endpoints), ", "))
	}
	fmt.Fprint(w, "\nKeyspaces:\n")
	for _, k := range r.Keyspaces {
		var options []string
		for name, value := range k.Options {
			options = append(options, name+"="+value)
		}
		sort.Strings(options)
		fmt.Fprintf(w, "\t%s -> Replication class: %s {%s}\n", k.Name, k.Class, strings.Join(options, ", "))
	}
}

// inOrder sorts addresses, with ports or without.
func inOrder(addresses []string) []string {
	out := slices.Clone(addresses)
	sort.Slice(out, func(i, j int) bool { return addressLess(out[i], out[j]) })
	return out
}

func (c *command) version() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use: "version", Short: "The release of a node",
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := c.node().Version(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(v, func(w io.Writer) {
				fmt.Fprintf(w, "ReleaseVersion: %s\n", v.Release)
				if verbose {
					fmt.Fprintf(w, "GitSHA: %s\n", v.Build)
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the build too")
	return cmd
}
