package suite

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/apache/cassandra-gocql-driver/v2"
)

// scalars are one value of each scalar type: as a literal, as the driver
// binds it (nil: what it read of the literal) and as text.
var scalars = []struct {
	cql, literal string
	bind         any
	text         string
}{
	{"ascii", "'plain'", "plain", "plain"},
	{"bigint", "-4611686018427387904", int64(-1 << 62), "-4611686018427387904"},
	{"blob", "0x00ff80", []byte{0, 255, 128}, "[0 255 128]"},
	{"boolean", "true", true, "true"},
	{"date", "'1969-07-20'", time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC), "1969-07-20 00:00:00 +0000 UTC"},
	{"decimal", "-12.3400", nil, "-12.3400"},
	{"double", "1.5e300", 1.5e300, "1.5e+300"},
	{"duration", "1mo2d3s", gocql.Duration{Months: 1, Days: 2, Nanoseconds: 3e9}, "{1 2 3000000000}"},
	{"float", "0.5", float32(0.5), "0.5"},
	{"inet", "'2001:db8::1'", net.ParseIP("2001:db8::1"), "2001:db8::1"},
	{"int", "-2147483648", -2147483648, "-2147483648"},
	{"smallint", "-32768", int16(-32768), "-32768"},
	{"text", "'grüße €😀'", "grüße €😀", "grüße €😀"},
	{"time", "'23:59:59.123456789'", 24*time.Hour - 876543211, "23h59m59.123456789s"},
	{"timestamp", "'2013-01-01 05:17:00.123+0000'", time.Date(2013, 1, 1, 5, 17, 0, 123e6, time.UTC), "2013-01-01 05:17:00.123 +0000 UTC"},
	{"timeuuid", "8e3bd9c0-5b4e-11e2-bcfd-0800200c9a66", mustUUID("8e3bd9c0-5b4e-11e2-bcfd-0800200c9a66"), "8e3bd9c0-5b4e-11e2-bcfd-0800200c9a66"},
	{"tinyint", "-128", int8(-128), "-128"},
	{"uuid", "123e4567-e89b-42d3-a456-426614174000", mustUUID("123e4567-e89b-42d3-a456-426614174000"), "123e4567-e89b-42d3-a456-426614174000"},
	{"varchar", "''", "", ""},
	{"varint", "-10000000000000000000000000000000000000000", new(big.Int).Neg(new(big.Int).Exp(big.NewInt(10), big.NewInt(40), nil)),
		"-10000000000000000000000000000000000000000"},
}

func mustUUID(text string) gocql.UUID {
	u, err := gocql.ParseUUID(text)
	if err != nil {
		panic(err)
	}
	return u
}

func TestScalars(t *testing.T) {
	s, _ := open(t)
	var columns, names, literals, marks []string
	for i, v := range scalars {
		name := fmt.Sprintf("c%02d", i)
		columns, names = append(columns, name+" "+v.cql), append(names, name)
		literals, marks = append(literals, v.literal), append(marks, "?")
	}
	must(t, s, "CREATE TABLE scalars (k int PRIMARY KEY, "+strings.Join(columns, ", ")+")")
	into := "INSERT INTO scalars (k, " + strings.Join(names, ", ") + ") VALUES "
	must(t, s, into+"(1, "+strings.Join(literals, ", ")+")")
	read := func(k int) []any {
		all := rows(t, s.Query("SELECT "+strings.Join(names, ", ")+" FROM scalars WHERE k = ?", k))
		if len(all) != 1 {
			t.Fatalf("row %d is not there", k)
		}
		return all[0]
	}
	literal := read(1)
	bound, nulls := []any{2}, []any{3}
	for i, v := range scalars {
		if v.bind == nil {
			v.bind = literal[i]
		}
		bound, nulls = append(bound, v.bind), append(nulls, nil)
	}
	must(t, s, into+"(?, "+strings.Join(marks, ", ")+")", bound...)
	must(t, s, into+"(?, "+strings.Join(marks, ", ")+")", nulls...)
	for k, cells := range [][]any{1: literal, 2: read(2)} {
		for i, cell := range cells {
			if got := fmt.Sprint(cell); got != scalars[i].text {
				t.Errorf("row %d, %s: got %s, want %s", k, scalars[i].cql, got, scalars[i].text)
			}
		}
	}
	for i, cell := range read(3) {
		if cell != nil {
			t.Errorf("null %s: %v", scalars[i].cql, cell)
		}
	}
}

func TestCounter(t *testing.T) {
	s, _ := open(t)
	supported(t, s.Query("CREATE TABLE hits (k int PRIMARY KEY, n counter)").Exec())
	for range 3 {
		supported(t, s.Query("UPDATE hits SET n = n + ? WHERE k = ?", int64(5), 1).Exec())
	}
	want(t, s, "[[15]]", "SELECT n FROM hits WHERE k = 1")
}

func TestCollections(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE coll (k int PRIMARY KEY, l list<int>, st set<text>, m map<text, int>, "+
		"fl frozen<list<int>>, fm frozen<map<int, text>>, ml map<text, frozen<list<timestamp>>>)")
	insert := "INSERT INTO coll (k, l, st, m, fl, fm, ml) VALUES (?, ?, ?, ?, ?, ?, ?)"
	at := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, s, insert, 1, []int{3, 1, 2}, []string{"b", "a"}, map[string]int{"x": 1, "y": 2}, []int{9, 8},
		map[int]string{1: "one"}, map[string][]time.Time{"t": {at, at.Add(time.Second)}})
	want(t, s, "[[[3 1 2] [a b] map[x:1 y:2] [9 8] map[1:one] map[t:[2013-01-01 00:00:00 +0000 UTC 2013-01-01 00:00:01 +0000 UTC]]]]",
		"SELECT l, st, m, fl, fm, ml FROM coll WHERE k = 1")
	must(t, s, "UPDATE coll SET l = l + ?, st = st + ?, m = m + ? WHERE k = 1", []int{4}, []string{"c"}, map[string]int{"z": 3})
	must(t, s, "UPDATE coll SET l = ? + l, st = st - ?, m = m - ? WHERE k = 1", []int{0}, []string{"a"}, []string{"x"})
	must(t, s, "UPDATE coll SET l[?] = ?, m[?] = ? WHERE k = 1", 1, 30, "w", 7)
	must(t, s, "DELETE l[?], m[?] FROM coll WHERE k = 1", 2, "y")
	want(t, s, "[[[0 30 2 4] [b c] map[w:7 z:3]]]", "SELECT l, st, m FROM coll WHERE k = 1")
	must(t, s, "UPDATE coll SET l = ? WHERE k = 1", []int{5})
	want(t, s, "[[[5]]]", "SELECT l FROM coll WHERE k = 1")
	must(t, s, insert, 2, []int{}, []string{}, map[string]int{}, []int{}, map[int]string{}, nil)
	want(t, s, "[[<nil> <nil> <nil> [] map[] <nil>]]", "SELECT l, st, m, fl, fm, ml FROM coll WHERE k = 2")
}

func TestNullAndUnset(t *testing.T) {
	s, _ := open(t)
	must(t, s, "CREATE TABLE nu (k int, c int, a int, b int, PRIMARY KEY (k, c))")
	insert := "INSERT INTO nu (k, c, a, b) VALUES (?, ?, ?, ?)"
	must(t, s, insert, 1, 1, 10, 20)
	must(t, s, insert, 1, 1, nil, gocql.UnsetValue)
	want(t, s, "[[<nil> 20]]", "SELECT a, b FROM nu WHERE k = 1 AND c = 1")
	for text, args := range map[string][]any{
		"Invalid null value in condition for column c": {1, nil, 1, 1},
		"Invalid unset value for column c":             {1, gocql.UnsetValue, 1, 1},
		"Invalid null value in condition for column k": {nil, 1, 1, 1},
		"Invalid unset value for column k":             {gocql.UnsetValue, 1, 1, 1},
	} {
		var invalid *gocql.RequestErrInvalid
		if err := s.Query(insert, args...).Exec(); !errors.As(err, &invalid) || err.Error() != text {
			t.Errorf("got %T %v, want %s", err, err, text)
		}
	}
	must(t, s, "UPDATE nu SET a = ? WHERE k = 2 AND c = 2", 1)
	must(t, s, "UPDATE nu SET a = ? WHERE k = 2 AND c = 2", nil)
	want(t, s, "[]", "SELECT k FROM nu WHERE k = 2")
	must(t, s, "INSERT INTO nu (k, c) VALUES (?, ?)", 3, 3)
	want(t, s, "[[3 3 <nil> <nil>]]", "SELECT * FROM nu WHERE k = 3")
	want(t, s, "[[20]]", "SELECT b FROM nu WHERE k = ? LIMIT ?", 1, gocql.UnsetValue)
}
