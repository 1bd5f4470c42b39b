package store

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// TestSchemaFollowedLater: a change that the disk refuses is repeated as a
// whole, and leaves no table half there.
func TestSchemaFollowedLater(t *testing.T) {
	refuse := false
	h := &handles{FS: vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
		if refuse && op.Kind == vfs.OpMkdirAll {
			return vfs.Fault{Err: fs.ErrPermission}
		}
		return vfs.Fault{}
	})}
	s, first := openTiny(t, h, nil)
	must(t, put(t, s, first, 1, 1))
	changed, second := withColumn(first, "extra"), definition(t, 1, 864000)
	refuse = true
	open := h.open.Load()
	for range 2 {
		if err := s.SetSchema(schemaOf(changed, second), 2); err == nil || !strings.Contains(err.Error(), second.Name) {
			t.Fatalf("SetSchema: %v", err)
		}
	}
	if h.open.Load() != open {
		t.Errorf("%d files are open, want %d", h.open.Load(), open)
	}
	refuse = false
	must(t, s.SetSchema(schemaOf(changed, second), 2))
	must(t, put(t, s, second, 2, 2))
	must(t, put(t, s, changed, 3, 3))
	if got := values(t, s, changed); len(got) != 2 {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
}

// TestUndecodable: an update of which the log has each byte and nobody the
// meaning stops a start, unless it may be set aside; then nothing else is lost.
func TestUndecodable(t *testing.T) {
	mem := vfs.NewMem()
	s, def := openTiny(t, mem, func(o *Options) { o.MemtableBytes, o.LogBytesMax = 64<<20, 1<<30 })
	must(t, put(t, s, def, 1, 1))
	strange := garbled(t, def)
	m := row.ReadMutation(strange)
	update, _ := m.Next()
	if err := <-apply(s, strange).done; err == nil {
		t.Fatal("the update can be decoded after all")
	}
	// Of a record of two, none takes the other's place.
	one := append(types.AppendUnsignedVInt(nil, uint64(len(update))), update...)
	twice := slices.Concat(types.AppendUnsignedVInt(nil, 2), one, one)
	if err := <-apply(s, twice).done; err == nil {
		t.Fatal("the updates can be decoded after all")
	}
	must(t, put(t, s, def, 2, 2))
	must(t, s.Close())

	o := tiny(mem, commitlog.Group, rand.New(rand.NewPCG(1, 1)))
	_, err := Open(o, schemaOf(def), 1)
	for _, word := range []string{"segment", "offset", def.QualifiedName(), "commitlog_replay_errors: set_aside"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Fatalf("no %q in: %v", word, err)
		}
	}
	o.SetAside = true
	s, err = Open(o, schemaOf(def), 1)
	must(t, err)
	if got := values(t, s, def); len(got) != 2 {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
	names, err := mem.List(o.LogDir)
	must(t, err)
	kept := 0
	for _, n := range names {
		if strings.HasSuffix(n, ".mutation") {
			kept++
			b, err := vfs.ReadFile(mem, o.LogDir+"/"+n, 1<<20)
			must(t, err)
			if !bytes.Equal(b, update) {
				t.Errorf("kept %x, want %x", b, update)
			}
		}
	}
	if kept != 3 {
		t.Errorf("%d files were set aside: %v", kept, names)
	}
}

// TestCloseWaitsForFlush: whoever began a flush may still be at it.
func TestCloseWaitsForFlush(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpCreate && strings.HasSuffix(op.Name, "Data.db") {
			once.Do(func() { close(reached); <-release })
		}
		return vfs.Fault{}
	})
	s, def := openTiny(t, fs, nil)
	must(t, put(t, s, def, 1, 1))
	flushed, closed := make(chan error, 1), make(chan error, 1)
	go func() { flushed <- s.Flush(context.Background(), def.ID) }()
	<-reached
	go func() { closed <- s.Close() }()
	close(release)
	must(t, <-flushed)
	must(t, <-closed)
	must(t, s.Flush(context.Background(), def.ID)) // nothing is left to do
}

// garbled is a mutation whose frame is whole and whose update is not.
func garbled(t *testing.T, def *schema.Table) []byte {
	for i := 0; ; i++ {
		b := mutate(t, []*schema.Table{def}, "partition 5\nrow a,1 live=1 v=5@1")
		if i == len(b) {
			t.Fatal("every byte may be anything")
		}
		b[len(b)-1-i] = 0xff
		m := row.ReadMutation(b)
		update, ok := m.Next()
		if !ok {
			continue
		}
		var u row.Update
		if id, _, err := row.PeekUpdate(update); err == nil && id == def.ID && u.Reset(update, def, token.Murmur3Partitioner{}) == nil && u.Check() != nil {
			return b
		}
	}
}

// TestLeftOverFolder is named, and stays.
func TestLeftOverFolder(t *testing.T) {
	mem := vfs.NewMem()
	s, def := openTiny(t, mem, nil)
	must(t, put(t, s, def, 1, 1))
	must(t, s.Flush(t.Context(), def.ID))
	must(t, s.Close())
	var log bytes.Buffer
	o := tiny(mem, commitlog.Group, rand.New(rand.NewPCG(1, 1)))
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	other := definition(t, 1, 0)
	s, err := Open(o, schemaOf(other), 1)
	must(t, err)
	must(t, s.Close())
	if dir := tableDir(o.DataDir, def); !strings.Contains(log.String(), dir) || strings.Contains(log.String(), tableDir(o.DataDir, other)) {
		t.Errorf("not named: %s", log.String())
	}
	s, err = Open(o, schemaOf(def), 1)
	must(t, err)
	if got := values(t, s, def); len(got) != 1 {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
}
