package agent

import (
	"errors"
	"strings"
	"testing"

	"helenus"
	"helenus/store/vfs"
)

// What a conditional write was told as applied is what is read afterwards, also
// behind timestamps from the future: a client's, or this node's own before its
// clock was set back.
func TestConditionalWritesAreNewest(t *testing.T) {
	const future = "4000000000000000" // microseconds, the year 2096
	r := start(t, vfs.NewMem())
	r.cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		"CREATE TABLE ks.t (k int, c int, s int static, v int, w int, l list<int>, m map<int, int>, PRIMARY KEY (k, c))")
	for _, story := range []struct{ name, before, write, select_, want string }{
		{"a newer cell", "INSERT INTO ks.t (k, c, v) VALUES (1, 1, 1) USING TIMESTAMP @",
			"UPDATE ks.t SET v = 2 WHERE k = 1 AND c = 1 IF v = 1", "SELECT v FROM ks.t WHERE k = 1", "2\n"},
		{"a column that the condition does not name", "INSERT INTO ks.t (k, c, v, w) VALUES (2, 1, 1, 1) USING TIMESTAMP @",
			"UPDATE ks.t SET w = 2 WHERE k = 2 AND c = 1 IF v = 1", "SELECT v, w FROM ks.t WHERE k = 2", "1 2\n"},
		{"a deleted row", "DELETE FROM ks.t USING TIMESTAMP @ WHERE k = 3 AND c = 1",
			"INSERT INTO ks.t (k, c, v) VALUES (3, 1, 2) IF NOT EXISTS", "SELECT v FROM ks.t WHERE k = 3", "2\n"},
		{"a deleted range", "DELETE FROM ks.t USING TIMESTAMP @ WHERE k = 4 AND c > 0",
			"INSERT INTO ks.t (k, c, v) VALUES (4, 1, 2) IF NOT EXISTS", "SELECT v FROM ks.t WHERE k = 4", "2\n"},
		{"a deleted partition", "DELETE FROM ks.t USING TIMESTAMP @ WHERE k = 5",
			"INSERT INTO ks.t (k, c, v, s) VALUES (5, 1, 2, 3) IF NOT EXISTS", "SELECT v, s FROM ks.t WHERE k = 5", "2 3\n"},
		{"a static", "INSERT INTO ks.t (k, s) VALUES (6, 1) USING TIMESTAMP @",
			"UPDATE ks.t SET s = 2 WHERE k = 6 IF s = 1", "SELECT s FROM ks.t WHERE k = 6", "2\n"},
		{"rows written for a static's sake", "INSERT INTO ks.t (k, c, s, v) VALUES (7, 9, 1, 1) USING TIMESTAMP @",
			"UPDATE ks.t SET v = 2 WHERE k = 7 AND c = 9 IF s = 1", "SELECT v FROM ks.t WHERE k = 7", "2\n"},
		{"a row that goes", "INSERT INTO ks.t (k, c, v) VALUES (8, 1, 1) USING TIMESTAMP @",
			"DELETE FROM ks.t WHERE k = 8 AND c = 1 IF EXISTS", "SELECT v FROM ks.t WHERE k = 8", ""},
		{"a collection replaced", "INSERT INTO ks.t (k, c, v, l, m) VALUES (9, 1, 1, [1, 2], {1: 1}) USING TIMESTAMP @",
			"UPDATE ks.t SET l = [3], m = {2: 2} WHERE k = 9 AND c = 1 IF v = 1", "SELECT l, m FROM ks.t WHERE k = 9", "[3] {2: 2}\n"},
		{"rows of a batch without conditions of their own", "INSERT INTO ks.t (k, c, v) VALUES (10, 2, 1) USING TIMESTAMP @",
			"BEGIN BATCH INSERT INTO ks.t (k, c, v) VALUES (10, 1, 2) IF NOT EXISTS; UPDATE ks.t SET v = 2 WHERE k = 10 AND c = 2; APPLY BATCH",
			"SELECT c, v FROM ks.t WHERE k = 10", "1 2\n2 2\n"},
		{"a second one behind the first", "INSERT INTO ks.t (k, c, v) VALUES (11, 1, 1) USING TIMESTAMP @",
			"UPDATE ks.t SET v = 2 WHERE k = 11 AND c = 1 IF v = 1", "SELECT v FROM ks.t WHERE k = 11", "2\n"},
	} {
		r.cql(strings.ReplaceAll(story.before, "@", future))
		if got := r.cql(story.write); !strings.HasPrefix(strings.ToLower(got), "true") {
			t.Errorf("%s: not applied: %s", story.name, got)
		}
		r.wants(story.select_, story.want)
	}
	if got := r.cql("UPDATE ks.t SET v = 3 WHERE k = 11 AND c = 1 IF v = 2"); !strings.HasPrefix(strings.ToLower(got), "true") {
		t.Errorf("not applied: %s", got)
	}
	r.wants("SELECT v FROM ks.t WHERE k = 11", "3\n")

	r.cql("INSERT INTO ks.t (k, c, v) VALUES (12, 1, 1) USING TIMESTAMP 9223372036854775807")
	if _, err := r.Query(t.Context(), "UPDATE ks.t SET v = 2 WHERE k = 12 AND c = 1 IF v = 1"); err == nil || !strings.Contains(err.Error(), "greatest timestamp") {
		t.Errorf("a row beyond all timestamps: %v", err)
	}
	r.wants("SELECT v FROM ks.t WHERE k = 12", "1\n")
}

// Each partition of a batch needs its own replicas: which statement stands first
// must not matter.
func TestBatchNeedsReplicasOfAll(t *testing.T) {
	r := start(t, vfs.NewMem())
	for _, ks := range []string{"one", "three"} {
		rf := map[string]string{"one": "1", "three": "3"}[ks]
		r.cql("CREATE KEYSPACE "+ks+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': "+rf+"}",
			"CREATE TABLE "+ks+".t (k int PRIMARY KEY, v int)")
	}
	insert := func(ks string) string { return "INSERT INTO " + ks + ".t (k, v) VALUES (1, 1); " }
	for _, kind := range []string{"", "UNLOGGED "} {
		for _, both := range []string{insert("one") + insert("three"), insert("three") + insert("one")} {
			text := "BEGIN " + kind + "BATCH " + both + "APPLY BATCH"
			req := r.QueryRequest(text)
			req.Params.Consistency = helenus.Quorum
			_, err := r.Do(t.Context(), req)
			var told *helenus.Error
			if !errors.As(err, &told) || told.Code != helenus.CodeUnavailable || told.Required != 2 || told.Alive != 1 {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	r.wants("SELECT * FROM one.t", "")
	r.wants("SELECT * FROM three.t", "")
}
