package types

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseName reads a type as CQL text, such as frozen<map<text, list<int>>> or
// the class of a custom type in quotes. udt finds user types (the keyspace is
// empty when the text names none) and may be nil if there cannot be one.
func ParseName(s string, udt func(keyspace, name string) (*Type, error)) (*Type, error) {
	p := nameParser{text: s, udt: udt}
	t, err := p.parse(0)
	if err == nil {
		if p.space(); p.pos < len(s) {
			err = fmt.Errorf("unexpected %q", clip(s[p.pos:]))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("types: type %q: %w", clip(s), err)
	}
	return t, nil
}

type nameParser struct {
	text string
	pos  int
	udt  func(keyspace, name string) (*Type, error)
}

func (p *nameParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next tells whether c comes next, and reads it.
func (p *nameParser) next(c byte) bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *nameParser) expect(c byte) error {
	if !p.next(c) {
		return fmt.Errorf("%q expected at %d", c, p.pos)
	}
	return nil
}

// quoted reads the rest of a text in quotes, where a doubled quote is one.
func (p *nameParser) quoted(quote byte) (string, error) {
	var b strings.Builder
	for ; p.pos < len(p.text); p.pos++ {
		if p.text[p.pos] == quote {
			p.pos++
			if p.pos == len(p.text) || p.text[p.pos] != quote {
				return b.String(), nil
			}
		}
		b.WriteByte(p.text[p.pos])
	}
	return "", fmt.Errorf("no closing quote")
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// word reads a name: bare ones become lower case.
func (p *nameParser) word() (w string, quoted bool, err error) {
	if p.next('"') {
		w, err = p.quoted('"')
		return w, true, err
	}
	start := p.pos
	for p.pos < len(p.text) && isNameByte(p.text[p.pos]) {
		p.pos++
	}
	if p.pos == start {
		return "", false, fmt.Errorf("a type is expected at %d", p.pos)
	}
	return strings.ToLower(p.text[start:p.pos]), false, nil
}

func (p *nameParser) parse(depth int) (*Type, error) {
	if depth > nestingMax {
		return nil, fmt.Errorf("nested deeper than %d", nestingMax)
	}
	if p.next('\'') {
		class, err := p.quoted('\'')
		if err != nil {
			return nil, err
		}
		t, _, err := ParseClass(class)
		return t, err
	}
	w, quoted, err := p.word()
	if err != nil {
		return nil, err
	}
	if !quoted {
		if k, ok := KindByName(w); ok {
			return Native(k), nil
		}
		if p.next('<') {
			return p.composite(w, depth)
		}
		if w == "empty" {
			return Native(Empty), nil
		}
	}
	return p.user(w)
}

func (p *nameParser) user(name string) (*Type, error) {
	keyspace := ""
	if p.next('.') {
		w, _, err := p.word()
		if err != nil {
			return nil, err
		}
		keyspace, name = name, w
	}
	if p.udt == nil {
		return nil, fmt.Errorf("unknown type %s", name)
	}
	return p.udt(keyspace, name)
}

// composite reads the parameters behind the opening bracket.
func (p *nameParser) composite(word string, depth int) (*Type, error) {
	var elems []*Type
	for {
		e, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
		if word == "vector" {
			return p.vector(e)
		}
		if !p.next(',') {
			break
		}
	}
	if err := p.expect('>'); err != nil {
		return nil, err
	}
	switch {
	case word == "frozen" && len(elems) == 1:
		return elems[0].Freeze(), nil
	case word == "list" && len(elems) == 1:
		return ListOf(elems[0], false), nil
	case word == "set" && len(elems) == 1:
		return SetOf(elems[0], false), nil
	case word == "map" && len(elems) == 2:
		return MapOf(elems[0], elems[1], false), nil
	case word == "tuple":
		return TupleOf(elems...).freezeElems(), nil
	}
	return nil, fmt.Errorf("%s does not have %d parameters", word, len(elems))
}

func (p *nameParser) vector(elem *Type) (*Type, error) {
	if err := p.expect(','); err != nil {
		return nil, err
	}
	w, _, err := p.word()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(w)
	if err != nil {
		return nil, fmt.Errorf("%q is not a dimension", w)
	}
	if err := checkDimension(elem, n); err != nil {
		return nil, err
	}
	return VectorOf(elem, n), p.expect('>')
}
