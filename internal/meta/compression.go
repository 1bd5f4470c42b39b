package meta

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/cql/schema"
)

// compressors are the classes and the sub-options that only they know.
var compressors = map[string][]string{
	"LZ4Compressor": {"lz4_compressor_type", "lz4_high_compressor_level"}, "SnappyCompressor": nil,
	"DeflateCompressor": nil, "ZstdCompressor": {"compression_level"}, "NoopCompressor": nil,
}

// compression checks a compression map and completes it; {"enabled": "false"}
// means none.
func compression(given map[string]string) (map[string]string, error) {
	off := map[string]string{"enabled": "false"}
	options := maps.Clone(given)
	enabled, said := options["enabled"]
	delete(options, "enabled")
	switch {
	case len(given) == 0:
		return off, nil
	case said && !strings.EqualFold(enabled, "true"):
		if len(options) > 0 {
			return nil, config("If the 'enabled' option is set to false no other options must be specified")
		}
		return off, nil
	}
	class, there := options["class"]
	if !there {
		return nil, config("Missing sub-option 'class' for the 'compression' option.")
	}
	if class == "" {
		return nil, config("The 'class' option must not be empty. To disable compression use 'enabled' : false")
	}
	delete(options, "class")
	out := map[string]string{"chunk_length_in_kb": "16"}
	if err := chunkLength(options, out); err != nil {
		return nil, err
	}
	if err := compressRatio(options, out); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(class, compressPackage)
	own, known := compressors[name]
	if !known {
		return nil, config("Could not create Compression for type %s%s", compressPackage, name)
	}
	out["class"] = compressPackage + name
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(own, k) {
			return nil, config("Unknown compression options %s", k)
		}
		if err := compressorOption(k, options[k]); err != nil {
			return nil, err
		}
		out[k] = options[k]
	}
	return out, nil
}

func chunkLength(options, out map[string]string) error {
	const name = "chunk_length_in_kb"
	text, there := options[name]
	if !there {
		return nil
	}
	delete(options, name)
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil || n > 1<<21:
		return config("Invalid value for %s", name)
	case n <= 0:
		return config("Invalid negative or null %s", name)
	case n&(n-1) != 0:
		return config("%s must be a power of 2", name)
	}
	out[name] = strconv.FormatInt(n, 10)
	return nil
}

func compressRatio(options, out map[string]string) error {
	const name = "min_compress_ratio"
	text, there := options[name]
	if !there {
		return nil
	}
	delete(options, name)
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return config(`For input string: "%s"`, text)
	case f != 0 && !(f >= 1):
		return config("min_compress_ratio can either be 0 or greater than or equal to 1")
	}
	if f != 0 {
		out[name] = schema.FormatDouble(f)
	}
	return nil
}

func compressorOption(name, value string) error {
	n, err := strconv.Atoi(value)
	switch name {
	case "lz4_compressor_type":
		if value != "fast" && value != "high" {
			return config("Invalid compressor type '%s' specified for LZ4 parameter 'lz4_compressor_type'. Valid options are [high, fast].", value)
		}
	case "lz4_high_compressor_level":
		if err != nil || n < 1 || n > 17 {
			return config("Invalid value [%s] for parameter 'lz4_high_compressor_level'. Value must be between 1 and 17.", value)
		}
	case "compression_level":
		if err != nil || n < -131072 || n > 22 {
			return config("ZstdCompressor.create() threw an error: java.lang.IllegalArgumentException compression_level=%s is invalid", value)
		}
	}
	return nil
}
