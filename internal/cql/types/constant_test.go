package types

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// constantCase is one constant of testdata/constants.txt with the answers it
// lists; the others have the usual one.
type constantCase struct {
	kind    ConstantKind
	text    string
	answers map[string]string
}

func constantCases(t testing.TB) (cases []*constantCase) {
	t.Helper()
	golden(t, "constants.txt", func(line string) {
		if rest, ok := strings.CutPrefix(line, "const "); ok {
			kind, text, _ := strings.Cut(rest, " ")
			c := &constantCase{text: text, answers: map[string]string{}}
			for c.kind.String() != kind {
				c.kind++
			}
			cases = append(cases, c)
			return
		}
		typ, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		cases[len(cases)-1].answers[typ] = answer
	})
	return cases
}

func (c *constantCase) want(typ *Type) string {
	name := typ.String()
	if answer, ok := c.answers[name]; ok {
		return answer
	}
	if c.kind == StringConst {
		switch typ.Kind {
		case ASCII, Text:
			return hexOf([]byte(c.text))
		case Date:
			return "!Unable to coerce '" + c.text + "' to a formatted date (long)"
		case Time:
			return "!(TimeType) Unable to coerce '" + c.text + "' to a formatted time (long)"
		case Timestamp:
			return "!Unable to parse a date/time from '" + c.text + "'"
		case Inet:
			return "!Unable to make inet address from '" + c.text + "'"
		}
	}
	return "!Invalid " + c.kind.String() + " constant (" + c.text + ") for \"p\" of type " + name
}

func hexOf(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

func TestConstants(t *testing.T) {
	for _, c := range constantCases(t) {
		for k := ASCII; k < Empty; k++ {
			typ := Native(k)
			b, err := typ.ParseConstant(c.kind, c.text)
			got := hexOf(b)
			if err != nil {
				got = "!" + err.Error()
				if bad := (*ConstantError)(nil); errors.As(err, &bad) {
					got = "!" + bad.For("p")
				}
			} else if err := typ.Validate(b); err != nil {
				t.Errorf("%s %s as %s: %s is not valid: %v", c.kind, c.text, typ, got, err)
			}
			want := c.want(typ)
			if want == "!?" && err != nil {
				continue
			}
			if typ.Kind == TinyInt && c.kind == HexConst && len(b) != 1 {
				continue // Cassandra takes any length for a tinyint, and stores it
			}
			if got != want {
				t.Errorf("%s %s as %s:\n%s, want\n%s", c.kind, c.text, typ, got, want)
			}
		}
	}
}
