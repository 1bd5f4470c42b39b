package types

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	if s == "-" {
		return []byte{}
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseClass(t testing.TB, s string) *Type {
	t.Helper()
	typ, _, err := ParseClass(s)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// golden calls f for each line of a file of testdata that is no comment.
func golden(t testing.TB, name string, f func(line string)) {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	sc := bufio.NewScanner(file)
	for sc.Scan() {
		if line := sc.Text(); line != "" && !strings.HasPrefix(line, "#") {
			f(line)
			n++
		}
	}
	if sc.Err() != nil || n < 50 {
		t.Fatalf("%s: %d lines, %v", name, n, sc.Err())
	}
}

func TestValues(t *testing.T) {
	var typ *Type
	var reversed bool
	golden(t, "values.txt", func(line string) {
		if rest, ok := strings.CutPrefix(line, "type "); ok {
			typ, reversed = checkType(t, rest)
			return
		}
		if rest, ok := strings.CutPrefix(line, "order "); ok {
			checkOrder(t, typ, reversed, rest)
			return
		}
		h, rest, _ := strings.Cut(line, " ")
		v := unhex(t, h)
		err := typ.Validate(v)
		if want, bad := strings.CutPrefix(rest, "bad "); bad {
			if err == nil || want != "?" && err.Error() != want {
				t.Errorf("%s: %s: %v", typ, line, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %s: %v", typ, line, err)
			return
		}
		parts := strings.SplitN(rest, " | ", 3)
		if lit := escaped(typ.FormatLiteral(v)); parts[2] != "?" && lit != parts[2] {
			t.Errorf("%s: %s: literal %s", typ, line, lit)
		}
		enc := hex.EncodeToString(typ.AppendComparable(nil, v))
		if parts[1] == "null" {
			parts[1] = ""
		}
		if parts[1] != "?" && enc != parts[1] && !reversed {
			t.Errorf("%s: %s: encoding %s", typ, line, enc)
		}
	})
}

func checkType(t *testing.T, line string) (typ *Type, reversed bool) {
	p := strings.Split(line, " | ")
	typ, reversed, err := ParseClass(p[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := typ.ClassName(reversed); got != p[0] {
		t.Errorf("class %s is written as %s", p[0], got)
	}
	if typ.String() != p[1] {
		t.Errorf("%s is named %s, want %s", p[0], typ, p[1])
	}
	if n := strconv.Itoa(typ.FixedLength()); n != p[2] {
		t.Errorf("%s has length %s, want %s", p[0], n, p[2])
	}
	if m := strconv.FormatBool(typ.IsMultiCell()); m != p[3] {
		t.Errorf("%s is multi cell: %s", p[0], m)
	}
	return typ, reversed
}

func checkOrder(t *testing.T, typ *Type, reversed bool, line string) {
	if typ.Kind == Custom {
		return
	}
	w := strings.Fields(line)
	rank := []int{0}
	for i := 1; i < len(w); i += 2 {
		rank = append(rank, rank[len(rank)-1]+map[string]int{"<": 1, "=": 0}[w[i]])
	}
	rev := []bool{reversed}
	ts := []*Type{typ}
	for i := 0; i < len(w); i += 2 {
		for j := 0; j < len(w); j += 2 {
			a, b := unhex(t, w[i]), unhex(t, w[j])
			want := sign(rank[i/2] - rank[j/2])
			got := sign(typ.Compare(a, b))
			if reversed {
				got = -got
			}
			if got != want {
				t.Errorf("%s: compare %s %s: %d, want %d", typ, w[i], w[j], got, want)
			}
			ea, eb := AppendClustering(nil, ts, rev, [][]byte{a}), AppendClustering(nil, ts, rev, [][]byte{b})
			if bytes.Compare(ea, eb) != want {
				t.Errorf("%s: encodings of %s %s: %x %x, want %d", typ, w[i], w[j], ea, eb, want)
			}
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// escaped writes control characters as the golden files do.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r < 32 || r == 127:
			b.WriteString(`\x` + hex.EncodeToString([]byte{byte(r)}))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
