package system

import (
	"helenus"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

func (t *Tables) local() []Record {
	s := t.env.State()
	n := s.Node(t.env.Self)
	if n == nil {
		return nil
	}
	rec := Record{
		"key": "local", "bootstrapped": "COMPLETED", "cluster_name": s.ClusterName, "cql_version": helenus.CQLVersion,
		"broadcast_address": n.Broadcast.Addr(), "broadcast_port": int(n.Broadcast.Port()),
		"data_center": string(n.Datacenter), "rack": string(n.Rack), "gossip_generation": t.env.Generation,
		"host_id": [16]byte(n.HostID), "listen_address": n.Listen.Addr(), "listen_port": int(n.Listen.Port()),
		"native_protocol_version": "5", "partitioner": s.Partitioner.Name(), "release_version": n.Release,
		"rpc_address": n.Native.Addr(), "rpc_port": int(n.Native.Port()), "schema_version": s.SchemaVersion(),
		"tokens": tokenTexts(s, n),
	}
	if t.env.TruncatedAt != nil {
		rec["truncated_at"] = t.env.TruncatedAt()
	}
	return []Record{rec}
}

func tokenTexts(s *meta.State, n *meta.Node) []string {
	out := make([]string, len(n.Tokens))
	for i, tok := range n.Tokens {
		out[i] = s.Partitioner.Format(tok)
	}
	return out
}

// others are the members that drivers may learn of: never this node, and none
// that is still on its way in. All have everything, so that no row is half
// filled: drivers fall over such.
func (t *Tables) others(f func(*meta.State, *meta.Node) Record) []Record {
	s := t.env.State()
	var out []Record
	for _, n := range s.Nodes {
		if n.HostID != t.env.Self && n.State != ring.Joining {
			rec := f(s, n)
			rec["data_center"], rec["rack"], rec["release_version"] = string(n.Datacenter), string(n.Rack), n.Release
			rec["host_id"], rec["schema_version"], rec["tokens"] = [16]byte(n.HostID), t.schemaOf(s, n), tokenTexts(s, n)
			rec["peer"], rec["preferred_ip"] = n.Broadcast.Addr(), n.Listen.Addr()
			out = append(out, rec)
		}
	}
	return out
}

// schemaOf is the schema that another node has come to as far as this one heard;
// drivers wait until all have the same. A node that was never heard of is not
// waited for.
func (t *Tables) schemaOf(s *meta.State, n *meta.Node) [16]byte {
	if t.env.PeerSchema != nil {
		if version, ok := t.env.PeerSchema(n.HostID); ok {
			return version
		}
	}
	return s.SchemaVersion()
}

func (t *Tables) peers() []Record {
	return t.others(func(_ *meta.State, n *meta.Node) Record { return Record{"rpc_address": n.Native.Addr()} })
}

func (t *Tables) peersV2() []Record {
	return t.others(func(_ *meta.State, n *meta.Node) Record {
		return Record{"peer_port": int(n.Broadcast.Port()), "preferred_port": int(n.Listen.Port()),
			"native_address": n.Native.Addr(), "native_port": int(n.Native.Port())}
	})
}
