package row

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// Parse reads the text form of partitions of t and returns them in the order
// of keys, merged where one comes twice.
func Parse(t *schema.Table, p token.Partitioner, text string) ([]*Kept, error) {
	var b Builder
	b.Reset()
	if err := ParseInto(&b, t, text); err != nil || b.Len() == 0 {
		return nil, err
	}
	var all []*Kept
	m := ReadMutation(b.Finish(nil))
	for u := new(Update); ; {
		update, ok := m.Next()
		if !ok {
			break
		}
		if err := u.Reset(update, t, p); err != nil {
			return nil, err
		}
		k, err := Keep(u)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b *Kept) int { return CompareKeys(a.PartitionKey, b.PartitionKey, p.CompareTie) })
	return all, m.Err()
}

// ParseInto says to a Builder what the text form says.
func ParseInto(b *Builder, t *schema.Table, text string) error {
	p := textParser{b: b, t: t, open: Live()}
	for n, line := range strings.Split(text, "\n") {
		p.words = splitOutside(line, ' ')
		if len(p.words) == 0 || strings.HasPrefix(p.words[0], "#") {
			continue
		}
		if err := p.line(); err != nil {
			return fmt.Errorf("row: parse line %d %q: %w", n+1, line, err)
		}
	}
	return nil
}

type textParser struct {
	b     *Builder
	t     *schema.Table
	words []string

	begun bool
	// The range tombstone that the last mark opened.
	open      Deletion
	start     [][]byte
	inclusive bool
}

// splitOutside splits s at separators that stand outside of quotes and
// brackets, leaving out empty parts.
func splitOutside(s string, separator byte) []string {
	var parts []string
	quoted, depth, from := false, 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || (s[i] == separator && !quoted && depth == 0):
			if i > from {
				parts = append(parts, s[from:i])
			}
			from = i + 1
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == '[':
			depth++
		case !quoted && s[i] == ']':
			depth--
		}
	}
	return parts
}

func (p *textParser) line() error {
	kind := strings.TrimSpace(p.words[0])
	p.words = p.words[1:]
	if kind != "partition" && !p.begun {
		return errors.New("no partition begun")
	}
	switch kind {
	case "partition":
		return p.partition()
	case "static":
		p.b.BeginStatic()
		return p.cells()
	case "row":
		return p.row()
	case "mark":
		return p.mark()
	case "range":
		return p.rangeDeletion()
	}
	return fmt.Errorf("no such line: %s", kind)
}

func (p *textParser) partition() error {
	if len(p.words) == 0 {
		return errors.New("no key")
	}
	var columns []*types.Type
	for _, c := range p.t.PartitionKey {
		columns = append(columns, c.Type)
	}
	values, err := p.values(columns, p.words[0])
	if err != nil {
		return err
	}
	if len(values) != len(columns) {
		return errors.New("not the whole key")
	}
	key := values[0]
	if len(values) > 1 {
		key = nil
		for _, v := range values {
			key = binary.BigEndian.AppendUint16(key, uint16(len(v)))
			key = append(append(key, v...), 0)
		}
	}
	p.b.Begin(p.t, key)
	p.begun = true
	for _, w := range p.words[1:] {
		d, err := parseDeletion(strings.TrimPrefix(w, "del="))
		if err != nil {
			return err
		}
		p.b.DeletePartition(d)
	}
	return nil
}

func (p *textParser) values(ts []*types.Type, s string) ([][]byte, error) {
	var values [][]byte
	for i, w := range splitOutside(s, ',') {
		if i == len(ts) {
			return nil, errors.New("too many components")
		}
		v, err := parseValue(ts[i], w)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (p *textParser) row() error {
	var clustering [][]byte
	if len(p.t.Clustering) > 0 {
		if len(p.words) == 0 {
			return errors.New("no clustering")
		}
		var err error
		if clustering, err = p.values(p.t.ClusteringTypes(), p.words[0]); err != nil {
			return err
		}
		if len(clustering) != len(p.t.Clustering) {
			return errors.New("not the whole clustering")
		}
		p.words = p.words[1:]
	}
	p.b.BeginRow(clustering...)
	return p.cells()
}

// cells reads what a row says and ends it, whatever happens.
func (p *textParser) cells() (err error) {
	for _, w := range p.words {
		name, value, found := strings.Cut(w, "=")
		switch {
		case !found:
			err = errors.Join(err, fmt.Errorf("%q is no cell", w))
		case name == "live":
			at, ttl, expiring := strings.Cut(value, "!")
			l := Liveness{LocalTime: NoDeletionTime}
			var bad error
			if l.Timestamp, bad = strconv.ParseInt(at, 10, 64); bad == nil && expiring {
				l.TTL, l.LocalTime, bad = parseTTL(ttl)
			}
			err = errors.Join(err, bad)
			p.b.Liveness(l)
		case name == "del":
			d, bad := parseDeletion(value)
			err = errors.Join(err, bad)
			p.b.DeleteRow(d)
		default:
			err = errors.Join(err, p.cell(name, value))
		}
	}
	p.b.EndRow()
	return err
}

func (p *textParser) cell(name, text string) error {
	name, path, complex := strings.Cut(strings.TrimSuffix(name, "]"), "[")
	col := p.t.Column(name)
	if col == nil || col.IsComplex() != complex || (col.Kind == schema.Static) != p.b.row().static {
		return fmt.Errorf("no column %s for this cell", name)
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return fmt.Errorf("column %s: no timestamp", name)
	}
	value, when := text[:at], text[at+1:]
	c := Cell{LocalTime: NoDeletionTime}
	var err error
	if value, found := strings.CutPrefix(value, "#"); found {
		c.Flags |= CounterCell
		text = value
	} else {
		text = value
	}
	if text == "~" {
		d, err := parseDeletion(when)
		if err != nil {
			return err
		}
		if complex && path == "" {
			p.b.DeleteComplex(col, d)
			return nil
		}
		c.Flags |= Tombstone
		c.Timestamp, c.LocalTime = d.Timestamp, d.LocalTime
	} else {
		ts, ttl, expiring := strings.Cut(when, "!")
		if c.Timestamp, err = strconv.ParseInt(ts, 10, 64); err != nil {
			return err
		}
		if expiring {
			c.Flags |= Expiring
			if c.TTL, c.LocalTime, err = parseTTL(ttl); err != nil {
				return err
			}
		}
	}
	if complex {
		if c.Path, err = parseValue(pathType(col), path); err != nil {
			return err
		}
	}
	if c.Flags&Tombstone == 0 {
		if c.Value, err = parseValue(valueType(col, c.Path), text); err != nil {
			return err
		}
	}
	p.b.Cell(col, c)
	return nil
}

func (p *textParser) mark() error {
	if len(p.words) != 3 || (p.words[0][0] != '<' && p.words[0][0] != '>') {
		return errors.New("a mark is a bound and two deletions")
	}
	prefix, err := p.values(p.t.ClusteringTypes(), p.words[0][1:])
	if err != nil {
		return err
	}
	after := p.words[0][0] == '>'
	if !p.open.IsLive() {
		p.b.DeleteRange(p.start, p.inclusive, prefix, after, p.open)
	}
	p.open, p.start, p.inclusive = Live(), prefix, !after
	if p.words[2] != "-" {
		p.open, err = parseDeletion(p.words[2])
	}
	return err
}

func (p *textParser) rangeDeletion() error {
	if len(p.words) != 3 {
		return errors.New("a range is two bounds and a deletion")
	}
	d, err := parseDeletion(strings.TrimPrefix(p.words[2], "del="))
	if err != nil {
		return err
	}
	var ends [2][][]byte
	var inclusive [2]bool
	for i, sign := range []string{">", "<"} {
		w := p.words[i]
		if w == "*" {
			inclusive[i] = true
			continue
		}
		rest, found := strings.CutPrefix(w, sign)
		if !found {
			return fmt.Errorf("%q is no bound", w)
		}
		rest, inclusive[i] = strings.CutPrefix(rest, "=")
		if ends[i], err = p.values(p.t.ClusteringTypes(), rest); err != nil {
			return err
		}
	}
	p.b.DeleteRange(ends[0], inclusive[0], ends[1], inclusive[1], d)
	return nil
}

func parsePair(s string) (a, b int64, err error) {
	x, y, found := strings.Cut(s, "/")
	if !found {
		return 0, 0, fmt.Errorf("%q is no pair", s)
	}
	a, errA := strconv.ParseInt(x, 10, 64)
	b, errB := strconv.ParseInt(y, 10, 64)
	return a, b, errors.Join(errA, errB)
}

func parseDeletion(s string) (d Deletion, err error) {
	d.Timestamp, d.LocalTime, err = parsePair(s)
	return d, err
}

func parseTTL(s string) (ttl int32, expiry int64, err error) {
	v, expiry, err := parsePair(s)
	return int32(v), expiry, err
}

func parseValue(t *types.Type, s string) ([]byte, error) {
	switch {
	case s == "null":
		return nil, nil
	case s == noValueText:
		return []byte{}, nil
	case strings.HasPrefix(s, "0x"):
		return hex.DecodeString(s[2:])
	case strings.HasPrefix(s, `"`):
		v, err := strconv.Unquote(s)
		return []byte(v), err
	}
	if size := intSize(t); size > 0 {
		n, err := strconv.ParseInt(s, 10, 8*size)
		return binary.BigEndian.AppendUint64(nil, uint64(n))[8-size:], err
	}
	switch t.Kind {
	case types.Text, types.ASCII:
		return []byte(s), nil
	case types.Boolean:
		v, err := strconv.ParseBool(s)
		if v {
			return []byte{1}, err
		}
		return []byte{0}, err
	case types.UUID, types.TimeUUID:
		return hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	}
	return nil, fmt.Errorf("%q is no value of %v", s, t.Kind)
}
