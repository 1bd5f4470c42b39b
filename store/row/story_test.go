package row

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

// story is what a file in testdata tells. Commands:
//
//	table                 the columns of the table, see ParseTable
//	encode                the mutation's bytes, and what they say again
//	decode                bytes in hex: what they say
//	source                one more source for merge
//	merge [reversed]      all sources as one; they are forgotten
//	keep                  what later commands look at
//	purge now gcbefore [max]
//	visible now [rows per partitions tombstones] [reversed] [statics] [slices] [after] [columns]
type story struct {
	t       *testing.T
	table   *schema.Table
	sources [][]*Kept
	kept    []*Kept
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			out, err := s.run(d)
			if err != nil {
				return out + "error: " + err.Error() + "\n"
			}
			return out
		})
	})
}

func (s *story) run(d *datadriven.TestData) (out string, err error) {
	switch d.Cmd {
	case "table":
		s.table, err = ParseTable(strings.TrimSpace(d.Input))
		return "", err
	case "encode":
		return s.encode(d.Input)
	case "decode":
		b, err := hex.DecodeString(strings.Join(strings.Fields(d.Input), ""))
		if err != nil {
			return "", err
		}
		return s.decode(b)
	case "source":
		ks, err := Parse(s.table, token.Murmur3Partitioner{}, d.Input)
		s.sources = append(s.sources, ks)
		return "", err
	case "merge":
		return s.merge(d.HasArg("reversed"))
	case "keep":
		s.kept, err = Parse(s.table, token.Murmur3Partitioner{}, d.Input)
		return "", err
	case "purge":
		return s.purge(d)
	case "visible":
		return s.visible(d)
	}
	return "", fmt.Errorf("no command %s", d.Cmd)
}

func (s *story) encode(text string) (string, error) {
	var b Builder
	b.Reset()
	if err := ParseInto(&b, s.table, text); err != nil {
		return "", err
	}
	m := b.Finish(nil)
	out := ""
	for i := 0; i < len(m); i += 32 {
		out += hex.EncodeToString(m[i:min(i+32, len(m))]) + "\n"
	}
	said, err := s.decode(m)
	return out + said, err
}

func (s *story) decode(b []byte) (string, error) {
	m := ReadMutation(b)
	var out []byte
	for {
		update, ok := m.Next()
		if !ok {
			return string(out), m.Err()
		}
		var u Update
		if err := u.Reset(update, s.table, token.Murmur3Partitioner{}); err != nil {
			return string(out), err
		}
		var err error
		if out, err = Print(out, s.table, &u); err != nil {
			return string(out), err
		}
	}
}

func (s *story) print(ps Partitions) (string, error) {
	out, err := PrintAll(nil, s.table, ps)
	return string(out), err
}

func (s *story) merge(reversed bool) (string, error) {
	var ps []Partitions
	for _, ks := range s.sources {
		ps = append(ps, KeptPartitions(reversed, ks...))
	}
	s.sources = nil
	return s.print(MergePartitions(token.Murmur3Partitioner{}.CompareTie, reversed, ps...))
}

func (s *story) purge(d *datadriven.TestData) (string, error) {
	x := &Purger{}
	d.ScanArgs(s.t, "now", &x.Now)
	d.ScanArgs(s.t, "gcbefore", &x.GCBefore)
	asked := 0
	if d.HasArg("max") {
		var limit int64
		d.ScanArgs(s.t, "max", &limit)
		x.MaxPurgeable = func(Key) int64 { asked++; return limit }
	}
	out, err := s.print(PurgePartitions(KeptPartitions(false, s.kept...), x))
	if asked > len(s.kept) {
		out += fmt.Sprintf("asked %d times for %d partitions\n", asked, len(s.kept))
	}
	return out, err
}

func (s *story) visible(d *datadriven.TestData) (string, error) {
	c := &Command{Table: s.table, Start: Bound{Open: true}, End: Bound{Open: true}}
	var scan Scan
	d.ScanArgs(s.t, "now", &c.Now)
	for name, at := range map[string]*int{"rows": &c.Limits.Rows, "per": &c.Limits.PerPartition,
		"partitions": &c.Limits.Partitions, "tombstones": &scan.TombstonesMax} {
		d.MaybeScanArgs(s.t, name, at)
	}
	c.Filter = Filter{Slices: AllRows(), Reversed: d.HasArg("reversed")}
	p := textParser{t: s.table}
	if arg, ok := d.Arg("slices"); ok {
		c.Filter.Slices = nil
		for i := 0; i+1 < len(arg.Vals); i += 2 {
			c.Filter.Slices = append(c.Filter.Slices, Slice{Start: s.bound(&p, arg.Vals[i], false), End: s.bound(&p, arg.Vals[i+1], true)})
		}
	}
	if arg, ok := d.Arg("after"); ok { // the key of the partition, then the row
		values, err := p.values(s.table.ClusteringTypes(), strings.ReplaceAll(arg.Vals[1], "/", ","))
		if err != nil {
			return "", err
		}
		_, clustering := AppendClustering(nil, s.table, values)
		c.After = clustering.Order
		key, err := parseValue(s.table.PartitionKey[0].Type, arg.Vals[0])
		if err != nil {
			return "", err
		}
		c.Start = KeyBound(Key{Prefix: token.Murmur3Partitioner{}.Prefix(key), Bytes: key}, true)
	}
	if arg, ok := d.Arg("columns"); ok {
		c.Filter.Statics, c.Filter.Regulars = make([]bool, len(s.table.Statics)), make([]bool, len(s.table.Regulars))
		for _, name := range arg.Vals {
			col := s.table.Column(name)
			map[schema.ColumnKind][]bool{schema.Static: c.Filter.Statics, schema.Regular: c.Filter.Regulars}[col.Kind][col.Position] = true
		}
	}
	ks := s.kept
	if c.After != nil { // the source begins at the start of the command
		for !c.Start.AfterStart(ks[0].PartitionKey, token.Murmur3Partitioner{}) {
			ks = ks[1:]
		}
	}
	out, err := s.print(Visible(KeptPartitions(c.Filter.Reversed, ks...), c, d.HasArg("statics"), &scan))
	return out + fmt.Sprintf("%d rows, %d partitions, %d tombstones\n", scan.Rows, scan.Partitions, scan.Tombstones), err
}

// bound is where a slice begins or ends: components parted by slashes, * for
// open; the rows with that prefix are within.
func (s *story) bound(p *textParser, text string, end bool) []byte {
	if text == "*" {
		return nil
	}
	values, err := p.values(s.table.ClusteringTypes(), strings.ReplaceAll(text, "/", ","))
	if err != nil {
		s.t.Fatal(err)
	}
	_, b := AppendBound(nil, s.table, values, end)
	return b.Order
}
