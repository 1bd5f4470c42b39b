// Package config reads the settings of a node: cassandra.yaml's keys and a few
// of ours, strictly.
//
// Its nouns are Config (what the rooms get), Sources (flags over environment
// over file over defaults) and Origin (where a value came from). The binary
// loads it once and hands Config to the assembly. It never opens a file, looks
// at the environment by itself or changes a value after Load.
package config

import "time"

// Config is every setting that has a meaning here. Zero sizes and counts
// marked "auto" are chosen by the room that uses them.
type Config struct {
	ClusterName  string
	NumTokens    int
	InitialToken []string
	AllocateRF   int // allocate_tokens_for_local_replication_factor; 0: random tokens
	Partitioner  string
	Snitch       string
	Seeds        []string
	// AutoBootstrap false lets a new node join without the data that lies in its
	// ranges.
	AutoBootstrap bool

	ListenAddress       string
	BroadcastAddress    string // as ListenAddress when not set
	RPCAddress          string
	BroadcastRPCAddress string // as RPCAddress when not set
	StoragePort         int
	SSLStoragePort      int
	NativePort          int
	StartNative         bool
	AllowOlderProtocols bool

	DataDirectories          []string
	CommitLogDirectory       string
	CommitLogSync            SyncMode
	CommitLogSyncPeriod      time.Duration
	CommitLogSyncGroupWindow time.Duration
	CommitLogSegmentBytes    int64
	CommitLogTotalBytes      int64
	MutationBytesMax         int64 // auto: half a commit log segment

	MemtableHeapBytes       int64 // auto
	MemtableOffHeapBytes    int64 // auto
	FileCacheBytes          int64 // auto; the block cache
	PreparedStatementsBytes int64 // auto
	MemoryLimitBytes        int64 // auto: from the host or its container
	ColumnIndexBytes        int64
	ConcurrentReads         int
	ConcurrentCompactors    int // auto
	CompactionBytesPerSec   int64
	AutoSnapshot            bool
	DefaultKeyspaceRF       int

	GossipKeyFile       string // empty: gossip is not encrypted
	PhiConvictThreshold float64
	// DynamicSnitch asks the replicas first that answered fast lately.
	DynamicSnitch               bool
	DynamicSnitchUpdateInterval time.Duration
	DynamicSnitchResetInterval  time.Duration
	DynamicSnitchBadness        float64

	HintsDirectory           string // as hints beside the commit log when not set
	HintedHandoff            bool
	HintsDisabledDatacenters []string
	MaxHintWindow            time.Duration
	HintBytesPerSec          int64
	HintFileBytesMax         int64
	HintsPerHostBytesMax     int64 // 0: no limit

	RequestTimeout      time.Duration
	ReadTimeout         time.Duration
	RangeTimeout        time.Duration
	WriteTimeout        time.Duration
	CounterWriteTimeout time.Duration
	CASTimeout          time.Duration
	TruncateTimeout     time.Duration
	TraceTTL            time.Duration

	FrameBytesMax           int64
	ValueBytesMax           int64
	ConnectionsMax          int // -1: no limit
	ConnectionsPerIPMax     int // -1: no limit
	NativeIdleTimeout       time.Duration
	BatchWarnBytes          int64
	BatchFailBytes          int64
	UnloggedBatchWarn       int
	TombstoneWarn           int
	TombstoneFail           int
	InFlightBytesMax        int64 // auto
	InFlightPerAddrBytesMax int64 // auto
	AdminAddress            string
	AdminPort               int
	Metrics                 bool
	commitLogSyncDecided    bool
	// CommitLogReplayErrors says what a start does about an update in the log
	// that cannot be decoded: ReplayStop or ReplaySetAside.
	CommitLogReplayErrors string
	listenInterface       string
	rpcInterface          string
}

// SyncMode says when a write is acknowledged relative to its fsync.
type SyncMode string

// The modes of the commit log.
const (
	SyncGroup    SyncMode = "group"    // one fsync for all who wait, then the acknowledgement
	SyncBatch    SyncMode = "batch"    // an fsync as soon as a write comes, then the acknowledgement
	SyncPeriodic SyncMode = "periodic" // the acknowledgement first, an fsync each period
)

// MutationBytesLimit is the most that max_mutation_size may be: with what goes
// along it fits into a frame between nodes, of 32 MiB. A larger one would be
// found out only by the connection to a replica.
const MutationBytesLimit = 31 << 20

// What CommitLogReplayErrors may be.
const (
	ReplayStop     = "stop"      // the start fails
	ReplaySetAside = "set_aside" // its bytes are kept in a file and the start goes on
)

// shippedSyncPeriod is the period in every cassandra.yaml that was shipped.
const shippedSyncPeriod = 10 * time.Second

// settings binds names, defaults and old names to the fields of c. It is the
// one table from which defaults, file, environment and flags are read.
func settings(c *Config) []*setting {
	var all []*setting
	for _, group := range [][]*setting{cluster(c), network(c), peers(c), storage(c), limits(c), refusals()} {
		all = append(all, group...)
	}
	return all
}

func cluster(c *Config) []*setting {
	return []*setting{
		text("cluster_name", &c.ClusterName, "Test Cluster"),
		number("num_tokens", &c.NumTokens, "16", 1, 1536),
		commaList("initial_token", &c.InitialToken),
		number("allocate_tokens_for_local_replication_factor", &c.AllocateRF, "3", 0, 1000),
		class("partitioner", &c.Partitioner, "Murmur3Partitioner", "RandomPartitioner", "ByteOrderedPartitioner"),
		class("endpoint_snitch", &c.Snitch, "SimpleSnitch", "GossipingPropertyFileSnitch", "PropertyFileSnitch", "Ec2Snitch", "Ec2MultiRegionSnitch"),
		seeds(&c.Seeds),
		boolean("auto_bootstrap", &c.AutoBootstrap, "true"),
		number("default_keyspace_rf", &c.DefaultKeyspaceRF, "1", 1, 1000),
	}
}

func network(c *Config) []*setting {
	return []*setting{
		text("listen_address", &c.ListenAddress, "localhost"),
		text("listen_interface", &c.listenInterface, ""),
		text("broadcast_address", &c.BroadcastAddress, ""),
		text("rpc_address", &c.RPCAddress, "localhost"),
		text("rpc_interface", &c.rpcInterface, ""),
		text("broadcast_rpc_address", &c.BroadcastRPCAddress, ""),
		number("storage_port", &c.StoragePort, "7000", 0, 65535),
		number("ssl_storage_port", &c.SSLStoragePort, "7001", 0, 65535),
		number("native_transport_port", &c.NativePort, "9042", 0, 65535),
		boolean("start_native_transport", &c.StartNative, "true"),
		boolean("native_transport_allow_older_protocols", &c.AllowOlderProtocols, "true"),
		duration("native_transport_idle_timeout", &c.NativeIdleTimeout, "0ms"),
		text("admin_address", &c.AdminAddress, "127.0.0.1"),
		number("admin_port", &c.AdminPort, "7199", 0, 65535),
		boolean("metrics", &c.Metrics, "true"),
	}
}

// peers are about other nodes: who lives, who is near, and what they missed.
func peers(c *Config) []*setting {
	return []*setting{
		text("gossip_key_file", &c.GossipKeyFile, ""),
		decimal("phi_convict_threshold", &c.PhiConvictThreshold, "8", 1, 100),
		boolean("dynamic_snitch", &c.DynamicSnitch, "true"),
		duration("dynamic_snitch_update_interval", &c.DynamicSnitchUpdateInterval, "100ms"),
		duration("dynamic_snitch_reset_interval", &c.DynamicSnitchResetInterval, "600000ms"),
		decimal("dynamic_snitch_badness_threshold", &c.DynamicSnitchBadness, "1.0", 0, 1000),
		text("hints_directory", &c.HintsDirectory, ""),
		boolean("hinted_handoff_enabled", &c.HintedHandoff, "true"),
		commaList("hinted_handoff_disabled_datacenters", &c.HintsDisabledDatacenters),
		duration("max_hint_window", &c.MaxHintWindow, "3h"),
		size("hinted_handoff_throttle", &c.HintBytesPerSec, "1024KiB"),
		size("max_hints_file_size", &c.HintFileBytesMax, "128MiB"),
		size("max_hints_size_per_host", &c.HintsPerHostBytesMax, "0B"),
	}
}

func storage(c *Config) []*setting {
	return []*setting{
		list("data_file_directories", &c.DataDirectories, "/var/lib/helenus/data"),
		text("commitlog_directory", &c.CommitLogDirectory, "/var/lib/helenus/commitlog"),
		enum("commitlog_sync", (*string)(&c.CommitLogSync), string(SyncGroup), string(SyncBatch), string(SyncPeriodic)),
		duration("commitlog_sync_period", &c.CommitLogSyncPeriod, "10s"),
		duration("commitlog_sync_group_window", &c.CommitLogSyncGroupWindow, "0ms"),
		enum("commitlog_replay_errors", &c.CommitLogReplayErrors, ReplayStop, ReplaySetAside),
		boolean("commitlog_sync_decided", &c.commitLogSyncDecided, "false"),
		size("commitlog_segment_size", &c.CommitLogSegmentBytes, "32MiB"),
		size("commitlog_total_space", &c.CommitLogTotalBytes, "512MiB"),
		auto(size("max_mutation_size", &c.MutationBytesMax, "auto")),
		auto(size("memtable_heap_space", &c.MemtableHeapBytes, "auto")),
		auto(size("memtable_offheap_space", &c.MemtableOffHeapBytes, "auto")),
		auto(size("file_cache_size", &c.FileCacheBytes, "auto")),
		auto(size("prepared_statements_cache_size", &c.PreparedStatementsBytes, "auto").was("prepared_statements_cache_size_mb", "MiB")),
		auto(size("memory_limit", &c.MemoryLimitBytes, "auto")),
		size("column_index_size", &c.ColumnIndexBytes, "4KiB"),
		number("concurrent_reads", &c.ConcurrentReads, "32", 1, 1<<16),
		auto(number("concurrent_compactors", &c.ConcurrentCompactors, "auto", 1, 1024)),
		rate("compaction_throughput", &c.CompactionBytesPerSec, "64MiB/s").was("compaction_throughput_mb_per_sec", "MiB/s"),
		boolean("auto_snapshot", &c.AutoSnapshot, "true"),
	}
}

func limits(c *Config) []*setting {
	return []*setting{
		duration("request_timeout", &c.RequestTimeout, "10000ms"),
		duration("read_request_timeout", &c.ReadTimeout, "5000ms"),
		duration("range_request_timeout", &c.RangeTimeout, "10000ms"),
		duration("write_request_timeout", &c.WriteTimeout, "2000ms"),
		duration("counter_write_request_timeout", &c.CounterWriteTimeout, "5000ms"),
		duration("cas_contention_timeout", &c.CASTimeout, "1800ms"),
		duration("truncate_request_timeout", &c.TruncateTimeout, "60000ms"),
		duration("trace_type_query_ttl", &c.TraceTTL, "1d").was("tracetype_query_ttl", "s"),
		size("native_transport_max_frame_size", &c.FrameBytesMax, "16MiB"),
		size("max_value_size", &c.ValueBytesMax, "256MiB"),
		number("native_transport_max_concurrent_connections", &c.ConnectionsMax, "-1", -1, 1<<30),
		number("native_transport_max_concurrent_connections_per_ip", &c.ConnectionsPerIPMax, "-1", -1, 1<<30),
		auto(size("native_transport_max_request_data_in_flight", &c.InFlightBytesMax, "auto").
			was("native_transport_max_concurrent_requests_in_bytes", "B")),
		auto(size("native_transport_max_request_data_in_flight_per_ip", &c.InFlightPerAddrBytesMax, "auto").
			was("native_transport_max_concurrent_requests_in_bytes_per_ip", "B")),
		size("batch_size_warn_threshold", &c.BatchWarnBytes, "5KiB"),
		size("batch_size_fail_threshold", &c.BatchFailBytes, "50KiB"),
		number("unlogged_batch_across_partitions_warn_threshold", &c.UnloggedBatchWarn, "10", 0, 1<<30),
		number("tombstone_warn_threshold", &c.TombstoneWarn, "1000", 0, 1<<30),
		number("tombstone_failure_threshold", &c.TombstoneFail, "100000", 0, 1<<30),
	}
}

// refusals are settings that would weaken a node if they were passed over:
// only the value that asks for nothing is taken.
func refusals() []*setting {
	return []*setting{
		only("authenticator", "AllowAllAuthenticator"),
		only("authorizer", "AllowAllAuthorizer"),
		only("network_authorizer", "AllowAllNetworkAuthorizer"),
		only("cidr_authorizer", "AllowAllCIDRAuthorizer"),
		only("internode_authenticator", "AllowAllInternodeAuthenticator"),
		only("partition_denylist_enabled", "false"),
		only("cdc_enabled", "false"),
		only("native_transport_port_ssl", ""),
		onlyUnder("client_encryption_options", "enabled", "false"),
		onlyUnder("server_encryption_options", "internode_encryption", "none"),
		onlyUnder("transparent_data_encryption_options", "enabled", "false"),
		onlyUnder("audit_logging_options", "enabled", "false"),
	}
}
