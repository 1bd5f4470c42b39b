package query

import (
	"encoding/binary"
	"strings"
	"time"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/types"
)

// function is a scalar function that comes with the server. A nil type among
// args takes anything.
type function struct {
	name string
	args []*types.Type
	ret  *types.Type
	call func(x *execution, args [][]byte) ([]byte, error)
}

// scalarFunctions are all overloads by name; each of the older camel-case
// spellings stands beside its successor.
var scalarFunctions = func() map[string][]*function {
	all := make(map[string][]*function)
	add := func(names string, ret types.Kind, call func(*execution, [][]byte) ([]byte, error), args ...types.Kind) {
		f := &function{ret: types.Native(ret), call: call}
		for _, a := range args {
			f.args = append(f.args, types.Native(a))
		}
		for i, n := range strings.Fields(names) {
			if i == 0 {
				f.name = n
			}
			all[n] = append(all[n], f)
		}
	}
	add("uuid", types.UUID, newUUID)
	add("now", types.TimeUUID, newTimeUUID)
	add("current_timeuuid currenttimeuuid", types.TimeUUID, newTimeUUID)
	add("current_timestamp currenttimestamp", types.Timestamp, func(x *execution, _ [][]byte) ([]byte, error) {
		return appendMillis(x.engine.opts.Now().UnixMilli()), nil
	})
	add("current_date currentdate", types.Date, func(x *execution, _ [][]byte) ([]byte, error) {
		return millisToDate(x.engine.opts.Now().UnixMilli()), nil
	})
	add("current_time currenttime", types.Time, func(x *execution, _ [][]byte) ([]byte, error) {
		now := x.engine.opts.Now().UTC()
		midnight := now.Truncate(24 * time.Hour)
		return appendMillis(now.Sub(midnight).Nanoseconds()), nil
	})
	for _, from := range []types.Kind{types.TimeUUID, types.Timestamp, types.Date} {
		millis := millisOf(from)
		if from != types.Timestamp {
			add("to_timestamp totimestamp", types.Timestamp, onMillis(millis, appendMillis), from)
		}
		if from != types.Date {
			add("to_date todate", types.Date, onMillis(millis, millisToDate), from)
		}
		add("to_unix_timestamp tounixtimestamp", types.BigInt, onMillis(millis, appendMillis), from)
	}
	add("min_timeuuid mintimeuuid", types.TimeUUID, onMillis(millisOf(types.Timestamp), func(ms int64) []byte { id := types.MinTimeUUID(ms); return id[:] }), types.Timestamp)
	add("max_timeuuid maxtimeuuid", types.TimeUUID, onMillis(millisOf(types.Timestamp), func(ms int64) []byte { id := types.MaxTimeUUID(ms); return id[:] }), types.Timestamp)
	return all
}()

func newUUID(x *execution, _ [][]byte) ([]byte, error) {
	id := make([]byte, 16)
	x.engine.opts.Rand(id)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id, nil
}

// newTimeUUID is unique per call: its time is a write timestamp of its own.
func newTimeUUID(x *execution, _ [][]byte) ([]byte, error) {
	id := x.engine.timeUUID()
	return id[:], nil
}

// timeUUID makes a version 1 UUID from the write clock.
func (e *Engine) timeUUID() [16]byte {
	var node [8]byte
	e.opts.Rand(node[:])
	return types.TimeUUIDFromMicros(e.opts.Clock.Micros(), node)
}

func appendMillis(ms int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(ms)) }

const dayMillis = 24 * 3600 * 1000

// millisToDate counts days from -5877641-06-23, with 1970-01-01 in the middle.
func millisToDate(ms int64) []byte {
	days := ms / dayMillis
	if ms%dayMillis < 0 {
		days--
	}
	return binary.BigEndian.AppendUint32(nil, uint32(days+1<<31))
}

func millisOf(k types.Kind) func(v []byte) int64 {
	switch k {
	case types.TimeUUID:
		return func(v []byte) int64 { return types.TimeUUIDMicros([16]byte(v)) / 1000 }
	case types.Date:
		return func(v []byte) int64 { return (int64(binary.BigEndian.Uint32(v)) - 1<<31) * dayMillis }
	}
	return func(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) }
}

func onMillis(from func([]byte) int64, to func(int64) []byte) func(*execution, [][]byte) ([]byte, error) {
	return func(_ *execution, args [][]byte) ([]byte, error) {
		if len(args[0]) == 0 {
			return nil, nil
		}
		return to(from(args[0])), nil
	}
}

// blobConversion finds typeAsBlob, blobAsType and their newer spellings.
func blobConversion(name string) *function {
	plain := strings.ReplaceAll(name, "_", "")
	if t := strings.TrimPrefix(plain, "blobas"); t != plain {
		if typ, err := types.ParseName(t, nil); err == nil {
			return &function{args: []*types.Type{types.Native(types.Blob)}, ret: typ, call: func(_ *execution, a [][]byte) ([]byte, error) {
				if a[0] != nil {
					if err := typ.Validate(a[0]); err != nil {
						return nil, helenus.Invalid("In call to function %s, value 0x%x is not a valid binary representation for type %s", functionText(name), a[0], typ)
					}
				}
				return a[0], nil
			}}
		}
	}
	if t := strings.TrimSuffix(plain, "asblob"); t != plain {
		if typ, err := types.ParseName(t, nil); err == nil {
			return &function{name: name, args: []*types.Type{typ}, ret: types.Native(types.Blob),
				call: func(_ *execution, a [][]byte) ([]byte, error) { return a[0], nil }}
		}
	}
	return nil
}

// functionsToCome are Cassandra's own functions that are not built yet.
var functionsToCome = []string{"abs", "exp", "log", "log10", "round", "map_keys", "map_values",
	"collection_count", "collection_min", "collection_max", "collection_sum", "collection_avg",
	"similarity_cosine", "similarity_euclidean", "similarity_dot_product",
	"mask_default", "mask_null", "mask_replace", "mask_inner", "mask_outer", "mask_hash"}

// The forms of selectors that come with a later issue.

func (c *compiler) cast(*parse.Cast, *scope) (expr, *types.Type, error) {
	return nil, nil, helenus.Unsupported("CAST")
}

func (c *compiler) binary(*parse.Binary, *types.Type, *scope) (expr, *types.Type, error) {
	return nil, nil, helenus.Unsupported("arithmetic")
}

func (c *compiler) negate(*parse.Negate, *types.Type, *scope) (expr, *types.Type, error) {
	return nil, nil, helenus.Unsupported("arithmetic")
}

func (c *compiler) partOf(e parse.Expr, _ *scope) (expr, *types.Type, error) {
	return nil, nil, helenus.Unsupported("selecting a part of a column: " + c.text(e))
}
