package meta

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/cql/schema"
)

const (
	compactionPackage = "org.apache.cassandra.db.compaction."
	compressPackage   = "org.apache.cassandra.io.compress."
)

// check is one sub-option's rule; whole is the whole map, defaults not in it.
type check func(name, value string) error

// strategyCommon are the sub-options that every strategy knows.
var strategyCommon = map[string]check{
	"class": anything, "enabled": boolWord("%[1]s should either be 'true' or 'false', not %[2]s"),
	"log_all":                        boolWord("'%[1]s' should either be 'true' or 'false', not %[2]s"),
	"only_purge_repaired_tombstones": anything,
	"tombstone_threshold":            tombstoneThreshold,
	"tombstone_compaction_interval":  tombstoneInterval,
	"unchecked_tombstone_compaction": boolWord("'%[1]s' should be either 'true' or 'false', not '%[2]s'"),
}

var thresholds = map[string]check{"min_threshold": anything, "max_threshold": anything}

var sizeTiered = map[string]check{"min_sstable_size": minSSTableSize, "bucket_low": floatWord, "bucket_high": floatWord}

// strategies are the sub-options of each strategy beside the common ones.
var strategies = map[string][]map[string]check{
	"SizeTieredCompactionStrategy": {thresholds, sizeTiered},
	"LeveledCompactionStrategy": {thresholds, sizeTiered, {"sstable_size_in_mb": positive, "fanout_size": positive,
		"single_sstable_uplevel": anything}},
	"TimeWindowCompactionStrategy": {thresholds, sizeTiered, {
		"compaction_window_size":                  windowSize,
		"compaction_window_unit":                  oneOf("MINUTES", "HOURS", "DAYS"),
		"timestamp_resolution":                    oneOf("DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS", "MICROSECONDS", "NANOSECONDS"),
		"expired_sstable_check_frequency_seconds": checkFrequency,
		"unsafe_aggressive_sstable_expiration":    boolWord("%[1]s is not 'true' or 'false' (%[2]s)")}},
	"UnifiedCompactionStrategy": {{"scaling_parameters": scaling, "base_shard_count": shardCount,
		"target_sstable_size": targetSize, "min_sstable_size": sizeInBytes, "sstable_growth": growth,
		"overlap_inclusion_method": overlap, "flush_size_override": sizeInBytes, "parallelize_output_shards": anything,
		"max_sstables_to_compact": anything, "expired_sstable_check_frequency_seconds": checkFrequency,
		"unsafe_aggressive_sstable_expiration": anything}},
}

// compaction checks a compaction map and completes it with the full class name
// and, where the strategy knows them, the thresholds.
func compaction(given map[string]string) (map[string]string, error) {
	if given["class"] == "" {
		return nil, config("Missing sub-option 'class' for the 'compaction' option")
	}
	name := strings.TrimPrefix(given["class"], compactionPackage)
	groups, ok := strategies[name]
	if !ok {
		return nil, config("Unable to find compaction strategy class '%s%s'", compactionPackage, name)
	}
	known := maps.Clone(strategyCommon)
	for _, g := range groups {
		maps.Copy(known, g)
	}
	out := maps.Clone(given)
	out["class"] = compactionPackage + name
	if known["min_threshold"] != nil {
		out["min_threshold"] = or(out["min_threshold"], "4")
		out["max_threshold"] = or(out["max_threshold"], "32")
		if err := checkThresholds(out); err != nil {
			return nil, err
		}
	}
	var strangers []string
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if known[k] == nil {
			strangers = append(strangers, k)
		} else if err := known[k](k, given[k]); err != nil {
			return nil, err
		}
	}
	if name != "LeveledCompactionStrategy" {
		if err := checkBuckets(given); err != nil {
			return nil, err
		}
	}
	if len(strangers) > 0 {
		return nil, config("Properties specified [%s] are not understood by %s", strings.Join(strangers, ", "), name)
	}
	return out, nil
}

func checkThresholds(o map[string]string) error {
	var n [2]int64
	for i, k := range []string{"min_threshold", "max_threshold"} {
		v, err := strconv.ParseInt(o[k], 10, 32)
		if err != nil {
			return config("Invalid value %s for '%s' compaction sub-option - must be an integer", o[k], k)
		}
		n[i] = v
	}
	switch {
	case n[0] <= 0 || n[1] <= 0:
		return config("Disabling compaction by setting compaction thresholds to 0 has been removed, " +
			"set the compaction option 'enabled' to false instead.")
	case n[0] < 2:
		return config("Min compaction threshold cannot be less than 2 (got %d)", n[0])
	case n[0] > n[1]:
		return config("Min compaction threshold (got %d) cannot be greater than max compaction threshold (got %d)", n[0], n[1])
	}
	return nil
}

func checkBuckets(o map[string]string) error {
	low, _ := strconv.ParseFloat(or(o["bucket_low"], "0.5"), 64)
	high, _ := strconv.ParseFloat(or(o["bucket_high"], "1.5"), 64)
	if high <= low {
		return config("bucket_high value (%s) is less than or equal to the bucket_low value (%s)",
			schema.FormatDouble(high), schema.FormatDouble(low))
	}
	return nil
}

func anything(string, string) error { return nil }

func boolWord(text string) check {
	return func(name, value string) error {
		if strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
			return nil
		}
		return config(text, name, value)
	}
}

func oneOf(words ...string) check {
	return func(name, value string) error {
		if slices.Contains(words, value) {
			return nil
		}
		return config("%s is not valid for %s", value, name)
	}
}

func floatWord(name, value string) error {
	if _, err := strconv.ParseFloat(value, 64); err != nil {
		return config("%s is not a parsable float for %s", value, name)
	}
	return nil
}

func number(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, config("%s is not a parsable int (base10) for %s", value, name)
	}
	return n, nil
}

func minSSTableSize(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 0 {
		return config("%s must be non negative: %d", name, n)
	}
	return err
}

func positive(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 1 {
		return config("%s must be larger than 0, but was %d", name, n)
	}
	return err
}

func windowSize(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 1 {
		return config("%d must be greater than 1 for %s", n, name)
	}
	return err
}

func checkFrequency(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 0 {
		return config("%s must not be negative, but was %d", name, n)
	}
	return err
}

func tombstoneThreshold(name, value string) error {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return floatWord(name, value)
	}
	if f < 0 {
		return config("%s must be greater than 0, but was %f", name, f)
	}
	return nil
}

func tombstoneInterval(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 0 {
		return config("%s must be greater than 0, but was %d", name, n)
	}
	return err
}

var scalingParameter = regexp.MustCompile(`^(N|L[0-9]+|T[0-9]+|[+-]?[0-9]+)$`)

func scaling(_, value string) error {
	for _, p := range strings.Split(value, ",") {
		if p = strings.TrimSpace(p); !scalingParameter.MatchString(p) {
			return config("Scaling parameter %s must match N|L[0-9]+|T[0-9]+|[+-]?[0-9]+", p)
		}
	}
	return nil
}

func shardCount(name, value string) error {
	n, err := number(name, value)
	if err == nil && n < 1 {
		return config("Invalid configuration, %s should be positive: %d", name, n)
	}
	return err
}

func growth(name, value string) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	if strings.HasSuffix(value, "%") {
		f /= 100
	}
	if err != nil {
		return floatWord(name, value)
	}
	if f < 0 || f > 1 {
		return config("%s %s must be between 0 and 1", name, value)
	}
	return nil
}

func overlap(_, value string) error {
	if slices.Contains([]string{"NONE", "SINGLE", "TRANSITIVE"}, strings.ToUpper(value)) {
		return nil
	}
	return config("Invalid overlap inclusion method %s. The valid options are [NONE, SINGLE, TRANSITIVE].", value)
}

var sizeText = regexp.MustCompile(`^\s*([0-9.]+)\s*([KMGTPE]i)?B?\s*$`)

func bytesOf(name, value string) (float64, error) {
	m := sizeText.FindStringSubmatch(value)
	if m == nil {
		return 0, config("%s is not a valid size in bytes for %s", value, name)
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, config("%s is not a valid size in bytes for %s", value, name)
	}
	if m[2] != "" {
		for range strings.IndexByte("KMGTPE", m[2][0]) + 1 {
			f *= 1024
		}
	}
	return f, nil
}

func sizeInBytes(name, value string) error {
	_, err := bytesOf(name, value)
	return err
}

func targetSize(name, value string) error {
	f, err := bytesOf(name, value)
	if err == nil && f < 1<<20 {
		return config("%s %s is not acceptable, size must be at least 1.000MiB", name, value)
	}
	return err
}
