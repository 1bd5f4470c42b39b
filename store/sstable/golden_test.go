package sstable

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
	"helenus/store/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// goldenWorld copies a folder of testdata into memory.
func goldenWorld(t testing.TB, name string) (*world, Descriptor) {
	w := newWorld(t, "k int || v int")
	files, err := filepath.Glob(filepath.Join("testdata", name, "*-big-*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of %s: %v", name, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(w.fs, filepath.Join(dir, filepath.Base(f)), b); err != nil {
			t.Fatal(err)
		}
	}
	sets, _, err := List(w.fs, dir)
	if err != nil || len(sets) != 1 {
		t.Fatalf("%v, %v", sets, err)
	}
	if w.table, err = SchemaOf(w.fs, dir, sets[0]); err != nil {
		t.Fatal(err)
	}
	return w, sets[0]
}

func goldenNames(t testing.TB) []string {
	dirs, err := filepath.Glob("testdata/*/dump.json")
	if err != nil || len(dirs) < 15 {
		t.Fatalf("%d golden tables, %v", len(dirs), err)
	}
	for i, d := range dirs {
		dirs[i] = filepath.Base(filepath.Dir(d))
	}
	return dirs
}

// TestGoldenTablesOfCassandra reads files that a real Cassandra wrote and
// compares all their rows with what its own sstabledump says of them.
func TestGoldenTablesOfCassandra(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			w, d := goldenWorld(t, name)
			tab := w.open(d)
			got := dumpLines(t, w.table, tab.Scan(allRows(), ReadOptions{}))
			b, err := os.ReadFile(filepath.Join("testdata", name, "dump.json"))
			if err != nil {
				t.Fatal(err)
			}
			if want := jsonLines(t, w.table, b); got != want {
				t.Fatal(difference(got, want))
			}
			checkGolden(t, filepath.Join("testdata", name, "rows.txt"), w.scan(tab, ReadOptions{}))
			if tab.sums[Checksums].bytes != 0 || len(tab.sums) < 7 {
				t.Fatalf("checksums of %v", tab.sums)
			}
			// The second opening goes by Checksums.db, which the first has made.
			if err := w.open(d).Verify(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s: %s", file, difference(got, string(want)))
	}
}

// TestGoldenTablesRewritten writes what the golden tables hold and compares
// Data and Index byte for byte.
func TestGoldenTablesRewritten(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			w, d := goldenWorld(t, name)
			tab := w.open(d)
			w.table.Options.Compression = map[string]string{"enabled": "false"}
			if tab.info != nil {
				w.table.Options.Compression = tab.info.options()
			}
			o := w.options(d.Version)
			o.Descriptor.ID, o.Keys, o.Bases = "99", tab.Keys(), tab.meta.Bases()
			if _, err := Write(o, tab.Scan(allRows(), ReadOptions{})); err != nil {
				t.Fatal(err)
			}
			ours := w.open(o.Descriptor)
			for _, f := range [][2]*blockFile{{tab.index, ours.index}, {tab.data, ours.data}} {
				want, got := contents(t, f[0]), contents(t, f[1])
				if !bytes.Equal(got, want) {
					i := 0
					for i < min(len(got), len(want)) && got[i] == want[i] {
						i++
					}
					t.Errorf("%s: %d bytes, want %d, differ at %d\n%x\nwant\n%x", f[0].name, len(got), len(want), i,
						got[max(0, i-20):min(len(got), i+40)], want[max(0, i-20):min(len(want), i+40)])
				}
			}
			compareMeta(t, ours.meta, tab.meta)
			if tab.filter != nil && !bytes.Equal(ours.filter.append(nil), tab.filter.append(nil)) {
				t.Error("another filter")
			}
			if !bytes.Equal(ours.summary.encode(), tab.summary.encode()) {
				t.Error("another summary")
			}
		})
	}
}

func (c *compressionInfo) options() map[string]string {
	m := map[string]string{"class": c.Class, "chunk_length_in_kb": fmt.Sprint(c.ChunkBytes >> 10)}
	for k, v := range c.Options {
		m[k] = v
	}
	return m
}

func contents(t *testing.T, f *blockFile) []byte {
	var w window
	w.open(f, ReadOptions{})
	defer w.close()
	b, err := w.peek(int(f.size))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

func compareMeta(t *testing.T, got, want *Meta) {
	show := func(m *Meta) string {
		return fmt.Sprintf("ts %d %d ldt %d %d ttl %d %d partitions %d cells %d rows %d columns %d drop %v min %x max %x size %v chance %v",
			m.MinTimestamp, m.MaxTimestamp, m.MinLocalTime, m.MaxLocalTime, m.MinTTL, m.MaxTTL, m.Partitions(),
			m.PartitionCells.Mean(), m.Rows, m.Columns, m.DropTimes, m.MinClustering, m.MaxClustering, m.PartitionSizes.Mean(), m.FilterChance)
	}
	if g, w := show(got), show(want); g != w {
		t.Errorf("statistics\n%s\nwant\n%s", g, w)
	}
}

// dumpLines is what both sides are brought to: one line per partition, row and
// marker, with values where their text is the same in any language.
func dumpLines(t *testing.T, s *schema.Table, ps row.Partitions) string {
	var b strings.Builder
	for {
		p, err := ps.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return b.String()
		}
		b.WriteString("partition")
		lineDeletion(&b, p.Deletion())
		b.WriteByte('\n')
		if st := p.StaticRow(); st != nil {
			lineRow(&b, s, st)
		}
		for {
			u, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			if u == nil {
				break
			}
			if u.Row != nil {
				lineRow(&b, s, u.Row)
				continue
			}
			b.WriteString("mark")
			for _, d := range []row.Deletion{u.Marker.After, u.Marker.Before} {
				if !d.IsLive() {
					lineDeletion(&b, d)
				}
			}
			b.WriteByte('\n')
		}
	}
}

func lineDeletion(b *strings.Builder, d row.Deletion) {
	if !d.IsLive() {
		fmt.Fprintf(b, " del=%d/%d", d.Timestamp, d.LocalTime)
	}
}

func lineRow(b *strings.Builder, s *schema.Table, r *row.Row) {
	columns := s.Regulars
	if r.Static {
		columns = s.Statics
		b.WriteString("static")
	} else {
		b.WriteString("row")
		vs := row.ReadValues(s.ClusteringTypes(), len(s.Clustering), r.Clustering.Values)
		for _, c := range s.Clustering {
			v, _ := vs.Next()
			b.WriteString(" " + plain(c.Type, v))
		}
	}
	if l := r.Liveness; !l.IsEmpty() {
		fmt.Fprintf(b, " live=%d", l.Timestamp)
		if l.TTL > 0 {
			fmt.Fprintf(b, "!%d/%d", l.TTL, l.LocalTime)
		}
	}
	lineDeletion(b, r.Deletion)
	cells, complexes := r.Cells, r.Complex
	for i, c := range columns {
		if len(complexes) > 0 && int(complexes[0].Column) == i {
			fmt.Fprintf(b, " %s[]=", c.Name)
			lineDeletion(b, complexes[0].Deletion)
			complexes = complexes[1:]
		}
		for len(cells) > 0 && int(cells[0].Column) == i {
			lineCell(b, c, &cells[0], &r.Liveness)
			cells = cells[1:]
		}
	}
	b.WriteByte('\n')
}

// lineCell leaves out a time to live that is the row's: so does sstabledump.
func lineCell(b *strings.Builder, c *schema.Column, cell *row.Cell, l *row.Liveness) {
	b.WriteString(" " + c.Name)
	vt := c.Type
	if c.IsComplex() {
		vt = types.Native(types.Blob)
		pt := types.Native(types.TimeUUID)
		if c.Type.Kind == types.Map || c.Type.Kind == types.Set {
			pt = c.Type.Elems[0]
		}
		fmt.Fprintf(b, "[%s]", plain(pt, cell.Path))
	}
	switch {
	case cell.Flags&row.Tombstone != 0:
		fmt.Fprintf(b, "=~@%d/%d", cell.Timestamp, cell.LocalTime)
		return
	default:
		fmt.Fprintf(b, "=%s@%d", plain(vt, cell.Value), cell.Timestamp)
	}
	if cell.Flags&row.Expiring != 0 && cell.TTL != l.TTL {
		fmt.Fprintf(b, "!%d/%d", cell.TTL, cell.LocalTime)
	}
}

// plain is a value's text for types of which JSON has the same.
func plain(t *types.Type, v []byte) string {
	switch {
	case t.Kind == types.Int && len(v) == 4:
		return fmt.Sprint(int32(binary.BigEndian.Uint32(v)))
	case t.Kind == types.BigInt && len(v) == 8:
		return fmt.Sprint(int64(binary.BigEndian.Uint64(v)))
	case t.Kind == types.SmallInt && len(v) == 2:
		return fmt.Sprint(int16(binary.BigEndian.Uint16(v)))
	case t.Kind == types.TinyInt && len(v) == 1:
		return fmt.Sprint(int8(v[0]))
	case t.Kind == types.Boolean && len(v) == 1:
		return fmt.Sprint(v[0] == 1)
	case t.Kind == types.Text || t.Kind == types.ASCII:
		if n := len([]rune(string(v))); n > 60 {
			return fmt.Sprintf("(%d characters)", n)
		}
		return string(v)
	}
	return "?"
}

type dumpPartition struct {
	Partition struct {
		Deletion *dumpDeletion `json:"deletion_info"`
	}
	Rows []dumpRow
}

type dumpDeletion struct {
	Marked string `json:"marked_deleted"`
	Local  string `json:"local_delete_time"`
}

type dumpBound struct {
	Deletion *dumpDeletion `json:"deletion_info"`
}

type dumpRow struct {
	Type       string
	Clustering []any
	Liveness   *dumpTimes    `json:"liveness_info"`
	Deletion   *dumpDeletion `json:"deletion_info"`
	Cells      []dumpCell
	Start, End *dumpBound
}

type dumpTimes struct {
	Timestamp string `json:"tstamp"`
	TTL       int
	Expires   string `json:"expires_at"`
}

type dumpCell struct {
	Name     string
	Path     []string
	Value    any
	Deletion *dumpDeletion `json:"deletion_info"`
	dumpTimes
}

func jsonLines(t *testing.T, s *schema.Table, b []byte) string {
	var out strings.Builder
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	for dec.More() {
		var p dumpPartition
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		out.WriteString("partition")
		jsonDeletion(&out, p.Partition.Deletion)
		out.WriteByte('\n')
		for i := range p.Rows {
			jsonRow(&out, s, &p.Rows[i])
		}
	}
	return out.String()
}

func jsonDeletion(b *strings.Builder, d *dumpDeletion) {
	if d != nil {
		fmt.Fprintf(b, " del=%s/%s", d.Marked, d.Local)
	}
}

func jsonRow(b *strings.Builder, s *schema.Table, r *dumpRow) {
	columns := s.Regulars
	switch r.Type {
	case "row":
		b.WriteString("row")
		for i, c := range s.Clustering {
			b.WriteString(" " + jsonPlain(c.Type, r.Clustering[i]))
		}
	case "static_block":
		columns = s.Statics
		b.WriteString("static")
	default:
		b.WriteString("mark")
		for _, e := range []*dumpBound{r.Start, r.End} {
			if e != nil {
				jsonDeletion(b, e.Deletion)
			}
		}
		b.WriteByte('\n')
		return
	}
	live := ""
	if r.Liveness != nil {
		live = r.Liveness.Timestamp
		fmt.Fprintf(b, " live=%s%s", live, jsonTTL(r.Liveness))
	}
	jsonDeletion(b, r.Deletion)
	byName := map[string]*schema.Column{}
	for _, c := range columns {
		byName[c.Name] = c
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Timestamp == "" {
			c.Timestamp = live
		}
		jsonCell(b, byName[c.Name], c)
	}
	b.WriteByte('\n')
}

func jsonTTL(d *dumpTimes) string {
	if d.TTL == 0 {
		return ""
	}
	return fmt.Sprintf("!%d/%s", d.TTL, d.Expires)
}

func jsonCell(b *strings.Builder, col *schema.Column, c *dumpCell) {
	b.WriteString(" " + c.Name)
	vt := col.Type
	if c.Deletion != nil && c.Deletion.Marked != "" {
		b.WriteString("[]=")
		jsonDeletion(b, c.Deletion)
		return
	}
	if col.IsComplex() {
		vt = types.Native(types.Blob)
		pt := types.Native(types.TimeUUID)
		if col.Type.Kind == types.Map || col.Type.Kind == types.Set {
			pt = col.Type.Elems[0]
		}
		fmt.Fprintf(b, "[%s]", jsonPlain(pt, c.Path[0]))
	}
	if c.Deletion != nil {
		fmt.Fprintf(b, "=~@%s/%s", c.Timestamp, c.Deletion.Local)
		return
	}
	fmt.Fprintf(b, "=%s@%s%s", jsonPlain(vt, c.Value), c.Timestamp, jsonTTL(&c.dumpTimes))
}

func jsonPlain(t *types.Type, v any) string {
	switch t.Kind {
	case types.Int, types.BigInt, types.SmallInt, types.TinyInt, types.Boolean, types.Text, types.ASCII:
		if s, ok := v.(string); ok && len([]rune(s)) > 60 {
			return fmt.Sprintf("(%d characters)", len([]rune(s)))
		}
		return fmt.Sprint(v)
	}
	return "?"
}
