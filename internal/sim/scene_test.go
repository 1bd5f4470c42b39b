package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/token"
)

// What follows lets a test play a scenario with a cluster: somebody asks one
// thing after another, nodes go and come back, and answers are compared.

// long tells whether tests may take their long form.
func long() bool { return os.Getenv("HELENUS_SIM_HOURS") != "" }

// request makes one on a connection that is kept for the next.
func (r *ring) request(a *Actor, n *Node, prepare func(req *proto.Request), text string) (*client.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := r.conn(ctx, a, n)
	if err != nil {
		return nil, err
	}
	req := c.QueryRequest(text)
	prepare(req)
	return c.Do(ctx, req)
}

func (r *ring) conn(ctx context.Context, a *Actor, n *Node) (*client.Conn, error) {
	if c := r.conns[n]; c != nil && c.Err() == nil {
		return c, nil
	}
	c, err := a.Connect(ctx, n)
	if err == nil {
		r.conns[n] = c
	}
	return c, err
}

// asked is an actor's: a row a line, as literals.
func (r *ring) asked(a *Actor, n *Node, cl helenus.Consistency, text string) (string, error) {
	res, err := r.request(a, n, func(req *proto.Request) { req.Params.Consistency = cl }, text)
	if err != nil {
		return "", err
	}
	return linesOf(res)
}

func linesOf(res *client.Result) (string, error) {
	if res.Kind != proto.ResultRows {
		return "", nil
	}
	rows, err := res.All()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, cells := range rows {
		var line []string
		for i, c := range cells {
			line = append(line, res.Rows.Columns[i].Type.FormatLiteral(c))
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return strings.Join(lines, "\n"), nil
}

// ask asks a node one thing.
func (r *ring) ask(n *Node, cl helenus.Consistency, text string) (out string, err error) {
	r.do("asker", func(a *Actor) error {
		out, err = r.asked(a, n, cl, text)
		return nil
	})
	return out, err
}

// must makes a node do things at a level.
func (r *ring) must(n *Node, cl helenus.Consistency, texts ...string) {
	r.do("asker", func(a *Actor) error {
		for _, text := range texts {
			if _, err := r.asked(a, n, cl, text); err != nil {
				return fmt.Errorf("%s at %s by %s: %w", text, cl, n.name, err)
			}
		}
		return nil
	})
}

// define changes the schema and waits until all nodes have it.
func (r *ring) define(texts ...string) {
	r.must(r.nodes[0], helenus.Quorum, texts...)
	if !r.t.Failed() && !r.RunUntil(10*time.Second, r.agreed) {
		r.Errorf("%s has not reached all nodes in 10 s", texts[0])
	}
	r.RunFor(time.Second) // their stores make the tables
}

// wants compares an answer: rows as literals, a row a line.
func (r *ring) wants(n *Node, cl helenus.Consistency, text, want string) {
	got, err := r.ask(n, cl, text)
	if !r.t.Failed() && (err != nil || got != want) {
		r.Errorf("%s at %s by %s: %q, %v; want %q", text, cl, n.name, got, err, want)
	}
}

// count is how many rows an answer has.
func (r *ring) count(n *Node, cl helenus.Consistency, text string) int {
	got, err := r.ask(n, cl, text)
	if err != nil && !r.t.Failed() {
		r.Errorf("%s at %s by %s: %v", text, cl, n.name, err)
	}
	if got == "" {
		return 0
	}
	return strings.Count(got, "\n") + 1
}

// operate asks a node's admin API.
func (r *ring) operate(n *Node, path, body string) (out string) {
	r.do("operator", func(*Actor) (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err = n.Operate(ctx, path, body)
		return err
	})
	return out
}

// unavailable tells whether an error is that one, with those numbers.
func unavailable(err error, cl helenus.Consistency, required, alive int) bool {
	var e *helenus.Error
	return errors.As(err, &e) && e.Code == helenus.CodeUnavailable && e.Consistency == cl && e.Required == required && e.Alive == alive
}

// convicted is when every node has noticed that another does not live any more.
const convicted = 25 * time.Second

// die kills nodes and waits until the others have noticed.
func (r *ring) die(nodes ...*Node) {
	if len(nodes) == 0 || r.t.Failed() {
		return
	}
	for _, n := range nodes {
		r.kill(n)
	}
	r.RunFor(convicted)
}

// stop ends nodes as an operator does: the others are told.
func (r *ring) stop(nodes ...*Node) {
	for _, n := range nodes {
		r.do("operator", func(*Actor) error { return n.Stop() })
	}
	if len(nodes) > 0 {
		r.RunFor(2 * time.Second)
	}
}

// back starts nodes and waits until all that live know of it.
func (r *ring) back(nodes ...*Node) {
	if len(nodes) == 0 || r.t.Failed() {
		return
	}
	for _, n := range nodes {
		r.Restart(n)
	}
	r.do("observer", func(a *Actor) error {
		a.Pause = 100 * time.Millisecond
		for _, n := range nodes {
			for ; ; a.Turn() {
				c, err := a.Connect(context.Background(), n)
				if err == nil {
					return c.Close()
				}
			}
		}
		return nil
	})
	r.RunFor(4 * time.Second)
}

// keysOf finds partition keys, as texts, that live on exactly those nodes.
func (r *ring) keysOf(count int, nodes ...*Node) (keys []string) {
	place := r.nodes[len(r.nodes)-1].State().Placement("ks")
	for i := 0; len(keys) < count; i++ {
		key := fmt.Sprint("k", i)
		replicas := place.Replicas(token.Murmur3Partitioner{}.Token([]byte(key)))
		all := len(replicas) == len(nodes)
		for _, n := range replicas {
			all = all && slices.ContainsFunc(nodes, func(x *Node) bool { return x.host.addr == n.Endpoint.Addr() })
		}
		if all {
			keys = append(keys, key)
		}
		if i > 1_000_000 {
			r.t.Fatal("sim: no partition lives on exactly the nodes that were named")
		}
	}
	return keys
}

// sorted sorts lines.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
