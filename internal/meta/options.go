package meta

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/cql/schema"
)

// ttlMaxSeconds is 20 years, the longest life CQL can give.
const ttlMaxSeconds = 630720000

func noDuplicates(properties []Property) error {
	seen := make(map[string]bool)
	for _, p := range properties {
		if seen[p.Name] {
			return syntax("Multiple definitions for property '%s'", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

func notAMap(name string) error {
	return syntax("Invalid value for property '%s'. It should be a map.", name)
}

func parseBool(p Property) (bool, error) {
	if p.IsMap {
		return false, notAString(p.Name)
	}
	switch strings.ToLower(p.Text) {
	case "1", "true", "yes":
		return true, nil
	case "0", "false", "no":
		return false, nil
	}
	return false, syntax("Invalid boolean value %s for '%s'. Positive values can be '1', 'true' or 'yes'. "+
		"Negative values can be '0', 'false' or 'no'.", p.Text, p.Name)
}

func notAString(name string) error {
	return syntax("Invalid value for property '%s'. It should be a string", name)
}

func parseInt(p Property) (int32, error) {
	if p.IsMap {
		return 0, notAString(p.Name)
	}
	n, err := strconv.ParseInt(p.Text, 10, 32)
	if err != nil {
		return 0, syntax("Invalid integer value %s for '%s'", p.Text, p.Name)
	}
	return int32(n), nil
}

func parseDouble(p Property) (float64, error) {
	if p.IsMap {
		return 0, notAString(p.Name)
	}
	f, err := strconv.ParseFloat(p.Text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, syntax("Invalid double value %s for '%s'", p.Text, p.Name)
	}
	return f, nil
}

// tableOptions writes properties over o, which the caller owns. id is the
// property `id`, zero when absent. What can be said of one property alone is
// checked here, ranges in checkOptions.
func tableOptions(o schema.Options, properties []Property) (_ schema.Options, id schema.TableID, err error) {
	for _, p := range properties { // an unknown name goes before a bad value
		if !tableProperty[p.Name] {
			return o, id, syntax("Unknown property '%s'", p.Name)
		}
	}
	for _, p := range properties {
		if p.Name == "id" {
			var ok bool
			if id, ok = parseTableID(p.Text); !ok {
				return o, id, config("Invalid table id")
			}
			continue
		}
		if err := setOption(&o, p); err != nil {
			return o, id, err
		}
	}
	return o, id, nil
}

var tableProperty = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields(`additional_write_policy allow_auto_snapshot bloom_filter_fp_chance caching cdc
		comment compaction compression crc_check_chance default_time_to_live extensions gc_grace_seconds id
		incremental_backups max_index_interval memtable memtable_flush_period_in_ms min_index_interval read_repair
		speculative_retry`) {
		m[name] = true
	}
	return m
}()

func setOption(o *schema.Options, p Property) (err error) {
	switch p.Name {
	case "bloom_filter_fp_chance":
		o.BloomFilterFPChance, err = parseDouble(p)
	case "crc_check_chance":
		o.CRCCheckChance, err = parseDouble(p)
	case "default_time_to_live":
		o.DefaultTTLSeconds, err = parseInt(p)
	case "gc_grace_seconds":
		o.GCGraceSeconds, err = parseInt(p)
	case "max_index_interval":
		o.MaxIndexInterval, err = parseInt(p)
	case "min_index_interval":
		o.MinIndexInterval, err = parseInt(p)
	case "memtable_flush_period_in_ms":
		o.MemtableFlushPeriodMillis, err = parseInt(p)
	case "allow_auto_snapshot":
		o.AllowAutoSnapshot, err = parseBool(p)
	case "incremental_backups":
		o.IncrementalBackups, err = parseBool(p)
	case "cdc":
		o.CDC, err = parseBool(p)
	case "caching", "compaction", "compression", "extensions":
		return setMapOption(o, p)
	default:
		return setTextOption(o, p)
	}
	return err
}

func setTextOption(o *schema.Options, p Property) (err error) {
	if p.IsMap {
		return notAString(p.Name)
	}
	switch p.Name {
	case "comment":
		o.Comment = p.Text
	case "memtable":
		if p.Text != "default" {
			return config(`Memtable configuration "%s" not found.`, p.Text)
		}
		o.Memtable = p.Text
	case "read_repair":
		o.ReadRepair = strings.ToUpper(p.Text)
		if o.ReadRepair != "NONE" && o.ReadRepair != "BLOCKING" {
			return config("Invalid value %s for option 'read_repair': one of NONE, BLOCKING", p.Text)
		}
	case "speculative_retry":
		o.SpeculativeRetry, err = speculation(p.Text)
	case "additional_write_policy":
		o.AdditionalWritePolicy, err = speculation(p.Text)
	}
	return err
}

func setMapOption(o *schema.Options, p Property) (err error) {
	if !p.IsMap {
		return notAMap(p.Name)
	}
	switch p.Name {
	case "caching":
		o.Caching, err = caching(p.Map)
	case "compaction":
		o.Compaction, err = compaction(p.Map)
	case "compression":
		o.Compression, err = compression(p.Map)
	} // extensions are taken and dropped, as Cassandra's CREATE TABLE does
	return err
}

func caching(given map[string]string) (map[string]string, error) {
	out := map[string]string{"keys": "NONE", "rows_per_partition": "NONE"}
	var strangers []string
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if _, known := out[k]; !known {
			strangers = append(strangers, k)
		}
		out[k] = strings.ToUpper(given[k])
	}
	if len(strangers) > 0 {
		return nil, config("Invalid caching sub-options [%s]: only 'keys' and 'rows_per_partition' are allowed", strings.Join(strangers, ", "))
	}
	if v := out["keys"]; v != "ALL" && v != "NONE" {
		return nil, config("Invalid value '%s' for caching sub-option 'keys': only 'ALL' and 'NONE' are allowed", given["keys"])
	}
	if v := out["rows_per_partition"]; v != "ALL" && v != "NONE" {
		if _, err := strconv.ParseUint(v, 10, 31); err != nil {
			return nil, config("Invalid value '%s' for caching sub-option 'rows_per_partition': "+
				"only 'ALL', 'NONE', and integer values are allowed", given["rows_per_partition"])
		}
	}
	return out, nil
}

// checkOptions looks at the ranges of a table's options.
func checkOptions(o *schema.Options) error {
	if f := o.BloomFilterFPChance; f <= 6.71e-5 || f > 1 {
		return config("bloom_filter_fp_chance must be larger than 6.71E-5 and less than or equal to 1.0 (got %s)", schema.FormatDouble(f))
	}
	if f := o.CRCCheckChance; f < 0 || f > 1 {
		return config("crc_check_chance must be larger than or equal to 0 and smaller than or equal to 1.0 (got %s)", schema.FormatDouble(f))
	}
	for _, c := range []struct {
		name       string
		value, min int32
	}{
		{"default_time_to_live", o.DefaultTTLSeconds, 0},
		{"gc_grace_seconds", o.GCGraceSeconds, 0},
		{"min_index_interval", o.MinIndexInterval, 1},
		{"memtable_flush_period_in_ms", o.MemtableFlushPeriodMillis, 0},
	} {
		if c.value < c.min {
			return config("%s must be greater than or equal to %d (got %d)", c.name, c.min, c.value)
		}
	}
	if o.DefaultTTLSeconds > ttlMaxSeconds {
		return config("default_time_to_live must be less than or equal to %d (got %d)", ttlMaxSeconds, o.DefaultTTLSeconds)
	}
	if o.MaxIndexInterval < o.MinIndexInterval {
		return config("max_index_interval must be greater than or equal to min_index_interval (%d) (got %d)",
			o.MinIndexInterval, o.MaxIndexInterval)
	}
	return nil
}

// speculation brings a speculative retry policy into its canonical spelling.
// Errors name speculative_retry also for additional_write_policy, as
// Cassandra's do.
func speculation(s string) (string, error) {
	bad := config("Invalid value %s for option 'speculative_retry'", s)
	switch u := strings.ToUpper(s); {
	case u == "NONE" || u == "NEVER":
		return "NEVER", nil
	case u == "ALWAYS":
		return "ALWAYS", nil
	case strings.HasPrefix(u, "MIN(") || strings.HasPrefix(u, "MAX("):
		args := strings.Split(strings.TrimSuffix(u[4:], ")"), ",")
		if len(args) != 2 || !strings.HasSuffix(u, ")") {
			return "", bad
		}
		a, aKind, err := speculationTerm(strings.TrimSpace(args[0]), s)
		b, bKind, err2 := speculationTerm(strings.TrimSpace(args[1]), s)
		if err != nil || err2 != nil {
			return "", bad
		}
		if aKind == bKind {
			return "", config("Invalid value %s for option 'speculative_retry': MIN()/MAX() arguments should be of different types, "+
				"but both are of type %s", s, aKind)
		}
		if bKind == percentile {
			a, b = b, a
		}
		return u[:4] + a + "," + b + ")", nil
	default:
		t, _, err := speculationTerm(u, s)
		return t, err
	}
}

const (
	percentile = "PERCENTILE"
	fixedTime  = "FIXED"
)

// speculationTerm reads `99p`, `99.9PERCENTILE` or `50ms`, in upper case; whole
// is what errors print.
func speculationTerm(s, whole string) (text, kind string, err error) {
	number, isTime := strings.CutSuffix(s, "MS")
	if !isTime {
		var ok bool
		if number, ok = strings.CutSuffix(s, percentile); !ok {
			number, ok = strings.CutSuffix(s, "P")
		}
		if !ok {
			return "", "", config("Invalid value %s for option 'speculative_retry'", whole)
		}
	}
	f, parseErr := strconv.ParseFloat(number, 64)
	if parseErr != nil || number == "" || strings.Trim(number, "0123456789.") != "" {
		return "", "", config("Invalid value %s for option 'speculative_retry'", whole)
	}
	if isTime {
		return strconv.FormatInt(int64(f), 10) + "ms", fixedTime, nil
	}
	if f <= 0 || f >= 100 {
		return "", "", config("Invalid value %s for PERCENTILE option 'speculative_retry': must be between (0.0 and 100.0)", whole)
	}
	return strconv.FormatFloat(f, 'f', -1, 64) + "p", percentile, nil
}
