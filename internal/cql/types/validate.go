package types

import (
	"fmt"
	"unicode/utf8"
)

// ValueError says why bytes are not a value of a type, in the words clients
// know from Cassandra.
type ValueError string

func (e ValueError) Error() string { return string(e) }

func badValue(format string, args ...any) error { return ValueError(fmt.Sprintf(format, args...)) }

// lengthRule is what a scalar of fixed length says about other lengths.
type lengthRule struct {
	size    int
	orEmpty bool
	text    string
}

var lengthRules = [...]lengthRule{
	Boolean:   {1, true, "Expected 1 or 0 byte value (%d)"},
	TinyInt:   {1, false, "Expected 1 byte for a tinyint (%d)"},
	SmallInt:  {2, false, "Expected 2 bytes for a smallint (%d)"},
	Int:       {4, true, "Expected 4 or 0 byte int (%d)"},
	BigInt:    {8, true, "Expected 8 or 0 byte long (%d)"},
	Counter:   {8, true, "Expected 8 or 0 byte long (%d)"},
	Float:     {4, true, "Expected 4 or 0 byte value for a float (%d)"},
	Double:    {8, true, "Expected 8 or 0 byte value for a double (%d)"},
	Timestamp: {8, true, "Expected 8 or 0 byte long for date (%d)"},
	Date:      {4, false, "Expected 4 byte long for date (%d)"},
	Time:      {8, false, "Expected 8 byte long for time (%d)"},
	UUID:      {16, true, "UUID should be 16 or 0 bytes (%d)"},
	TimeUUID:  {16, true, "UUID should be 16 or 0 bytes (%d)"},
}

// Validate tells whether v is a value of t; nil, which is null, always is. The
// error is a ValueError.
func (t *Type) Validate(v []byte) error {
	if v == nil {
		return nil
	}
	if int(t.Kind) < len(lengthRules) {
		if r := &lengthRules[t.Kind]; r.size > 0 && len(v) != r.size && (len(v) != 0 || !r.orEmpty) {
			return badValue(r.text, len(v))
		}
	}
	switch t.Kind {
	case ASCII:
		return validateASCII(v)
	case Text:
		if !utf8.Valid(v) && !javaUTF8(v) {
			return ValueError("String didn't validate.")
		}
	case TimeUUID:
		if len(v) == 16 && v[6]>>4 != 1 {
			return badValue("Invalid version for TimeUUID type: 0x%x", v[0]>>4)
		}
	case Inet:
		if len(v) != 0 && len(v) != 4 && len(v) != 16 {
			return badValue("Expected 4 or 16 byte inetaddress; got %x", v)
		}
	case Decimal:
		if len(v) > 0 && len(v) < 4 {
			return badValue("Expected 0 or at least 4 bytes (%d)", len(v))
		}
	case Duration:
		_, err := DurationFromBytes(v)
		return err
	case Empty:
		if len(v) > 0 {
			return ValueError("EmptyType only accept empty values")
		}
	case List, Set, Map:
		return t.validateCollection(v)
	case Tuple, UDT:
		return t.validateFields(v)
	case Vector:
		return t.validateVector(v)
	}
	return nil
}

func validateASCII(v []byte) error {
	for _, c := range v {
		if c >= 0x80 {
			return badValue("Invalid byte for ascii: %d", int8(c))
		}
	}
	return nil
}

// javaUTF8 is the laxer check of Cassandra, which lets pass what its clients
// could have written: NUL in two bytes, lone surrogates, and code points beyond
// U+10FFFF in four bytes.
func javaUTF8(v []byte) bool {
	for i := 0; i < len(v); {
		c, more := v[i], 0
		i++
		low := byte(0x80)
		switch {
		case c < 0x80:
			continue
		case c == 0xc0:
			if i == len(v) || v[i] != 0x80 {
				return false
			}
			more = 1
		case c >= 0xc2 && c < 0xe0:
			more = 1
		case c >= 0xe0 && c < 0xf0:
			if more = 2; c == 0xe0 {
				low = 0xa0
			}
		case c >= 0xf0 && c < 0xf8:
			if more = 3; c == 0xf0 {
				low = 0x90
			}
		default:
			return false
		}
		for ; more > 0; more-- {
			if i == len(v) || v[i] < low || v[i] > 0xbf {
				return false
			}
			i, low = i+1, 0x80
		}
	}
	return true
}

func (t *Type) validateCollection(v []byte) error {
	it := t.Elements(v)
	if len(v) < 4 {
		return badValue("Not enough bytes to read a %s", t.Kind)
	}
	for i := 0; ; i++ {
		e, ok := it.Next()
		if !ok {
			break
		}
		if e == nil {
			return ValueError("Null value read when not allowed")
		}
		if err := t.Elems[i%len(t.Elems)].Validate(e); err != nil {
			return err
		}
	}
	if it.Failed() {
		return badValue("Not enough bytes to read a %s", t.Kind)
	}
	if len(it.Rest()) > 0 {
		return badValue("Unexpected extraneous bytes after %s value", t.Kind)
	}
	return nil
}

func (t *Type) validateFields(v []byte) error {
	it := FieldElements(v)
	for i, ft := range t.Elems {
		before := len(it.Rest())
		if before == 0 {
			return nil
		}
		e, _ := it.Next()
		if it.Failed() {
			return t.shortField(i, before)
		}
		if err := ft.Validate(e); err != nil {
			if t.Kind == UDT {
				return badValue("Failure validating the %dth field %s; %v", i, t.fieldName(i), err)
			}
			return err
		}
	}
	if len(it.Rest()) > 0 {
		if t.Kind == UDT {
			return ValueError("Invalid remaining data after end of UDT value")
		}
		return ValueError("Invalid remaining data after end of tuple value")
	}
	return nil
}

func (t *Type) fieldName(i int) string {
	if i < len(t.FieldNames) {
		return t.FieldNames[i]
	}
	return ""
}

func (t *Type) shortField(i, left int) error {
	part, name := "", "component"
	if left < 4 {
		part = "size of "
	}
	if t.Kind == UDT {
		name = "field " + t.fieldName(i)
	}
	return badValue("Not enough bytes to read %s%dth %s", part, i, name)
}

func (t *Type) validateVector(v []byte) error {
	if len(v) == 0 {
		return ValueError("Invalid empty vector value")
	}
	it := VectorElements(t, v)
	if n := t.FixedLength(); n >= 0 && len(v) != n {
		if len(v) < n {
			return badValue("Not enough bytes to read a %s", t)
		}
		return badValue("Unexpected %d extraneous bytes after %s value", len(v)-n, t)
	}
	for {
		e, ok := it.Next()
		if !ok {
			break
		}
		if err := t.Elems[0].Validate(e); err != nil {
			return err
		}
	}
	if it.Failed() {
		return badValue("Not enough bytes to read a %s", t)
	}
	if n := len(it.Rest()); n > 0 {
		return badValue("Unexpected %d extraneous bytes after %s value", n, t)
	}
	return nil
}
