package ctl

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

func (c *command) status() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status [keyspace]", Short: "All nodes: state, load, ownership",
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := c.node().Status(cmd.Context(), first(args))
			if err != nil {
				return c.noKeyspace(first(args), err)
			}
			return c.show(ring, func(w io.Writer) { c.statusLayout(w, ring) })
		},
	}
	c.resolves(cmd)
	return cmd
}

func (c *command) ring() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ring [keyspace]", Short: "All nodes with their tokens",
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := c.node().Ring(cmd.Context(), first(args))
			if err != nil {
				return c.noKeyspace(first(args), err)
			}
			return c.show(ring, func(w io.Writer) { c.ringLayout(w, ring) })
		},
	}
	c.resolves(cmd)
	return cmd
}

// noKeyspace tells a missing keyspace where nodetool's status and ring do.
func (c *command) noKeyspace(keyspace string, err error) error {
	var told *report.Error
	if keyspace == "" || c.output != "text" || !errors.As(err, &told) || told.Kind != report.NotFound {
		return err
	}
	fmt.Fprintf(c.env.Out, "\nError: The keyspace %s, does not exist\n", keyspace)
	return errShown
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return badUse("Found unexpected parameters: %v", args[n:])
		}
		return nil
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// datacenters groups members, sorted by name, then by rack and address.
func datacenters(members []report.Member) ([]string, map[string][]report.Member) {
	groups := map[string][]report.Member{}
	for _, m := range members {
		groups[m.Datacenter] = append(groups[m.Datacenter], m)
	}
	var names []string
	for name, group := range groups {
		names = append(names, name)
		sort.Slice(group, func(i, j int) bool {
			if group[i].Rack != group[j].Rack {
				return group[i].Rack < group[j].Rack
			}
			return addressLess(group[i].Address, group[j].Address)
		})
	}
	sort.Strings(names)
	return names, groups
}

// addressLess puts 127.0.0.2 before 127.0.0.10, and 127.0.0.2:7000 before
// 127.0.0.10:7000.
func addressLess(a, b string) bool {
	if p, err := netip.ParseAddrPort(a); err == nil {
		q, err := netip.ParseAddrPort(b)
		return err == nil && p.Compare(q) < 0
	}
	x, y := net.ParseIP(a), net.ParseIP(b)
	if x == nil || y == nil {
		return a < b
	}
	return string(x.To16()) < string(y.To16())
}

func (c *command) statusLayout(w io.Writer, ring report.Ring) {
	names, groups := datacenters(ring.Members)
	tables := make([]*columns, len(names))
	for i, name := range names {
		t := &columns{}
		heading := "Owns"
		if ring.Effective {
			heading = "Owns (effective)"
		}
		t.add("--", "Address", "Load", "Tokens", heading, "Host ID", "Rack")
		for _, m := range groups[name] {
			t.add(letters(m), c.endpoint(m.Address, m.Port), optionalSize(m.LoadBytes), strconv.Itoa(m.TokenCount), owns(ring, m, 1), m.HostID, m.Rack)
		}
		tables[i] = t
	}
	shared := widths(tables...)
	for i, name := range names {
		if i > 0 {
			fmt.Fprintln(w)
		}
		header := "Datacenter: " + name
		fmt.Fprintf(w, "%s\n%s\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n", header, strings.Repeat("=", len(header)))
		tables[i].write(w, shared, "  ")
	}
	fmt.Fprintln(w)
	if ring.Note != "" {
		fmt.Fprintf(w, "Note: %s\n", ring.Note)
	}
}

// owns shows a share as nodetool does: not at all when it would not be that of
// the data. Programs are told the share of the primary ranges.
func owns(ring report.Ring, m report.Member, decimals int) string {
	if !ring.Effective {
		return "?"
	}
	return percent(m.Owns, decimals)
}

// letters are the two that begin a line of status.
func letters(m report.Member) string {
	state := map[report.Movement]string{report.Leaving: "L", report.Joining: "J", report.Moving: "M"}[m.Movement]
	if state == "" {
		state = "N"
	}
	switch m.Liveness {
	case report.Up:
		return "U" + state
	case report.Down:
		return "D" + state
	}
	return "?" + state
}

// resolves gives a verb the flag for names instead of addresses.
func (c *command) resolves(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&c.resolve, "resolve-ip", "r", false, "show names of nodes instead of addresses")
}

// endpoint is how a node is named: its address, or its name, and its port if
// the operator wants to see it.
func (c *command) endpoint(address string, port int) string {
	if c.printPort {
		return net.JoinHostPort(c.named(address), strconv.Itoa(port))
	}
	return c.named(address)
}

// named is the name of an address if the operator wants it and it has one.
func (c *command) named(address string) string {
	if !c.resolve {
		return address
	}
	name, known := c.names[address]
	if !known {
		name = c.env.NameOf(address)
		c.names[address] = name
	}
	return name
}

// nameOf asks the machine's resolver for the name of an address.
func nameOf(address string) string {
	names, err := net.LookupAddr(address)
	if err != nil || len(names) == 0 {
		return address
	}
	return strings.TrimSuffix(names[0], ".")
}

// owned is one token with its owner.
type owned struct {
	token string
	owner report.Member
}

func (c *command) ringLayout(w io.Writer, ring report.Ring) {
	width := 0
	vnodes := false
	for _, m := range ring.Members {
		// The width counts the port even when it is not shown.
		width = max(width, len(c.named(m.Address))+1+len(strconv.Itoa(m.Port)))
		vnodes = vnodes || len(m.Tokens) > 1
	}
	line := func(address, rack, status, state, load, owns, token string) {
		fmt.Fprintf(w, "%-*s  %-12s%-7s%-8s%-16s%-20s%-44s\n", width, address, rack, status, state, load, owns, token)
	}
	fmt.Fprintln(w)
	names, groups := datacenters(ring.Members)
	for _, name := range names {
		fmt.Fprintf(w, "Datacenter: %s\n==========\n", name)
		line("Address", "Rack", "Status", "State", "Load", "Owns", "Token")
		tokens := inRingOrder(groups[name])
		if len(tokens) > 1 {
			line("", "", "", "", "", "", tokens[len(tokens)-1].token)
		} else {
			fmt.Fprintln(w)
		}
		for _, t := range tokens {
			m := t.owner
			line(c.endpoint(m.Address, m.Port), m.Rack, title(string(m.Liveness)), title(string(m.Movement)), optionalSize(m.LoadBytes), owns(ring, m, 2), t.token)
		}
		fmt.Fprintln(w)
	}
	if vnodes {
		fmt.Fprint(w, "  Warning: \"nodetool ring\" is used to output all the tokens of a node.\n"+
			"  To view status related info of a node use \"nodetool status\" instead.\n\n")
	}
	fmt.Fprint(w, "\n  ")
	if ring.Note != "" {
		fmt.Fprintf(w, "Note: %s\n", ring.Note)
	}
}

func title(s string) string {
	if s == "" || s == string(report.Unknown) {
		return "?"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// inRingOrder sorts tokens as numbers; those of the byte-ordered partitioner
// are hexadecimal texts of bytes, which sort as texts.
func inRingOrder(members []report.Member) []owned {
	var all []owned
	var numbers []*big.Int
	numeric := true
	for _, m := range members {
		for _, token := range m.Tokens {
			n, ok := new(big.Int).SetString(token, 10)
			numeric = numeric && ok
			all = append(all, owned{token, m})
			numbers = append(numbers, n)
		}
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if numeric {
			return numbers[a].Cmp(numbers[b]) < 0
		}
		return all[a].token < all[b].token
	})
	sorted := make([]owned, len(all))
	for i, k := range order {
		sorted[i] = all[k]
	}
	return sorted
}
