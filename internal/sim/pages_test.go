package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/proto"
)

// page asks for one page at QUORUM: its rows, and what to go on with.
func (r *ring) page(a *Actor, n *Node, text string, size int32, from []byte) (rows []string, state []byte, err error) {
	res, err := r.request(a, n, func(req *proto.Request) {
		req.Params.Consistency, req.Params.PageSize, req.Params.PagingState = helenus.Quorum, size, from
	}, text)
	if err != nil {
		return nil, nil, err
	}
	lines, err := linesOf(res)
	if lines != "" {
		rows = strings.Split(lines, "\n")
	}
	return rows, bytes.Clone(res.Rows.PagingState), err
}

// TestPagesOfCluster is scenario 15: with every page size, rows that are deleted
// on some replicas only, a node that is killed and started between pages, and
// each page asked of another coordinator, each live row comes exactly once and in
// order.
func TestPagesOfCluster(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 4, Racks: 3, Settings: map[string]string{"hinted_handoff_enabled": "false"}}, func(r *ring) {
			p := &paging{ring: r}
			p.fill()
			sizes := []int32{1, 2, 3, 5, 7, 12, 100}
			if long() {
				sizes = nil
				for size := range int32(60) {
					sizes = append(sizes, size+1)
				}
			}
			for _, q := range []string{
				"SELECT k, c, v FROM ks.p",
				"SELECT k, c, v FROM ks.p WHERE k = 3",
				"SELECT k, c, v FROM ks.p WHERE k = 3 AND c > 2 ORDER BY c DESC",
				"SELECT k, c, v FROM ks.p WHERE k IN (1, 3, 5)",
				"SELECT k, c, v FROM ks.p LIMIT 17",
				"SELECT k, c, v FROM ks.p PER PARTITION LIMIT 2",
				"SELECT DISTINCT k, s FROM ks.p",
				"SELECT k, c, v FROM ks.p WHERE v = 1 ALLOW FILTERING",
			} {
				whole, err := r.ask(r.nodes[0], helenus.Quorum, q)
				if err != nil || whole == "" {
					r.Errorf("%s: %q, %v", q, whole, err)
				}
				for _, size := range sizes {
					p.compare(q, size, strings.Split(whole, "\n"))
				}
			}
		})
	}
}

type paging struct {
	*ring
	pages, restarts int
}

const pagedKeys = 9

// fill writes rows, and deletes some of them on two replicas of three.
func (p *paging) fill() {
	p.define("CREATE TABLE ks.p (k int, c int, s int static, v int, PRIMARY KEY (k, c)) WITH read_repair = 'NONE'")
	live := map[[2]int]bool{}
	var texts []string
	for k := range pagedKeys {
		texts = append(texts, fmt.Sprintf("UPDATE ks.p SET s = %d WHERE k = %d", k, k))
		for c := range 2 + 4*(k%4) {
			live[[2]int{k, c}] = true
			texts = append(texts, fmt.Sprintf("INSERT INTO ks.p (k, c, v) VALUES (%d, %d, %d)", k, c, (k+c)%3))
		}
	}
	p.must(p.nodes[0], helenus.All, texts...)
	for i, absent := range p.nodes {
		p.stop(absent)
		other := p.nodes[(i+1)%len(p.nodes)]
		p.must(other, helenus.Quorum,
			fmt.Sprintf("DELETE FROM ks.p WHERE k = 3 AND c = %d", 2*i),
			fmt.Sprintf("DELETE FROM ks.p WHERE k = %d AND c >= %d", i+4, 3),
			fmt.Sprintf("DELETE FROM ks.p WHERE k = 7 AND c > %d AND c < %d", 3*i, 3*i+3))
		delete(live, [2]int{3, 2 * i})
		for c := range 99 {
			if c >= 3 {
				delete(live, [2]int{i + 4, c})
			}
			if c > 3*i && c < 3*i+3 {
				delete(live, [2]int{7, c})
			}
		}
		if i == 2 {
			p.must(other, helenus.Quorum, "DELETE FROM ks.p WHERE k = 2")
			for c := range 99 {
				delete(live, [2]int{2, c})
			}
		}
		p.back(absent)
	}
	var want []string
	for at := range live {
		want = append(want, fmt.Sprint(at[0], at[1]))
	}
	slices.Sort(want)
	got, err := p.ask(p.nodes[0], helenus.Quorum, "SELECT k, c FROM ks.p WHERE c >= 0 ALLOW FILTERING")
	if sorted(got) != strings.Join(want, "\n") || err != nil {
		p.Errorf("%q, %v; want %q", sorted(got), err, want)
	}
}

// compare goes through a query page by page. Now and then a node dies between
// two pages and comes back after the next.
func (p *paging) compare(text string, size int32, want []string) {
	if p.t.Failed() {
		return
	}
	var got []string
	var state []byte
	for {
		p.pages++
		n := p.nodes[p.pages%len(p.nodes)]
		if p.pages%97 == 0 {
			p.restarts++
			dead := p.nodes[(p.pages+1)%len(p.nodes)]
			p.kill(dead)
			p.back(dead)
		}
		var page []string
		p.do("reader", func(a *Actor) (err error) {
			page, state, err = p.page(a, n, text, size, state)
			return err
		})
		got = append(got, page...)
		if len(page) > int(size) {
			p.Errorf("a page of %d rows has %d", size, len(page))
		}
		if state == nil || p.t.Failed() {
			break
		}
	}
	if !slices.Equal(got, want) {
		p.Errorf("%s in pages of %d: %q, want %q", text, size, got, want)
	}
}
