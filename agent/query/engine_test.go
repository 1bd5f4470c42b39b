package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/types"
)

// session is a node with a table t in keyspace q.
func session(t *testing.T) *nodeTarget {
	to := newNodeTarget(newNode(t, false))
	open(t, to, "q")
	mustRun(t, to, "CREATE TABLE t (k int PRIMARY KEY, v text)")
	return to
}

func mustRun(t *testing.T, to target, text string) answer {
	t.Helper()
	got := to.do(ask{text: text, cl: helenus.One, serial: helenus.Serial, now: epoch})
	if got.err != nil {
		t.Fatalf("%s: %v", text, got.err)
	}
	return got
}

func mustPrepare(t *testing.T, to target, text string) answer {
	t.Helper()
	got := to.do(ask{verb: VerbPrepare, text: text})
	if got.err != nil {
		t.Fatalf("%s: %v", text, got.err)
	}
	return got
}

func intValue(n int32) Value { return Value{Bytes: types.AppendInt(nil, n)} }

// A change of the table makes its statements unknown, so that clients prepare
// again; a change of another table does not.
func TestUnpreparedAfterChange(t *testing.T) {
	to := session(t)
	p := mustPrepare(t, to, "SELECT * FROM t WHERE k = ?")
	run := ask{verb: VerbExecute, id: p.id, values: []Value{intValue(1)}, cl: helenus.One}
	inBatch := ask{verb: VerbBatch, cl: helenus.One, batch: []ask{{id: mustPrepare(t, to, "DELETE FROM t WHERE k = ?").id, values: run.values}}}
	mustRun(t, to, "CREATE TABLE other (k int PRIMARY KEY)")
	for _, a := range []ask{run, inBatch} {
		if got := to.do(a); got.err != nil {
			t.Fatal(got.err)
		}
	}
	mustRun(t, to, "ALTER TABLE t ADD w int")
	for _, a := range []ask{run, inBatch, {verb: VerbExecute, id: []byte("short")}} {
		got := to.do(a)
		if got.err == nil || got.err.Code != helenus.CodeUnprepared {
			t.Fatalf("got %v, want Unprepared", got.err)
		}
	}
	again := mustPrepare(t, to, "SELECT * FROM t WHERE k = ?")
	if string(again.id) != string(p.id) || string(again.resultID) == string(p.resultID) {
		t.Errorf("id %x and %x, of the columns %x and %x", p.id, again.id, p.resultID, again.resultID)
	}
}

// A client of version 5 that knows other columns is told so.
func TestStaleResultMetadata(t *testing.T) {
	to := session(t)
	p := mustPrepare(t, to, "SELECT * FROM t WHERE k = ?")
	for _, c := range []struct {
		version int
		id      []byte
		changed bool
	}{{5, p.resultID, false}, {5, make([]byte, 16), true}, {4, make([]byte, 16), false}, {5, nil, false}} {
		to.session.Version = c.version
		r := &Request{Session: &to.session, Verb: VerbExecute, ID: p.id, ResultMetadataID: c.id,
			Params: Params{Consistency: helenus.One, Values: []Value{intValue(1)}, SkipMetadata: true}}
		out, res := to.execute(r)
		if res.Err != nil || out.changed != c.changed || !out.skipped {
			t.Errorf("version %d, id %x: changed %v, skipped %v, error %v", c.version, c.id, out.changed, out.skipped, res.Err)
		}
	}
}

// The keyspace of a request goes before the session's.
func TestKeyspaceOfRequest(t *testing.T) {
	to := session(t)
	mustRun(t, to, "INSERT INTO t (k, v) VALUES (1, 'in q')")
	open(t, to, "other")
	r := &Request{Session: &to.session, Verb: VerbQuery, Text: "SELECT v FROM t", Params: Params{Consistency: helenus.One, Keyspace: "q"}}
	out, res := to.execute(r)
	if res.Err != nil || len(out.rows) != 1 {
		t.Fatalf("%d rows, error %v", len(out.rows), res.Err)
	}
	r.Params.Keyspace = ""
	if _, res = to.execute(r); res.Err == nil {
		t.Fatal("a table of another keyspace was found")
	}
	to.session.Keyspace = ""
	if _, res = to.execute(r); res.Err == nil || !strings.HasPrefix(res.Err.Message, "No keyspace has been specified") {
		t.Fatalf("got %v", res.Err)
	}
}

func TestPreparedStatementsAreBounded(t *testing.T) {
	to := session(t)
	first := mustPrepare(t, to, "SELECT * FROM t WHERE k = 0")
	for i := range 2000 {
		mustPrepare(t, to, fmt.Sprintf("SELECT * FROM t WHERE k = %d", i+1))
	}
	if n := to.engine.PreparedCount(); n < 100 || n > 1999 {
		t.Errorf("%d statements are kept in a megabyte", n)
	}
	if got := to.do(ask{verb: VerbExecute, id: first.id, cl: helenus.One}); got.err == nil || got.err.Code != helenus.CodeUnprepared {
		t.Errorf("the oldest statement is still there: %v", got.err)
	}
}

// Drivers switch on the type of a write that failed.
func TestWriteTypes(t *testing.T) {
	to := session(t)
	insert := ask{text: "INSERT INTO t (k, v) VALUES (1, 'x')", cl: helenus.One}
	to.replica.types = nil
	to.do(insert)
	to.do(ask{verb: VerbBatch, kind: BatchLogged, batch: []ask{insert}, cl: helenus.One})
	to.do(ask{verb: VerbBatch, kind: BatchUnlogged, batch: []ask{insert}, cl: helenus.One})
	mustRun(t, to, "BEGIN UNLOGGED BATCH "+insert.text+" APPLY BATCH")
	want := []helenus.WriteType{helenus.WriteSimple, helenus.WriteBatch, helenus.WriteUnloggedBatch, helenus.WriteUnloggedBatch}
	if !slices.Equal(to.replica.types, want) {
		t.Errorf("got %v, want %v", to.replica.types, want)
	}
}

// All statements of a batch are one mutation.
func TestBatchIsOneWrite(t *testing.T) {
	to := session(t)
	before := to.replica.writes
	mustRun(t, to, "BEGIN BATCH INSERT INTO t (k) VALUES (1) INSERT INTO t (k) VALUES (2) DELETE FROM t WHERE k = 3 APPLY BATCH")
	if n := to.replica.writes - before; n != 1 {
		t.Errorf("%d writes", n)
	}
}

// Large batches are warned of and refused by their size, but not those of one
// partition.
func TestBatchSize(t *testing.T) {
	to := session(t)
	text := func(bytes, keys int) string {
		s := "BEGIN BATCH "
		for k := range keys {
			s += fmt.Sprintf("INSERT INTO t (k, v) VALUES (%d, '%s') ", k, strings.Repeat("x", bytes/keys))
		}
		return s + "APPLY BATCH"
	}
	for _, c := range []struct {
		bytes, keys   int
		warned, fails bool
	}{{1 << 10, 2, false, false}, {10 << 10, 2, true, false}, {60 << 10, 2, false, true}, {60 << 10, 1, false, false}} {
		got := to.do(ask{text: text(c.bytes, c.keys), cl: helenus.One})
		if (len(got.warnings) > 0) != c.warned || (got.err != nil) != c.fails {
			t.Errorf("%d bytes for %d keys: warnings %q, error %v", c.bytes, c.keys, got.warnings, got.err)
		}
	}
}

// A paging state is read with suspicion: it comes from a client.
func TestForeignPagingStates(t *testing.T) {
	to := session(t)
	for k := range 5 {
		mustRun(t, to, fmt.Sprintf("INSERT INTO t (k) VALUES (%d)", k))
	}
	got := to.do(ask{text: "SELECT * FROM t", page: 2, cl: helenus.One})
	if got.paging == nil {
		t.Fatal("no paging state")
	}
	for n := range got.paging {
		cut := got.paging[:n]
		if n > 0 {
			if answer := to.do(ask{text: "SELECT * FROM t", page: 2, paging: cut, cl: helenus.One}); answer.err == nil {
				t.Errorf("a state cut to %d bytes was taken", n)
			}
		}
		for _, bit := range []byte{1, 0x80} {
			flipped := slices.Clone(got.paging)
			flipped[n] ^= bit
			to.do(ask{text: "SELECT * FROM t", page: 2, paging: flipped, cl: helenus.One})
			to.do(ask{text: "SELECT * FROM t WHERE k IN (1, 2, 3)", page: 1, paging: flipped, cl: helenus.One})
		}
	}
}
