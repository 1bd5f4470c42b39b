package agent

import (
	"fmt"
	"math"

	"helenus/agent/config"
	"helenus/agent/system"
)

// The tables of system_views that are rendered from facts. Columns that nothing
// here counts stay null: a zero would be read as a measurement.

func (a *Agent) clientsView() []system.Record {
	var out []system.Record
	for _, c := range a.server.Clients() {
		// Cassandra asks the name service for the name; it gives the address, too,
		// when there is none, and a read of this table must not wait for that.
		r := system.Record{"address": c.Address.Addr(), "port": int32(c.Address.Port()), "hostname": c.Address.Addr().String(),
			"connection_stage": "established", "request_count": int64(c.Requests), "ssl_enabled": false, "username": "anonymous"}
		if c.Version != 0 { // known once STARTUP came
			r["connection_stage"], r["protocol_version"] = "ready", int32(c.Version)
		}
		for column, text := range map[string]string{"driver_name": c.Driver, "driver_version": c.Release, "keyspace_name": c.Keyspace} {
			if text != "" {
				r[column] = text
			}
		}
		out = append(out, r)
	}
	return out
}

// settingsView shows what is in force: what the configuration left to the node
// is shown as the node decided.
func (a *Agent) settingsView() []system.Record {
	decided := decided(&a.cfg)
	var out []system.Record
	for _, s := range a.env.Settings {
		r := system.Record{"name": s.Name}
		value := s.Value
		if v, ok := decided[s.Name]; ok {
			value = v
		}
		if value != "" {
			r["value"] = value
		}
		out = append(out, r)
	}
	return out
}

// decided are the settings that auto fills in.
func decided(cfg *config.Config) map[string]string {
	return map[string]string{
		"memory_limit":                                       sizeText(cfg.MemoryLimitBytes),
		"memtable_heap_space":                                sizeText(cfg.MemtableHeapBytes),
		"file_cache_size":                                    sizeText(cfg.FileCacheBytes),
		"prepared_statements_cache_size":                     sizeText(cfg.PreparedStatementsBytes),
		"max_mutation_size":                                  sizeText(cfg.MutationBytesMax),
		"concurrent_compactors":                              fmt.Sprint(cfg.ConcurrentCompactors),
		"native_transport_max_request_data_in_flight":        sizeText(cfg.InFlightBytesMax),
		"native_transport_max_request_data_in_flight_per_ip": sizeText(cfg.InFlightPerAddrBytesMax),
	}
}

// sizeText writes a size in the largest of cassandra.yaml's units that it is a
// whole number of.
func sizeText(n int64) string {
	for _, u := range []struct {
		name  string
		shift int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n != 0 && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

func (a *Agent) cachesView() []system.Record {
	var out []system.Record
	for _, c := range a.caches() {
		ratio := math.NaN()
		if c.Requests > 0 {
			ratio = float64(c.Hits) / float64(c.Requests)
		}
		out = append(out, system.Record{"name": c.Name + "s", "capacity_bytes": c.CapacityBytes, "size_bytes": c.SizeBytes,
			"entry_count": int32(c.Entries), "hit_count": c.Hits, "request_count": c.Requests, "hit_ratio": ratio})
	}
	return out
}

func (a *Agent) poolsView() []system.Record {
	var out []system.Record
	for _, p := range a.pools() {
		r := system.Record{"name": p.name, "completed_tasks": p.completed, "blocked_tasks": int64(0), "blocked_tasks_all_time": int64(0)}
		for column, n := range map[string]int64{"active_tasks": p.active, "active_tasks_limit": p.limit, "pending_tasks": p.pending} {
			if n != unknown {
				r[column] = int32(n)
			}
		}
		out = append(out, r)
	}
	return out
}
