package sstable

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/peer"
	"helenus/store/row"
	"helenus/store/vfs"
)

// export copies a set to the real file system, for Cassandra's tools.
func export(w *world, d Descriptor, to string) string {
	w.t.Helper()
	names, err := w.fs.List(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		if fd, _, _ := ParseFile(name); fd != d {
			continue
		}
		b, err := vfs.ReadFile(w.fs, filepath.Join(dir, name), 1<<30)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	return filepath.Join(to, d.File(Data))
}

// lines turns the array that sstabledump prints into one value a line.
func lines(t *testing.T, text string) []byte {
	var all []json.RawMessage
	from, to := strings.IndexByte(text, '['), strings.LastIndexByte(text, ']')
	if from < 0 || to < from {
		t.Fatalf("no array in %.2000s", text)
	}
	if err := json.Unmarshal([]byte(text[from:to+1]), &all); err != nil {
		t.Fatalf("%v in %.2000s", err, text)
	}
	var b bytes.Buffer
	for _, m := range all {
		b.Write(m)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// TestPeerReadsOurFiles gives what we write to Cassandra's sstabledump.
func TestPeerReadsOurFiles(t *testing.T) { dumpAll(t, peer.Offline(t), NB) }

// TestPeerReadsOurFilesOfOA needs a Cassandra that has been told to forget
// version 4.
func TestPeerReadsOurFilesOfOA(t *testing.T) {
	dumpAll(t, peer.Start(t, peer.Options{YAML: "storage_compatibility_mode: NONE\n"}), OA)
}

func dumpAll(t *testing.T, c *peer.Cassandra, v Version) {
	to := t.TempDir()
	dump := func(name string, w *world, d Descriptor) {
		t.Helper()
		want := dumpLines(t, w.table, w.open(d).Scan(allRows(), ReadOptions{}))
		got := jsonLines(t, w.table, lines(t, c.Tool(t, "SSTableExport", export(w, d, to), "-t")))
		if got != want {
			t.Fatalf("%s: %s", name, difference(got, want))
		}
	}
	r := rand.New(rand.NewPCG(11, 12))
	number := uint64(0)
	for name, compression := range compressions() {
		w := newWorld(t, wideTable)
		w.table.Options.Compression = compression
		w.index = 1000
		number++
		w.next = number
		dump(name, w, w.write(v, w.parse(randomText(r, 20, 30))))
	}
	if v == OA {
		w := newWorld(t, wideTable)
		w.next = 50
		dump("2096", w, w.write(v, w.parse("partition 1 del=5/2200000000\nrow 1,a v=1@9!60/4000000000 m[]=~@4/2200000001\n")))
	}
	for i, name := range []string{"scalars", "clusterings", "collections", "statics", "columns", "composite", "counters", "deletions"} {
		w, d := goldenWorld(t, name)
		tab := w.open(d)
		o := w.options(v)
		o.Descriptor.ID = SequenceID(uint64(1000 + i))
		if _, err := Write(o, tab.Scan(allRows(), ReadOptions{})); err != nil {
			t.Fatal(err)
		}
		dump(name, w, o.Descriptor)
	}
	w := newWorld(t, wideTable)
	w.next = 2000
	text := c.Tool(t, "SSTableMetadataViewer", export(w, w.write(v, w.parse(randomText(r, 20, 30))), to))
	if !strings.Contains(text, "Partitioner: org.apache.cassandra.dht.Murmur3Partitioner") {
		t.Fatalf("metadata:\n%s", text)
	}
}

// TestPeerAcceptsOurFiles loads what we write into a running Cassandra, has it
// verify the set, our Checksums.db among it, and compares what it reads.
func TestPeerAcceptsOurFiles(t *testing.T) {
	c := peer.Start(t, peer.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	conn, err := client.Connect(ctx, net.JoinHostPort(c.Address(), "9042"), client.Config{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := func(text string) [][][]byte {
		t.Helper()
		r, err := conn.Query(ctx, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		rows, err := r.All()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	query("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
	query("CREATE TABLE ks.t (k int, c int, d text, s int static, v int, w text, m map<int,text>, PRIMARY KEY (k, c, d)) " +
		"WITH CLUSTERING ORDER BY (c ASC, d DESC)")
	w := newWorld(t, wideTable)
	var b strings.Builder
	for k := range 500 {
		fmt.Fprintf(&b, "partition %d\nstatic s=%d@5\nrange >=50 <60 del=9/1500000000\n", k, k)
		for c := range 1 + k%40 {
			fmt.Fprintf(&b, "row %d,a live=10 v=%d@10 w=hello@11 m[1]=x@12\n", c, k)
		}
	}
	d := w.write(NB, w.parse(b.String()))
	folders, err := filepath.Glob(filepath.Join(c.DataDir(), "ks", "t-*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%v, %v", folders, err)
	}
	export(w, d, folders[0])
	c.Nodetool(t, "refresh", "ks", "t")
	rows := 0
	for _, r := range query("SELECT k, c, v, s FROM ks.t WHERE c < 100 ALLOW FILTERING") {
		if !bytes.Equal(r[0], r[2]) || !bytes.Equal(r[0], r[3]) {
			t.Fatalf("row %x", r)
		}
		rows++
	}
	if want := strings.Count(b.String(), "\nrow "); rows != want {
		t.Fatalf("%d rows, want %d", rows, want)
	}
	if n := len(query("SELECT c FROM ks.t WHERE k = 39 AND c >= 7 AND c < 12 ORDER BY c DESC")); n != 5 {
		t.Fatalf("%d rows of a slice", n)
	}
	c.Nodetool(t, "verify", "-e", "-f", "ks", "t")
	c.Nodetool(t, "compact", "ks", "t")
	if n := len(query("SELECT c FROM ks.t WHERE k = 39")); n != 40 {
		t.Fatalf("%d rows after its own compaction", n)
	}
	export(w, d, folders[0])
	c.Stop(t)
	if text, err := c.TryTool("StandaloneVerifier", "-e", "-f", "ks", "t"); err != nil || strings.Contains(text, "orrupt") {
		t.Fatalf("verify: %v\n%s", err, text)
	}
	finishTransaction(t, c, folders[0], false)
	finishTransaction(t, c, folders[0], true)
}

// timed is the real file system with the times that REMOVE records need.
type timed struct{ vfs.Real }

func (timed) ModTime(name string) (time.Time, error) {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// finishTransaction leaves a table's folder as a crash would, before or after
// the commit of a replacement, has Cassandra clear it up, and sees that the
// right sets are left.
func finishTransaction(t *testing.T, c *peer.Cassandra, folder string, commit bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*-big-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, wideTable)
	old := w.write(NB, w.parse("partition 1\nrow 1,a v=1@1\n"))
	export(w, old, folder)
	real := timed{vfs.NewReal()}
	txn, err := Begin(real, folder, OpCompaction, [16]byte{1, 2, 3, 4, 5, 6, 0x11, 0xf0, 0x81, 9})
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(NB)
	o.FS, o.Dir, o.Txn = real, folder, txn
	if _, err := Write(o, row.KeptPartitions(false, w.parse("partition 2\nrow 1,a v=1@1\n")...)); err != nil {
		t.Fatal(err)
	}
	left := old
	if commit {
		if err := txn.Commit(old); err != nil {
			t.Fatal(err)
		}
		left = o.Descriptor
	}
	text := c.Tool(t, "StandaloneSSTableUtil", "-c", "ks", "t")
	files, _ = filepath.Glob(filepath.Join(folder, "*"))
	n := 0
	for _, f := range files {
		d, _, ok := ParseFile(filepath.Base(f))
		if n++; (ok && d != left) || strings.HasSuffix(f, ".log") {
			t.Fatalf("commit %v: left over: %v\n%s", commit, files, text)
		}
	}
	if n < 9 {
		t.Fatalf("commit %v: gone: only %v are left\n%s", commit, files, text)
	}
}
