package sim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/proto"
)

// TestTombstoneLimits is scenario 12: a read that meets more tombstones than it
// may fails at once, and says why; above the lower limit the client is warned.
func TestTombstoneLimits(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		settings := map[string]string{"tombstone_warn_threshold": "10", "tombstone_failure_threshold": "30"}
		inCluster(t, seed, Layout{Nodes: 4, Racks: 3, Settings: settings}, func(r *ring) {
			replicas, asker := r.nodes[:3], r.nodes[3]
			r.define("CREATE TABLE ks.d (k text, c int, v int, PRIMARY KEY (k, c))")
			keys := r.keysOf(3, replicas...)
			for i, key := range keys {
				for c := range []int{5, 20, 60}[i] {
					r.must(asker, helenus.All, fmt.Sprintf("DELETE v FROM ks.d WHERE k = '%s' AND c = %d", key, c))
				}
			}
			for _, n := range []*Node{asker, replicas[0]} {
				for i, warnings := range []int{0, 1} {
					r.do("reader", func(a *Actor) error {
						res, err := r.request(a, n, func(req *proto.Request) { req.Params.Consistency = helenus.Quorum }, "SELECT * FROM ks.d WHERE k = '"+keys[i]+"'")
						if err == nil && (len(res.Warnings) != warnings || warnings > 0 && !strings.Contains(res.Warnings[0], "20 tombstone cells")) {
							err = fmt.Errorf("key %d by %s: warnings %q", i, n.name, res.Warnings)
						}
						return err
					})
				}
				began := r.Elapsed()
				_, err := r.ask(n, helenus.Quorum, "SELECT * FROM ks.d WHERE k = '"+keys[2]+"'")
				var e *helenus.Error
				if !errors.As(err, &e) || e.Code != helenus.CodeReadFailure || len(e.Failures) == 0 || e.Failures[0].Reason != 1 {
					r.Errorf("by %s: %+v", n.name, err)
				}
				if took := r.Elapsed() - began; took > time.Second {
					r.Errorf("the failure came after %v", took)
				}
			}
		})
	}
}

// TestOversizedMutations is scenario 13: what is larger than a mutation may be is
// refused by the coordinator, as an error that says what is too large, alone and
// in a batch, in either datacenter; and no replica has any of it.
func TestOversizedMutations(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 4, Racks: 2, Datacenters: 2}, func(r *ring) {
			r.define("CREATE TABLE ks.o (k int PRIMARY KEY, v text)")
			insert := func(k, bytes int) string {
				return fmt.Sprintf("INSERT INTO ks.o (k, v) VALUES (%d, '%s'); ", k, strings.Repeat("x", bytes))
			}
			says := regexp.MustCompile(`^Rejected an oversized mutation \(\d+/16384\) for keyspace: ks\. Top keys are: o\.1`)
			for _, n := range r.nodes[:2] { // one of each datacenter
				for _, text := range []string{insert(1, 17000), "BEGIN UNLOGGED BATCH " + insert(1, 9000) + insert(2, 8000) + "APPLY BATCH"} {
					for _, cl := range []helenus.Consistency{helenus.Any, helenus.LocalQuorum, helenus.EachQuorum, helenus.All} {
						began := r.Elapsed()
						_, err := r.ask(n, cl, text)
						var e *helenus.Error
						if !errors.As(err, &e) || e.Code != helenus.CodeInvalid || !says.MatchString(e.Message) {
							r.Errorf("%.40s… at %s: %v", text, cl, err)
						}
						if took := r.Elapsed() - began; took > time.Second {
							r.Errorf("%.40s… at %s was refused after %v", text, cl, took)
						}
					}
				}
			}
			r.wants(r.nodes[3], helenus.All, "SELECT k FROM ks.o", "")
			r.must(r.nodes[1], helenus.EachQuorum, insert(3, 15000))
			r.wants(r.nodes[0], helenus.All, "SELECT k FROM ks.o", "3")
		})
	}
}
