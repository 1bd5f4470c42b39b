package ctl

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helenus/balance"
	"helenus/ctl/cassandra"
	"helenus/ctl/node"
	"helenus/ctl/paste"
	"helenus/internal/report"
)

// source is where a ring comes from.
type source struct {
	file, paste, contact string
	rf                   string
	user, passwordFile   string
	sizes                string
}

// given tells whether the ring is somebody else's than the Helenus at --host.
func (s *source) given() bool { return s.file+s.paste+s.contact != "" }

// What --sizes says.
const (
	sizesToken     = "token"
	sizesLoad      = "load"
	sizesEstimates = "estimates"
)

func (s *source) flags(f *pflag.FlagSet) {
	f.StringVar(&s.file, "ring-file", "", "a ring in JSON (schema helenus.ring/1), - for standard input")
	f.StringVar(&s.paste, "paste", "", "what nodetool ring, status, describering or gossipinfo printed: a file, - for standard input")
	f.StringVar(&s.contact, "contact", "", "host:port of any node that speaks CQL, Cassandra or Helenus")
	f.StringVar(&s.rf, "rf", "", "with --paste: replicas, 3 or dc1=3,dc2=2 or SimpleStrategy=3")
	f.StringVar(&s.user, "username", "", "with --contact: who asks")
	f.StringVar(&s.passwordFile, "password-file", "", "with --contact: a file with the password")
}

// inputMax bounds a file or standard input.
const inputMax = 256 << 20

// readInput reads a file, or standard input for -.
func (c *command) readInput(name string) ([]byte, error) {
	in, from := c.env.In, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, from = f, name
	}
	if in == nil {
		in = strings.NewReader("")
	}
	data, err := io.ReadAll(io.LimitReader(in, inputMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	if len(data) > inputMax {
		return nil, fmt.Errorf("%s holds more than %d MiB", from, inputMax>>20)
	}
	return data, nil
}

// ring reads the ring that the flags point at.
func (s *source) ring(cmd *cobra.Command, c *command) (*balance.Ring, error) {
	given := []string{}
	for _, f := range []struct{ flag, value string }{{"--ring-file", s.file}, {"--paste", s.paste}, {"--contact", s.contact}} {
		if f.value != "" {
			given = append(given, f.flag)
		}
	}
	switch {
	case len(given) > 1:
		return nil, badUse("%s contradict each other: the ring comes from one of them", strings.Join(given, " and "))
	case s.rf != "" && s.paste == "":
		return nil, badUse("--rf goes with --paste: other rings tell their replication")
	case (s.user != "" || s.passwordFile != "") && s.contact == "":
		return nil, badUse("--username and --password-file go with --contact")
	case s.sizes != "" && s.sizes != sizesToken && s.sizes != sizesLoad && s.sizes != sizesEstimates:
		return nil, badUse("--sizes is %q: token, load or estimates", s.sizes)
	case s.sizes == sizesEstimates && s.contact == "":
		return nil, badUse("--sizes estimates needs --contact: only nodes know their sizes")
	case len(given) > 0 && (cmd.Flags().Changed("host") || cmd.Flags().Changed("port")):
		return nil, badUse("--host and --port name a Helenus node; with %s the ring comes from elsewhere", given[0])
	}
	r, err := s.read(cmd.Context(), c)
	if err != nil {
		return nil, err
	}
	return r, s.setSizes(r)
}

func (s *source) read(ctx context.Context, c *command) (*balance.Ring, error) {
	switch {
	case s.file != "":
		data, err := c.readInput(s.file)
		if err != nil {
			return nil, err
		}
		return balance.Parse(data)
	case s.paste != "":
		data, err := c.readInput(s.paste)
		if err != nil {
			return nil, err
		}
		return paste.Parse(string(data), paste.Options{RF: s.rf})
	case s.contact != "":
		login := cassandra.Login{User: s.user}
		if s.passwordFile != "" {
			data, err := c.readInput(s.passwordFile)
			if err != nil {
				return nil, err
			}
			login.Password = strings.TrimRight(string(data), "\r\n")
		}
		address := s.contact
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), "9042")
		}
		return cassandra.ReadRing(ctx, cassandra.Dial(login), address, s.sizes == "" || s.sizes == sizesEstimates)
	}
	return ringOf(ctx, c.node())
}

// ringOf is the ring of a running Helenus.
func ringOf(ctx context.Context, n node.Node) (*balance.Ring, error) {
	members, err := n.Ring(ctx, "")
	if err != nil {
		return nil, err
	}
	cluster, err := n.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	r, err := balance.NewRing(cluster.Partitioner)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, m := range members.Members {
		count[m.Address]++
	}
	for _, m := range members.Members {
		out := balance.Node{ID: m.Address, HostID: m.HostID, DC: m.Datacenter, Rack: m.Rack, Weight: balance.WeightOne, State: letters(m)}
		if count[m.Address] > 1 {
			out.ID = net.JoinHostPort(m.Address, strconv.Itoa(m.Port))
		}
		if m.LoadBytes != nil {
			out.Load = big.NewInt(*m.LoadBytes)
		}
		for _, t := range m.Tokens {
			p, err := r.ParseToken(t)
			if err != nil {
				return nil, fmt.Errorf("node %s: %w", out.ID, err)
			}
			out.Tokens = append(out.Tokens, p)
		}
		r.Nodes = append(r.Nodes, out)
	}
	return r, addKeyspaces(r, cluster.Keyspaces)
}

// addKeyspaces takes the users' keyspaces: the system's hold next to nothing.
func addKeyspaces(r *balance.Ring, all []report.Keyspace) error {
	for _, k := range all {
		if k.Name == "system" || strings.HasPrefix(k.Name, "system_") {
			continue
		}
		options := map[string]string{"class": k.Class}
		for name, value := range k.Options {
			options[name] = value
		}
		out, err := cassandra.Keyspace(k.Name, options)
		if err != nil {
			return err
		}
		if out.RF > 0 || len(out.DCs) > 0 {
			r.Keyspaces = append(r.Keyspaces, out)
		}
	}
	return r.Check()
}

// setSizes gives the ring the sizes that were asked for: without a word the
// best there are.
func (s *source) setSizes(r *balance.Ring) error {
	loads := true
	for i := range r.Nodes {
		loads = loads && (r.Nodes[i].Load != nil || len(r.Nodes[i].Tokens) == 0)
	}
	switch {
	case s.sizes == sizesToken:
		for i := range r.Keyspaces {
			r.Keyspaces[i].PerToken, r.Keyspaces[i].Density = "", nil
		}
	case s.sizes == sizesLoad && !loads:
		return badUse("--sizes load: the load of %s is not known", firstWithoutLoad(r))
	case s.sizes == sizesLoad && len(r.Keyspaces) == 0:
		return badUse("--sizes load: no keyspace is known, say --rf")
	case s.sizes == sizesEstimates && !r.Measured():
		return fmt.Errorf("--sizes estimates: no node has any yet; flush, then nodetool refreshsizeestimates, or say --sizes token")
	case s.sizes == sizesLoad || s.sizes == "" && loads && !r.Measured():
		spreadLoads(r)
	}
	return nil
}

func firstWithoutLoad(r *balance.Ring) string {
	for i := range r.Nodes {
		if r.Nodes[i].Load == nil {
			return r.Nodes[i].ID
		}
	}
	return "a node"
}

// spreadLoads takes the sum of the nodes' loads for all copies of all
// keyspaces, as if it lay evenly over the tokens.
func spreadLoads(r *balance.Ring) {
	sum := new(big.Int)
	for i := range r.Nodes {
		if r.Nodes[i].Load != nil {
			sum.Add(sum, r.Nodes[i].Load)
		}
	}
	copies := 0
	for _, k := range r.Keyspaces {
		copies += k.RF
		for _, rf := range k.DCs {
			copies += rf
		}
	}
	if sum.Sign() == 0 || copies == 0 {
		return
	}
	perToken := new(big.Rat).SetFrac(sum, new(big.Int).Mul(r.Circumference, big.NewInt(int64(copies))))
	f, _ := perToken.Float64()
	for i := range r.Keyspaces {
		r.Keyspaces[i].PerToken, r.Keyspaces[i].Density = cassandra.Decimal(f), nil
	}
	r.Notes = append(r.Notes, "sizes are the nodes' loads, as if they lay evenly over the tokens")
}
