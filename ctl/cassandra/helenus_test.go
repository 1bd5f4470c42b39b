package cassandra

import (
	"context"
	"testing"
	"testing/synctest"

	"helenus/internal/sim"
)

// TestHelenus reads a whole agent of ours over CQL.
func TestHelenus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := sim.New(t, 1).NewNode(sim.Options{Free: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // it listens
		conn, err := n.Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Query(t.Context(), "CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 2}"); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRing(t.Context(), func(context.Context, string) (Session, error) { return session{conn}, nil }, "127.0.0.1:0", true)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Nodes) != 1 || r.Nodes[0].ID != "127.0.0.1" || len(r.Nodes[0].Tokens) != 1 || r.Nodes[0].DC != "datacenter1" || r.Nodes[0].HostID == "" {
			t.Errorf("nodes %+v", r.Nodes)
		}
		if len(r.Keyspaces) != 1 || r.Keyspaces[0].DCs["datacenter1"] != 2 || r.Partitioner != "Murmur3Partitioner" {
			t.Errorf("ring %+v", r)
		}
	})
}
