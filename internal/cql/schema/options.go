package schema

import "maps"

// Options are a table's WITH properties. All are kept and described as given,
// also those that do nothing yet.
type Options struct {
	AdditionalWritePolicy     string
	AllowAutoSnapshot         bool
	BloomFilterFPChance       float64
	Caching                   map[string]string
	CDC                       bool
	Comment                   string
	Compaction                map[string]string // "class" holds the full class name
	Compression               map[string]string // "class" holds the full class name; {"enabled": "false"} for none
	Memtable                  string
	CRCCheckChance            float64
	DefaultTTLSeconds         int32
	Extensions                map[string][]byte
	GCGraceSeconds            int32
	IncrementalBackups        bool
	MaxIndexInterval          int32
	MemtableFlushPeriodMillis int32
	MinIndexInterval          int32
	ReadRepair                string
	SpeculativeRetry          string
}

// DefaultOptions are those of CREATE TABLE without WITH.
func DefaultOptions() Options {
	return Options{
		AdditionalWritePolicy: "99p",
		AllowAutoSnapshot:     true,
		BloomFilterFPChance:   0.01,
		Caching:               map[string]string{"keys": "ALL", "rows_per_partition": "NONE"},
		Compaction: map[string]string{"class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
			"max_threshold": "32", "min_threshold": "4"},
		Compression: map[string]string{"chunk_length_in_kb": "16",
			"class": "org.apache.cassandra.io.compress.LZ4Compressor"},
		Memtable:           "default",
		CRCCheckChance:     1.0,
		Extensions:         map[string][]byte{},
		GCGraceSeconds:     864000,
		IncrementalBackups: true,
		MaxIndexInterval:   2048,
		MinIndexInterval:   128,
		ReadRepair:         "BLOCKING",
		SpeculativeRetry:   "99p",
	}
}

// Clone copies the maps too, so that a change cannot reach an older schema.
func (o Options) Clone() Options {
	o.Caching, o.Compaction, o.Compression = maps.Clone(o.Caching), maps.Clone(o.Compaction), maps.Clone(o.Compression)
	o.Extensions = maps.Clone(o.Extensions)
	return o
}
