package ctl

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

// hints are the verbs about writes that are kept for nodes that are away.
func (c *command) hints() []*cobra.Command {
	yes, no := true, false
	return []*cobra.Command{
		c.statusHandoff(),
		c.changesHints("enablehandoff", "Keep writes for nodes that are away", report.HintChange{Enabled: &yes}),
		c.changesHints("disablehandoff", "Do not keep writes for nodes that are away", report.HintChange{Enabled: &no}),
		c.hintsForDC("enablehintsfordc", "Keep writes for the nodes of a datacenter again", true),
		c.hintsForDC("disablehintsfordc", "Do not keep writes for the nodes of a datacenter", false),
		c.changesHints("pausehandoff", "Do not deliver hints for now", report.HintChange{Paused: &yes}),
		c.changesHints("resumehandoff", "Deliver hints again", report.HintChange{Paused: &no}),
		c.hintsNumber("sethintedhandoffthrottlekb <value_in_kb_per_sec>", "throttle_in_kb",
			"How fast hints are delivered, in KiB a second; 0: as fast as can be",
			func(n int64) report.HintChange { return report.HintChange{ThrottleKiBPerSec: &n} }),
		c.getMaxHintWindow(),
		c.hintsNumber("setmaxhintwindow <value_in_ms>", "max_hint_window",
			"How long after a node went away writes are kept for it, in milliseconds",
			func(n int64) report.HintChange { return report.HintChange{WindowMillis: &n} }),
		c.listPendingHints(),
		c.truncateHints(),
	}
}

func (c *command) statusHandoff() *cobra.Command {
	return asks(c, "statushandoff", "Are writes kept for nodes that are away?", c.hintSettings,
		func(w io.Writer, s report.HintSettings) {
			fmt.Fprintf(w, "Hinted handoff is %s\n", running(s.Enabled))
			for _, dc := range s.DisabledDatacenters {
				fmt.Fprintf(w, "Data center %s is disabled\n", dc)
			}
		})
}

func (c *command) getMaxHintWindow() *cobra.Command {
	return asks(c, "getmaxhintwindow", "How long after a node went away writes are kept for it", c.hintSettings,
		func(w io.Writer, s report.HintSettings) {
			fmt.Fprintf(w, "Current max hint window: %d ms\n", s.WindowMillis)
		})
}

func (c *command) hintSettings(ctx context.Context) (report.HintSettings, error) {
	return c.node().HintSettings(ctx)
}

// change carries a change out. It prints nothing, as nodetool; programs are
// told how things stand afterwards.
func (c *command) change(ctx context.Context, change report.HintChange) error {
	settings, err := c.node().ChangeHints(ctx, change)
	if err != nil {
		return err
	}
	return c.show(settings, silent)
}

func (c *command) changesHints(use, short string, change report.HintChange) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.change(cmd.Context(), change) },
	}
}

func (c *command) hintsForDC(name, short string, enabled bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " <datacenter>", Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return badUse("%s requires exactly one data center", name)
			}
			return c.change(cmd.Context(), report.HintChange{Datacenter: &report.HintsDatacenter{Name: args[0], Enabled: enabled}})
		},
	}
}

// hintsNumber is a verb that sets a number, which is an int in Cassandra.
func (c *command) hintsNumber(use, parameter, short string, change func(int64) report.HintChange) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return missing(parameter)
			}
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || n < 0 || n > math.MaxInt32 {
				return badUse("%s: %q is not a number from 0 to %d", parameter, args[0], math.MaxInt32)
			}
			return c.change(cmd.Context(), change(n))
		},
	}
}

// missing tells of a parameter that must be there.
func missing(parameter string) error { return badUse("Required parameters are missing: %s", parameter) }

func (c *command) truncateHints() *cobra.Command {
	return &cobra.Command{
		Use: "truncatehints [address...]", Short: "Throw hints away: all, or those for the nodes named",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.node().TruncateHints(cmd.Context(), report.HintsRequest{Addresses: args}); err != nil {
				return err
			}
			return c.show(report.Empty{}, silent)
		},
	}
}

func (c *command) listPendingHints() *cobra.Command {
	return asks(c, "listpendinghints", "The hints that wait, by node",
		func(ctx context.Context) (report.HintList, error) { return c.node().PendingHints(ctx) }, hintsLayout)
}

// hintTime is how nodetool writes when a hint was kept, in UTC.
const hintTime = "2006-01-02 15:04:05,000"

func hintsLayout(w io.Writer, list report.HintList) {
	if len(list.Hints) == 0 {
		fmt.Fprintln(w, "This node does not have any pending hints")
		return
	}
	t := &columns{}
	t.add("Host ID", "Address", "Rack", "DC", "Status", "Total files", "Newest", "Oldest")
	for _, h := range list.Hints {
		address, liveness := "Unknown", "Unknown"
		if h.Address != "" {
			address, liveness = net.JoinHostPort(h.Address, strconv.Itoa(h.Port)), strings.ToUpper(string(h.Liveness))
		}
		t.add(h.HostID, address, orUnknown(h.Rack), orUnknown(h.Datacenter), liveness, strconv.Itoa(h.Files), hintTimeOf(h.Newest), hintTimeOf(h.Oldest))
	}
	t.write(w, widths(t), " ")
	for _, h := range list.Hints {
		for _, m := range h.Missed {
			table := m.Table
			if table == "" {
				table = "every table"
			}
			fmt.Fprintf(w, "Needs repair: %s misses writes to %s since %s\n", h.HostID, table, hintTimeOf(m.Since))
		}
	}
}

func hintTimeOf(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.UTC().Format(hintTime)
}

func orUnknown(s string) string {
	if s == "" {
		return "Unknown"
	}
	return s
}
