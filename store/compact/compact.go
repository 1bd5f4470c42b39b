// Package compact decides which tables to merge, and merges them.
//
// Nouns: Info (what the choice needs to know of a table), Options (a table's
// compaction properties), Task (what Pick chose), Job (what Run needs to do it),
// Outside (what takes no part, and so may hold what a tombstone covers).
//
// store calls Pick when tables have changed and Run for what it returns. Pick is
// pure. Run never changes what a read returns, and drops a tombstone only when
// nothing outside can be covered by it. Which tables are in service is store's.
package compact

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"helenus/store/row"
	"helenus/store/sstable"
)

// Info is what Pick knows of a table.
type Info struct {
	ID           sstable.Descriptor
	Bytes        int64 // on disk
	Keys         int64
	First, Last  row.Key
	MinTimestamp int64
	MaxTimestamp int64
	MaxLocalTime int64
	Cells        int64   // mean per partition times partitions
	Droppable    float64 // part of the cells that are tombstones from before gcBefore
	Hotness      float64 // reads per second and key
	Created      int64   // seconds; when it was written
	RepairedAt   int64
	Pending      [16]byte // repair session
	Busy         bool     // in another task, or found damaged
	// Samples are token prefixes of keys at equal distances.
	Samples []uint64
}

// InfoOf describes an open table. gcBefore is now less the grace period.
func InfoOf(t *sstable.Table, gcBefore int64) Info {
	m := t.Meta()
	return Info{ID: t.Descriptor(), Bytes: t.Bytes(), Keys: t.Keys(), First: t.FirstKey(), Last: t.LastKey(),
		MinTimestamp: m.MinTimestamp, MaxTimestamp: m.MaxTimestamp, MaxLocalTime: m.MaxLocalTime,
		Cells: m.PartitionCells.Mean() * m.PartitionCells.Total(), Droppable: m.DroppableRatio(gcBefore),
		RepairedAt: m.RepairedAt, Pending: m.PendingRepair, Samples: t.SampledPrefixes()}
}

// Options are a table's compaction properties with their defaults.
type Options struct {
	Enabled            bool
	MinThreshold       int
	MaxThreshold       int
	MinTableBytes      int64
	BucketLow          float64
	BucketHigh         float64
	TombstoneThreshold float64
	TombstoneInterval  int64 // seconds
	Unchecked          bool
	OnlyRepaired       bool // purge tombstones in repaired tables only
}

// ParseOptions reads the properties of CREATE TABLE ... WITH compaction. Those
// of other strategies than size-tiered are kept by the schema and pass here.
func ParseOptions(m map[string]string) (Options, error) {
	o := Options{Enabled: true, MinThreshold: 4, MaxThreshold: 32, MinTableBytes: 50 << 20, BucketLow: 0.5, BucketHigh: 1.5,
		TombstoneThreshold: 0.2, TombstoneInterval: 86400}
	sized := strings.HasSuffix(m["class"], "SizeTieredCompactionStrategy")
	for k, v := range m {
		var err error
		switch k {
		case "enabled":
			o.Enabled, err = strconv.ParseBool(v)
		case "min_threshold":
			o.MinThreshold, err = strconv.Atoi(v)
		case "max_threshold":
			o.MaxThreshold, err = strconv.Atoi(v)
		case "bucket_low":
			o.BucketLow, err = strconv.ParseFloat(v, 64)
		case "bucket_high":
			o.BucketHigh, err = strconv.ParseFloat(v, 64)
		case "tombstone_threshold":
			o.TombstoneThreshold, err = strconv.ParseFloat(v, 64)
		case "tombstone_compaction_interval":
			o.TombstoneInterval, err = strconv.ParseInt(v, 10, 64)
		case "unchecked_tombstone_compaction":
			o.Unchecked, err = strconv.ParseBool(v)
		case "only_purge_repaired_tombstones":
			o.OnlyRepaired, err = strconv.ParseBool(v)
		case "min_sstable_size":
			if sized {
				o.MinTableBytes, err = strconv.ParseInt(v, 10, 64)
			}
		}
		if err != nil {
			return o, fmt.Errorf("compact: option %s: %w", k, err)
		}
	}
	if o.MinThreshold < 2 || o.MaxThreshold < o.MinThreshold || o.BucketHigh <= o.BucketLow {
		return o, fmt.Errorf("compact: thresholds %d to %d, buckets %v to %v", o.MinThreshold, o.MaxThreshold, o.BucketLow, o.BucketHigh)
	}
	return o, nil
}

// Situation is what Pick knows besides the tables.
type Situation struct {
	Now      int64 // seconds
	GCBefore int64
	// MemtableMinTimestamp is the least timestamp not yet in a table;
	// math.MaxInt64 if there is none.
	MemtableMinTimestamp int64
	// Compare orders keys: token.Partitioner.CompareTie.
	Compare func(a, b []byte) int
}

// NoMemtable is MemtableMinTimestamp when memtables are empty.
const NoMemtable = math.MaxInt64

// Task is a choice. Inputs are merged into one; Expired are dropped unread: all
// in them is past its time and covers nothing.
type Task struct {
	Reason  string
	Inputs  []sstable.Descriptor
	Expired []sstable.Descriptor
}
