package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/apache/cassandra-gocql-driver/v2"
)

func TestPrepared(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE pa (k int PRIMARY KEY, v int)")
	must(t, s, "INSERT INTO pa (k, v) VALUES (?, ?)", 1, 1)
	all := "SELECT * FROM pa WHERE k = ?"
	want(t, s, "[[1 1]]", all, 1)
	must(t, s, "ALTER TABLE pa ADD a text")
	must(t, s, "INSERT INTO pa (k, a, v) VALUES (?, ?, ?)", 1, "x", 2)
	want(t, s, "[[1 x 2]]", all, 1)
	must(t, s, "ALTER TABLE pa DROP a")
	want(t, s, "[[1 2]]", all, 1)
	must(t, s, "ALTER TABLE pa ADD a text")
	want(t, s, "[[<nil>]]", "SELECT a FROM pa WHERE k = 1")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if err := s.Query("UPDATE pa SET v = ? WHERE k = ?", i, 100+w).Exec(); err != nil {
					t.Errorf("worker %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	want(t, s, "[[99] [99]]", "SELECT v FROM pa WHERE k IN ?", []int{100, 107})
}

// TestRouting shows what a token-aware client needs: which bound values are
// the partition key, and the replicas of a keyspace.
func TestRouting(t *testing.T) {
	s, keyspace := open(t)
	must(t, s, "CREATE TABLE ro (a int, b text, c int, v blob, PRIMARY KEY ((a, b), c))")
	meta, err := s.StatementMetadata(context.Background(), "INSERT INTO ro (v, c, b, a) VALUES (?, ?, ?, ?)", "")
	if err != nil {
		t.Fatal(err)
	}
	var bound []string
	for _, c := range meta.BindColumns {
		bound = append(bound, fmt.Sprintf("%s %#x", c.Name, c.TypeInfo.Type()))
	}
	if got := fmt.Sprintln(meta.Keyspace == keyspace, meta.Table, meta.PKBindColumnIndexes, bound); got !=
		"true ro [3 2] [v 0x3 c 0x9 b 0xd a 0x9]\n" {
		t.Errorf("insert: %s", got)
	}
	meta, err = s.StatementMetadata(context.Background(), "SELECT v, c FROM ro WHERE a = 1 AND b = ? AND c > ?", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(meta.PKBindColumnIndexes) != 0 || len(meta.BindColumns) != 2 || len(meta.ResultColumns) != 2 || meta.ResultColumns[0].Name != "v" {
		t.Errorf("select with half a key: %+v", meta)
	}
	cfg := cluster(t)
	cfg.Keyspace = keyspace
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	aware := connect(t, cfg)
	for i := range 20 {
		must(t, aware, "INSERT INTO ro (a, b, c, v) VALUES (?, ?, ?, ?)", i, "ü", i, bytes.Repeat([]byte{byte(i)}, i))
	}
	want(t, aware, "[[7 [7 7 7 7 7 7 7]]]", "SELECT c, v FROM ro WHERE a = ? AND b = ?", 7, "ü")
	var n int64
	if err := aware.Query("SELECT token(a, b) FROM ro WHERE a = ? AND b = ?", 7, "ü").Scan(&n); err != nil || n == 0 {
		t.Errorf("token %d: %v", n, err)
	}
}

func TestBatches(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE ba (k int, c int, v text, PRIMARY KEY (k, c))")
	for _, kind := range []gocql.BatchType{gocql.LoggedBatch, gocql.UnloggedBatch} {
		b := s.Batch(kind)
		for i := range 10 {
			b.Query("INSERT INTO ba (k, c, v) VALUES (?, ?, ?)", int(kind), i, "x")
		}
		b.Query(fmt.Sprintf("DELETE FROM ba WHERE k = %d AND c = 3", kind))
		if err := b.Exec(); err != nil {
			t.Fatal(err)
		}
		want(t, s, "[[9]]", "SELECT count(*) FROM ba WHERE k = ?", int(kind))
	}
	b := s.Batch(gocql.LoggedBatch).WithTimestamp(7)
	b.Query("INSERT INTO ba (k, c, v) VALUES (?, ?, ?)", 8, 1, "a")
	b.Query("UPDATE ba SET v = ? WHERE k = ? AND c = ?", "b", 9, 2)
	if err := b.Exec(); err != nil {
		t.Fatal(err)
	}
	want(t, s, "[[7] [7]]", "SELECT writetime(v) FROM ba WHERE k IN (8, 9)")
}

func TestConditionalBatch(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE ba (k int, c int, v text, PRIMARY KEY (k, c))")
	cas := func(value string) bool {
		b := s.Batch(gocql.LoggedBatch)
		b.Query("INSERT INTO ba (k, c, v) VALUES (?, ?, ?) IF NOT EXISTS", 20, 1, value)
		b.Query("INSERT INTO ba (k, c, v) VALUES (?, ?, ?)", 20, 2, value)
		applied, iter, err := b.MapExecCAS(map[string]any{})
		supported(t, err)
		if err := iter.Close(); err != nil {
			t.Error(err)
		}
		return applied
	}
	if !cas("first") || cas("second") {
		t.Error("a conditional batch applies once")
	}
	want(t, s, "[[first] [first]]", "SELECT v FROM ba WHERE k = 20")
}

func TestConditional(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE cas (k int PRIMARY KEY, v int)")
	insert := "INSERT INTO cas (k, v) VALUES (?, ?) IF NOT EXISTS"
	var k, v int
	if applied, err := s.Query(insert, 1, 1).ScanCAS(&k, &v); err != nil || !applied {
		t.Errorf("first insert: %v %v", applied, err)
	}
	if applied, err := s.Query(insert, 1, 2).ScanCAS(&k, &v); err != nil || applied || k != 1 || v != 1 {
		t.Errorf("second insert: %v %d %d %v", applied, k, v, err)
	}
	update := "UPDATE cas SET v = ? WHERE k = ? IF v = ?"
	if applied, err := s.Query(update, 3, 1, 2).ScanCAS(&v); err != nil || applied || v != 1 {
		t.Errorf("update of another value: %v %d %v", applied, v, err)
	}
	if applied, err := s.Query(update, 3, 1, 1).ScanCAS(&v); err != nil || !applied {
		t.Errorf("update: %v %v", applied, err)
	}
	if applied, err := s.Query("DELETE FROM cas WHERE k = ? IF EXISTS", 1).ScanCAS(); err != nil || !applied {
		t.Errorf("delete: %v %v", applied, err)
	}
	want(t, s, "[]", "SELECT k FROM cas")
}

func TestPaging(t *testing.T) {
	const total, workers, batch = 100_000, 16, 50
	s, _ := open(t)
	must(t, s, "CREATE TABLE pg (k int, c int, v text, PRIMARY KEY (k, c))")
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for from := w * batch; from < total; from += workers * batch {
				b := s.Batch(gocql.UnloggedBatch)
				for c := from; c < from+batch; c++ {
					b.Query("INSERT INTO pg (k, c, v) VALUES (1, ?, ?)", c, fmt.Sprint("v", c))
				}
				if err := b.Exec(); err != nil {
					t.Errorf("batch from %d: %v", from, err)
					return
				}
			}
		})
	}
	wg.Wait()
	iter := s.Query("SELECT c, v FROM pg WHERE k = ?", 1).Iter()
	var c, n, pages int
	var v string
	for {
		if iter.WillSwitchPage() {
			pages++
		}
		if !iter.Scan(&c, &v) {
			break
		}
		if c != n || v != fmt.Sprint("v", n) {
			t.Fatalf("row %d is %d %s", n, c, v)
		}
		n++
	}
	if err := iter.Close(); err != nil || n != total || pages < total/5000-1 {
		t.Errorf("%d rows on %d further pages: %v", n, pages, err)
	}
	n = total
	iter = s.Query("SELECT c FROM pg WHERE k = 1 ORDER BY c DESC LIMIT 12345").PageSize(1000).Iter()
	for ; iter.Scan(&c); n-- {
		if c != n-1 {
			t.Fatalf("backwards, row %d is %d", total-n, c)
		}
	}
	if err := iter.Close(); err != nil || n != total-12345 {
		t.Errorf("backwards to %d: %v", n, err)
	}
	want(t, s, "[[100000]]", "SELECT count(*) FROM pg")
	handPaging(t, s)
}

// handPaging carries the paging state as a web application does.
func handPaging(t *testing.T, s *gocql.Session) {
	var state []byte
	for page := range 4 {
		iter := s.Query("SELECT c FROM pg WHERE k = 1 AND c < 35").PageSize(10).PageState(state).Iter()
		var c, n int
		for ; iter.Scan(&c); n++ {
			if c != page*10+n {
				t.Fatalf("page %d, row %d: %d", page, n, c)
			}
		}
		state = iter.PageState()
		if err := iter.Close(); err != nil || n != min(10, 35-page*10) || (len(state) == 0) != (page == 3) {
			t.Fatalf("page %d: %d rows, state %x: %v", page, n, state, err)
		}
	}
}

func TestErrors(t *testing.T) {
	s, keyspace := open(t)
	must(t, s, "CREATE TABLE er (k int PRIMARY KEY, v int)")
	for statement, text := range map[string]string{
		"SELEC * FROM er":                     "line 1:0 no viable alternative at input 'SELEC' ([SELEC]...)",
		"SELECT * FROM nope":                  "table nope does not exist",
		"SELECT zz FROM er":                   "Undefined column name zz in table " + keyspace + ".er",
		"INSERT INTO er (v) VALUES (1)":       "Some partition key parts are missing: k",
		"CREATE TABLE er (k int PRIMARY KEY)": "Cannot add already existing table \"er\" to keyspace \"" + keyspace + "\"",
		"DROP TABLE nope":                     "Table '" + keyspace + ".nope' doesn't exist",
	} {
		if err := s.Query(statement).Exec(); err == nil || err.Error() != text {
			t.Errorf("%s\n got %v\nwant %s", statement, err, text)
		}
	}
	var exists *gocql.RequestErrAlreadyExists
	if err := s.Query("CREATE TABLE er (k int PRIMARY KEY)").Exec(); !errors.As(err, &exists) || exists.Keyspace != keyspace || exists.Table != "er" {
		t.Errorf("already there: %#v", err)
	}
}

// TestUnavailable asks one node for more replicas than it is.
func TestUnavailable(t *testing.T) {
	s, keyspace := open(t)
	three := keyspace + "_rf3"
	must(t, s, "CREATE KEYSPACE "+three+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
	t.Cleanup(func() { must(t, s, "DROP KEYSPACE "+three) })
	must(t, s, "CREATE TABLE "+three+".users (id int PRIMARY KEY, name text)")
	insert := "INSERT INTO " + three + ".users (id, name) VALUES (?, ?)"
	if err := s.Query(insert, 1, "one").Consistency(gocql.One).Exec(); err != nil {
		t.Error(err)
	}
	for _, level := range []gocql.Consistency{gocql.Quorum, gocql.LocalQuorum} {
		var lacking *gocql.RequestErrUnavailable
		if err := s.Query(insert, 2, "two").Consistency(level).Exec(); !errors.As(err, &lacking) ||
			lacking.Consistency != level || lacking.Required != 2 || lacking.Alive != 1 {
			t.Errorf("write at %v: %v", level, err)
		}
		if err := s.Query("SELECT * FROM " + three + ".users WHERE id = 1").Consistency(level).Exec(); !errors.As(err, &lacking) ||
			lacking.Consistency != level || lacking.Required != 2 || lacking.Alive != 1 {
			t.Errorf("read at %v: %v", level, err)
		}
	}
	must(t, s, "ALTER KEYSPACE "+three+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
	must(t, s, insert, 2, "two")
	want(t, s, "[[one]]", "SELECT name FROM "+three+".users WHERE id = 1")
}
