package compact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/store/row"
	"helenus/store/sstable"
)

// TestPick runs the stories of testdata/pick.txt. A line is a table: its number,
// then what differs from the usual: size= (bytes; K and M are known), keys=a-b
// (token prefixes), ts=a-b, ldt= (the greatest; without it something does not
// expire), drop= (droppable part), hot=, created=, repaired, pending, busy,
// samples=a,b,... The command's arguments are compaction options and now=,
// gcbefore=, memtable=; "all" asks for a major compaction.
func TestPick(t *testing.T) {
	datadriven.RunTest(t, "testdata/pick.txt", func(t *testing.T, d *datadriven.TestData) string {
		s := Situation{Now: 1_000_000, GCBefore: 500_000, MemtableMinTimestamp: NoMemtable, Compare: bytes.Compare}
		options := map[string]string{"class": "SizeTieredCompactionStrategy"}
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "now":
				s.Now = number(t, a.Vals[0])
			case "gcbefore":
				s.GCBefore = number(t, a.Vals[0])
			case "memtable":
				s.MemtableMinTimestamp = number(t, a.Vals[0])
			default:
				options[a.Key] = strings.Join(a.Vals, "")
			}
		}
		o, err := ParseOptions(options)
		if err != nil {
			return err.Error() + "\n"
		}
		var tables []Info
		for _, line := range strings.Split(d.Input, "\n") {
			tables = append(tables, parseInfo(t, line))
		}
		task := Pick(tables, s, o)
		if d.Cmd == "all" {
			task = PickAll(tables, s, o)
		}
		if task == nil {
			return "nothing\n"
		}
		return fmt.Sprintf("%s: merge %s drop %s\n", task.Reason, names(task.Inputs), names(task.Expired))
	})
}

func names(ds []sstable.Descriptor) string {
	var out []string
	for _, d := range ds {
		out = append(out, string(d.ID))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	unit := int64(1)
	if n, ok := strings.CutSuffix(s, "M"); ok {
		s, unit = n, 1<<20
	} else if n, ok := strings.CutSuffix(s, "K"); ok {
		s, unit = n, 1<<10
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v * unit
}

func key(prefix int64) row.Key {
	return row.Key{Prefix: uint64(prefix), Bytes: binary.BigEndian.AppendUint64(nil, uint64(prefix))}
}

func parseInfo(t *testing.T, line string) Info {
	words := strings.Fields(line)
	i := Info{ID: sstable.Descriptor{Version: sstable.NB, ID: sstable.ID(words[0])}, Bytes: 100 << 20, Keys: 100,
		First: key(0), Last: key(100), MinTimestamp: 1, MaxTimestamp: 100, MaxLocalTime: row.NoDeletionTime}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		from, to, _ := strings.Cut(value, "-")
		switch name {
		case "size":
			i.Bytes = number(t, value)
		case "keys":
			i.First, i.Last = key(number(t, from)), key(number(t, to))
		case "ts":
			i.MinTimestamp, i.MaxTimestamp = number(t, from), number(t, to)
		case "ldt":
			i.MaxLocalTime = number(t, value)
		case "drop":
			i.Droppable, _ = strconv.ParseFloat(value, 64)
		case "hot":
			i.Hotness, _ = strconv.ParseFloat(value, 64)
		case "created":
			i.Created = number(t, value)
		case "repaired":
			i.RepairedAt = 1
		case "pending":
			i.Pending[0] = 1
		case "busy":
			i.Busy = true
		case "samples":
			for _, p := range strings.Split(value, ",") {
				i.Samples = append(i.Samples, uint64(number(t, p)))
			}
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	return i
}
