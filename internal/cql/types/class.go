package types

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// marshal is the Java package of Cassandra's types; class strings may leave it out.
const marshal = "org.apache.cassandra.db.marshal."

var classNames = map[Kind]string{
	ASCII: "AsciiType", BigInt: "LongType", Blob: "BytesType", Boolean: "BooleanType", Counter: "CounterColumnType",
	Date: "SimpleDateType", Decimal: "DecimalType", Double: "DoubleType", Duration: "DurationType", Float: "FloatType",
	Inet: "InetAddressType", Int: "Int32Type", SmallInt: "ShortType", Text: "UTF8Type", Time: "TimeType",
	Timestamp: "TimestampType", TimeUUID: "TimeUUIDType", TinyInt: "ByteType", UUID: "UUIDType", VarInt: "IntegerType",
	Empty: "EmptyType", List: "ListType", Set: "SetType", Map: "MapType", Tuple: "TupleType", UDT: "UserType",
	Vector: "VectorType",
}

var kindByClass = func() map[string]Kind {
	m := map[string]Kind{"DateType": Timestamp} // the name of timestamp before Cassandra 2.0
	for k, c := range classNames {
		m[c] = k
	}
	return m
}()

// FixedLength is the length of every value of t inside SSTables, clusterings
// and commit logs, where such values stand without a length before them; -1 for
// types whose values have one. tinyint, smallint, date and time are among the
// latter although their values have one length only.
func (t *Type) FixedLength() int {
	switch t.Kind {
	case Empty:
		return 0
	case Boolean:
		return 1
	case Int, Float:
		return 4
	case BigInt, Double, Timestamp:
		return 8
	case UUID, TimeUUID:
		return 16
	case Vector:
		if n := t.Elems[0].FixedLength(); n >= 0 {
			return n * t.Dimension
		}
	}
	return -1
}

// ClassName is the type as Cassandra's files spell it, inside ReversedType for
// a descending clustering column.
func (t *Type) ClassName(reversed bool) string {
	b := t.appendClass(nil, false)
	if reversed {
		return marshal + "ReversedType(" + string(b) + ")"
	}
	return string(b)
}

// CompositeClassName is the class of a partition key: the type itself for one
// column, CompositeType for more.
func CompositeClassName(ts []*Type) string {
	if len(ts) == 1 {
		return ts[0].ClassName(false)
	}
	b := appendClasses([]byte(marshal+"CompositeType("), ts, false)
	return string(append(b, ')'))
}

func appendClasses(b []byte, ts []*Type, frozen bool) []byte {
	for i, t := range ts {
		if i > 0 {
			b = append(b, ',')
		}
		b = t.appendClass(b, frozen)
	}
	return b
}

// appendClass writes FrozenType around the outermost frozen type only: what is
// inside a frozen type is frozen without saying so.
func (t *Type) appendClass(b []byte, frozen bool) []byte {
	if t.Kind == Custom {
		return append(b, t.Name...)
	}
	wrap := !frozen && t.Frozen && (t.IsCollection() || t.Kind == UDT)
	if wrap {
		b = append(b, marshal+"FrozenType("...)
	}
	b = append(append(b, marshal...), classNames[t.Kind]...)
	switch t.Kind {
	case List, Set, Map:
		b = append(appendClasses(append(b, '('), t.Elems, frozen || t.Frozen), ')')
	case Tuple:
		b = append(appendClasses(append(b, '('), t.Elems, true), ')')
	case Vector:
		b = t.Elems[0].appendClass(append(b, '('), frozen)
		b = strconv.AppendInt(append(b, " , "...), int64(t.Dimension), 10)
		b = append(b, ')')
	case UDT:
		b = append(append(append(b, '('), t.Keyspace...), ',')
		b = hex.AppendEncode(b, []byte(t.Name))
		for i, e := range t.Elems {
			b = hex.AppendEncode(append(b, ','), []byte(t.FieldNames[i]))
			b = e.appendClass(append(b, ':'), frozen || t.Frozen)
		}
		b = append(b, ')')
	}
	if wrap {
		b = append(b, ')')
	}
	return b
}

// nestingMax bounds how deep types may be nested in text.
const nestingMax = 64

// ParseClass reads a class string. Classes this build does not know become
// Custom with their whole text as name.
func ParseClass(s string) (t *Type, reversed bool, err error) {
	p := classParser{text: s}
	if inner, ok := p.enter("ReversedType"); ok {
		reversed = true
		p = inner
	}
	t, err = p.parse(0)
	if err == nil && reversed {
		err = p.expect(')')
	}
	if err == nil && p.rest() != "" {
		err = fmt.Errorf("unexpected %q", p.rest())
	}
	if err != nil {
		return nil, false, fmt.Errorf("types: class %q: %w", clip(s), err)
	}
	return t, reversed, nil
}

// ParseKeyClass reads the class of a partition key: the types of its columns.
func ParseKeyClass(s string) ([]*Type, error) {
	p := classParser{text: s}
	inner, ok := p.enter("CompositeType")
	if !ok {
		t, _, err := ParseClass(s)
		if err != nil {
			return nil, err
		}
		return []*Type{t}, nil
	}
	ts, err := inner.list(0)
	if err == nil && inner.rest() != "" {
		err = fmt.Errorf("unexpected %q", inner.rest())
	}
	if err != nil {
		return nil, fmt.Errorf("types: class %q: %w", clip(s), err)
	}
	return ts, nil
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

type classParser struct {
	text string
	pos  int
}

func (p *classParser) rest() string { return strings.TrimSpace(p.text[p.pos:]) }

func (p *classParser) space() {
	for p.pos < len(p.text) && p.text[p.pos] == ' ' {
		p.pos++
	}
}

func (p *classParser) expect(c byte) error {
	p.space()
	if p.pos >= len(p.text) || p.text[p.pos] != c {
		return fmt.Errorf("%q expected at %d", c, p.pos)
	}
	p.pos++
	return nil
}

func (p *classParser) more() bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == ',' {
		p.pos++
		return true
	}
	return false
}

// word reads up to a delimiter.
func (p *classParser) word() string {
	p.space()
	n := strings.IndexAny(p.text[p.pos:], "(),: ")
	if n < 0 {
		n = len(p.text) - p.pos
	}
	w := p.text[p.pos : p.pos+n]
	p.pos += n
	return w
}

// enter tells whether a class with parameters of that name comes next, and if
// so returns a parser that stands behind its opening parenthesis.
func (p classParser) enter(class string) (classParser, bool) {
	if strings.TrimPrefix(p.word(), marshal) != class || p.expect('(') != nil {
		return p, false
	}
	return p, true
}

// list reads types up to the closing parenthesis; the opening one is read.
func (p *classParser) list(depth int) (ts []*Type, err error) {
	for {
		t, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
		if !p.more() {
			return ts, p.expect(')')
		}
	}
}

func (p *classParser) parse(depth int) (*Type, error) {
	if depth > nestingMax {
		return nil, fmt.Errorf("nested deeper than %d", nestingMax)
	}
	p.space()
	start := p.pos
	full := p.word()
	name := strings.TrimPrefix(full, marshal)
	if full == "" {
		return nil, fmt.Errorf("class name expected at %d", p.pos)
	}
	k, known := kindByClass[name]
	if name == "FrozenType" {
		return p.frozen(depth)
	}
	if !known || strings.Contains(name, ".") {
		return p.custom(start, full)
	}
	if k <= Empty {
		return Native(k), nil
	}
	if err := p.expect('('); err != nil {
		return nil, err
	}
	switch k {
	case UDT:
		return p.udt(depth)
	case Vector:
		return p.vector(depth)
	}
	elems, err := p.list(depth)
	if err != nil {
		return nil, err
	}
	want := map[Kind]int{List: 1, Set: 1, Map: 2, Tuple: len(elems)}[k]
	if len(elems) != want {
		return nil, fmt.Errorf("%s has %d parameters", name, len(elems))
	}
	t := &Type{Kind: k, Elems: elems}
	if k == Tuple {
		return t.freezeElems(), nil
	}
	return t, nil
}

// freezeElems freezes what a tuple holds.
func (t *Type) freezeElems() *Type {
	for i, e := range t.Elems {
		t.Elems[i] = e.Freeze()
	}
	return t
}

func (p *classParser) frozen(depth int) (*Type, error) {
	if err := p.expect('('); err != nil {
		return nil, err
	}
	t, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	return t.Freeze(), p.expect(')')
}

var classWord = regexp.MustCompile(`^[\pL0-9_.$]+$`)

// custom keeps an unknown class with whatever stands in its parentheses.
func (p *classParser) custom(start int, full string) (*Type, error) {
	if !classWord.MatchString(full) {
		return nil, fmt.Errorf("%q is not the name of a class", full)
	}
	if p.pos < len(p.text) && p.text[p.pos] == '(' {
		open := 0
		for ; p.pos < len(p.text); p.pos++ {
			if c := p.text[p.pos]; c == '(' {
				open++
			} else if c == ')' {
				open--
			}
			if open == 0 {
				break
			}
		}
		if open != 0 {
			return nil, fmt.Errorf("parenthesis of %s is not closed", full)
		}
		p.pos++
	}
	name := p.text[start:p.pos]
	if !strings.Contains(full, ".") {
		name = marshal + name
	}
	return &Type{Kind: Custom, Name: name}, nil
}

// Values have 32-bit lengths; the bounds also keep the product from overflowing.
const (
	dimensionMax  = 1<<31 - 1
	vectorSizeMax = 1<<31 - 1
)

func checkDimension(elem *Type, n int) error {
	if n < 1 {
		return fmt.Errorf("vectors may only have positive dimensions; given %d", n)
	}
	if elem.FixedLength() == 0 {
		return fmt.Errorf("a vector of %s has no values", elem) // and its elements could not be counted
	}
	if n > dimensionMax || n*max(elem.FixedLength(), 1) > vectorSizeMax {
		return fmt.Errorf("a vector of %d %s is longer than 2 GiB", n, elem)
	}
	return nil
}

func (p *classParser) vector(depth int) (*Type, error) {
	elem, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	if err := p.expect(','); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(p.word())
	if err != nil {
		return nil, fmt.Errorf("vector dimension: %w", err)
	}
	if err := checkDimension(elem, n); err != nil {
		return nil, err
	}
	return VectorOf(elem, n), p.expect(')')
}

func (p *classParser) udt(depth int) (*Type, error) {
	t := &Type{Kind: UDT, Keyspace: p.word()}
	if err := p.expect(','); err != nil {
		return nil, err
	}
	name, err := hex.DecodeString(p.word())
	if err != nil || len(name) == 0 || t.Keyspace == "" {
		return nil, fmt.Errorf("user type without keyspace or name")
	}
	t.Name = string(name)
	for p.more() {
		field, err := hex.DecodeString(p.word())
		if err != nil {
			return nil, fmt.Errorf("field name of %s: %w", t.Name, err)
		}
		if err := p.expect(':'); err != nil {
			return nil, err
		}
		elem, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		t.FieldNames, t.Elems = append(t.FieldNames, string(field)), append(t.Elems, elem)
	}
	return t, p.expect(')')
}
