package ctl

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"helenus/internal/report"
)

func (c *command) describeRing() *cobra.Command {
	return &cobra.Command{
		Use: "describering <keyspace>", Short: "The ranges of a keyspace with their replicas",
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return missing("keyspace")
			}
			ranges, err := c.node().Ranges(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(ranges, func(w io.Writer) { c.rangesLayout(w, ranges) })
		},
	}
}

// rangesLayout is what Cassandra's TokenRange says of itself: tools parse it.
func (c *command) rangesLayout(w io.Writer, r report.TokenRanges) {
	fmt.Fprintf(w, "Schema Version:%s\nTokenRange: \n", r.SchemaVersion)
	for _, one := range r.Ranges {
		var endpoints, native, details []string
		for _, n := range one.Replicas {
			address := c.endpoint(n.Address, n.Port)
			endpoints = append(endpoints, address)
			native = append(native, c.endpoint(n.NativeAddress, n.NativePort))
			details = append(details, fmt.Sprintf("EndpointDetails(host:%s, datacenter:%s, rack:%s)", address, n.Datacenter, n.Rack))
		}
		list := func(texts []string) string { return "[" + strings.Join(texts, ", ") + "]" }
		fmt.Fprintf(w, "\tTokenRange(start_token:%s, end_token:%s, endpoints:%s, rpc_endpoints:%s, endpoint_details:%s)\n",
			one.Start, one.End, list(endpoints), list(native), list(details))
	}
}
