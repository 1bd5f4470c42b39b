// Package cassandra reads a cluster over CQL, whoever serves it: a real
// Cassandra from 3.0 on, or Helenus.
//
// Nouns: Session (one node that answers queries), Row (a line of its answer),
// ReadRing (members with tokens, replication, measured bytes). ctl calls it. It
// connects to every node: who does not answer counts as down, which no table
// tells of a node that crashed, and each knows only its own estimates. It never
// writes, and what it could not learn stands in the ring's Notes.
package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"helenus"
	"helenus/balance"
	"helenus/internal/cql/client"
	"helenus/internal/cql/types"
)

// Row is one line of an answer, by column; null is absent.
type Row map[string]any

// Session is one node that answers queries.
type Session interface {
	Rows(ctx context.Context, text string) ([]Row, error)
	Close() error
}

// Connect opens a session with the node at host:port.
type Connect func(ctx context.Context, address string) (Session, error)

// The bounds of talking to one node.
const (
	connectTimeout = 10 * time.Second
	queryTimeout   = 30 * time.Second
	askedMax       = 32 // nodes at a time
	pageSize       = 5000
	rowsMax        = 1 << 22
)

// session is a connection of the native protocol.
type session struct{ conn *client.Conn }

// Login is who asks; the zero value asks without a name.
type Login struct{ User, Password string }

// Dial makes a Connect of the native protocol.
func Dial(login Login) Connect {
	return func(ctx context.Context, address string) (Session, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		var dialer net.Dialer
		conn, err := client.Connect(ctx, address, client.Config{Username: login.User, Password: login.Password, DriverName: "ctl",
			Dial: func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }})
		if err != nil {
			return nil, err
		}
		return session{conn}, nil
	}
}

func (s session) Close() error { return s.conn.Close() }

// Rows asks and decodes.
func (s session) Rows(ctx context.Context, text string) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	req := s.conn.QueryRequest(text)
	req.Params.PageSize = pageSize
	var out []Row
	for {
		res, err := s.conn.Do(ctx, req)
		if err != nil {
			return nil, err
		}
		rows, err := res.All()
		if err != nil {
			return nil, err
		}
		for _, cells := range rows {
			row := Row{}
			for i, c := range res.Rows.Columns {
				v, err := types.Decode(c.Type, cells[i])
				if err != nil {
					return nil, fmt.Errorf("column %s: %w", c.Name, err)
				}
				if v != nil {
					row[c.Name] = v
				}
			}
			out = append(out, row)
		}
		if len(out) > rowsMax {
			return nil, fmt.Errorf("more than %d rows", rowsMax)
		}
		if res.Rows.PagingState == nil {
			return out, nil
		}
		req.Params.PagingState = append([]byte{}, res.Rows.PagingState...)
	}
}

// peer is one node with the address where it serves clients.
type peer struct {
	node   balance.Node
	tokens []string
	port   string // of the other nodes; tells nodes of one address apart
	native string // host:port; "" if not known
}

// reader gathers a ring.
type reader struct {
	connect Connect
	contact string
	session Session
	ring    *balance.Ring
	peers   []peer
}

// ReadRing reads the cluster that a node belongs to. It sees whether all nodes
// answer, and with estimates asks them how many bytes their ranges hold.
func ReadRing(ctx context.Context, connect Connect, contact string, estimates bool) (*balance.Ring, error) {
	s, err := connect(ctx, contact)
	if err != nil {
		return nil, fmt.Errorf("contact %s: %w", contact, err)
	}
	defer func() { _ = s.Close() }() // nothing was written
	r := &reader{connect: connect, contact: contact, session: s}
	if err := r.members(ctx); err != nil {
		return nil, fmt.Errorf("contact %s: %w", contact, err)
	}
	if err := r.keyspaces(ctx); err != nil {
		return nil, fmt.Errorf("contact %s: %w", contact, err)
	}
	r.gossip(ctx)
	answers := r.ask(ctx, estimates)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.down(answers)
	if estimates {
		r.estimates(answers)
	}
	for _, p := range r.peers {
		r.ring.Nodes = append(r.ring.Nodes, p.node)
	}
	return r.ring, r.ring.Check()
}

func (r *reader) note(format string, args ...any) {
	r.ring.Notes = append(r.ring.Notes, fmt.Sprintf(format, args...))
}

// members reads system.local and system.peers_v2, or system.peers where that is
// all there is.
func (r *reader) members(ctx context.Context) error {
	rows, err := r.session.Rows(ctx, "SELECT * FROM system.local")
	if err != nil {
		return fmt.Errorf("read system.local: %w", err)
	}
	if len(rows) != 1 {
		return fmt.Errorf("system.local has %d rows", len(rows))
	}
	partitioner := text(rows[0]["partitioner"])
	if r.ring, err = balance.NewRing(partitioner); err != nil {
		return err
	}
	local := rows[0]
	local["native"] = r.contact
	all := []Row{local}
	peers, err := r.session.Rows(ctx, "SELECT * FROM system.peers_v2")
	if err != nil {
		if peers, err = r.session.Rows(ctx, "SELECT * FROM system.peers"); err != nil {
			return fmt.Errorf("read system.peers: %w", err)
		}
	}
	for _, row := range append(all, peers...) {
		if err := r.member(row); err != nil {
			return err
		}
	}
	r.nameThem()
	return nil
}

// member reads one row of local or peers.
func (r *reader) member(row Row) error {
	p := peer{port: text(first(row, "peer_port", "broadcast_port")), native: text(row["native"])}
	id := address(first(row, "peer", "broadcast_address", "listen_address"))
	if id == "" {
		return fmt.Errorf("a node without an address in system.local or system.peers")
	}
	p.tokens = texts(row["tokens"])
	if _, local := row["native"]; !local && (len(p.tokens) == 0 || text(row["data_center"]) == "" || row["host_id"] == nil) {
		r.note("the system tables name %s without its place and tokens: it is left out (a node that is coming or gone)", id)
		return nil
	}
	p.node = balance.Node{ID: id, HostID: hostID(row["host_id"]), DC: text(row["data_center"]), Rack: text(row["rack"]), Weight: balance.WeightOne}
	for _, t := range p.tokens {
		at, err := r.ring.ParseToken(t)
		if err != nil {
			return fmt.Errorf("node %s: %w", id, err)
		}
		p.node.Tokens = append(p.node.Tokens, at)
	}
	if p.native == "" {
		host := address(first(row, "native_address", "rpc_address"))
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = id
		}
		port := text(row["native_port"])
		if port == "" {
			_, port, _ = net.SplitHostPort(r.contact) // peers knows no ports
		}
		p.native = net.JoinHostPort(host, port)
	}
	r.peers = append(r.peers, p)
	return nil
}

// nameThem gives nodes of one address their ports too.
func (r *reader) nameThem() {
	count := map[string]int{}
	for _, p := range r.peers {
		count[p.node.ID]++
	}
	for i := range r.peers {
		if p := &r.peers[i]; count[p.node.ID] > 1 && p.port != "" {
			p.node.ID = net.JoinHostPort(p.node.ID, p.port)
		}
	}
	slices.SortStableFunc(r.peers, func(a, b peer) int { return compareAddress(a.node.ID, b.node.ID) })
}

func compareAddress(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

// gossip takes what the virtual table of 4.1 and later says of nodes: who moves
// or leaves, and their loads. Where it is not, nobody is known to move.
func (r *reader) gossip(ctx context.Context) {
	rows, err := r.session.Rows(ctx, "SELECT * FROM system_views.gossip_info")
	if err != nil {
		r.note("the system tables do not tell whether a node is joining, leaving or moving: look at nodetool status")
		return
	}
	for _, row := range rows {
		at := address(row["address"])
		for i := range r.peers {
			p := &r.peers[i]
			if p.node.ID != at && p.node.ID != net.JoinHostPort(at, text(row["port"])) {
				continue
			}
			status := text(first(row, "status_with_port", "status"))
			word, _, _ := strings.Cut(status, ",")
			p.node.State = map[string]string{"LEAVING": "UL", "MOVING": "UM", "BOOT": "UJ", "shutdown": "DN", "hibernate": "DN"}[word]
			p.node.Load = number(text(row["load"]))
		}
	}
}

// answer is what one node tells of itself.
type answer struct {
	down  error // nobody answers
	err   error // why it does not tell its sizes
	sizes map[string][]measured
	disks map[string]usage
	heavy map[string]heavy // by keyspace
}

// ask connects to every node, many at a time.
func (r *reader) ask(ctx context.Context, estimates bool) []answer {
	out := make([]answer, len(r.peers))
	var wg sync.WaitGroup
	slots := make(chan struct{}, askedMax)
	for i := range r.peers {
		slots <- struct{}{}
		wg.Go(func() {
			out[i] = r.askOne(ctx, &r.peers[i], estimates)
			<-slots
		})
	}
	wg.Wait()
	return out
}

func (r *reader) askOne(ctx context.Context, p *peer, estimates bool) (a answer) {
	s := r.session
	if p.native != r.contact {
		var err error
		if s, err = r.connect(ctx, p.native); err != nil {
			var refused *helenus.Error
			if !errors.As(err, &refused) { // else it lives, and wants something of us
				a.down = err
			}
			a.err = err
			return a
		}
		defer func() { _ = s.Close() }()
	}
	if estimates {
		a.err = a.estimates(ctx, s)
	}
	return a
}

// down marks the nodes that nobody reaches: gossip keeps the status of a node
// that crashed.
func (r *reader) down(answers []answer) {
	for i := range answers {
		p := &r.peers[i]
		if answers[i].down == nil {
			continue
		}
		if p.node.State == "" {
			p.node.State = "UN"
		}
		p.node.State = "D" + p.node.State[1:]
		r.note("%s counts as down, it does not answer clients at %s: %v", p.node.ID, p.native, answers[i].down)
	}
}

func first(row Row, names ...string) any {
	for _, n := range names {
		if v, ok := row[n]; ok {
			return v
		}
	}
	return nil
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		out = append(out, text(e))
	}
	slices.Sort(out)
	return out
}

func address(v any) string {
	if a, ok := v.(netip.Addr); ok && a.IsValid() {
		return a.Unmap().String()
	}
	return ""
}

func hostID(v any) string {
	if id, ok := v.([16]byte); ok {
		return uuid.UUID(id).String()
	}
	return ""
}
