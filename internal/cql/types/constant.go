package types

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/inf.v0"
)

// ConstantKind is the lexical kind of a literal in CQL.
type ConstantKind uint8

// The kinds of constants.
const (
	StringConst ConstantKind = iota
	IntegerConst
	FloatConst // NaN, Infinity and -Infinity included
	BooleanConst
	UUIDConst
	HexConst // 0x and digits
	DurationConst
)

var constantKindNames = [...]string{"STRING", "INTEGER", "FLOAT", "BOOLEAN", "UUID", "HEX", "DURATION"}

// String is the name in error messages.
func (k ConstantKind) String() string { return constantKindNames[k] }

// ConstantError says that a kind of constant cannot be a value of a type at
// all; a constant of the right kind but with a bad text is a ValueError.
type ConstantError struct {
	Kind ConstantKind
	Text string
	Type *Type
}

// For is the message for a column or marker of that name.
func (e *ConstantError) For(name string) string {
	return fmt.Sprintf("Invalid %s constant (%s) for \"%s\" of type %s", e.Kind, e.Text, name, e.Type)
}

func (e *ConstantError) Error() string {
	return fmt.Sprintf("Invalid %s constant (%s) for type %s", e.Kind, e.Text, e.Type)
}

func kinds(ks ...ConstantKind) (mask uint8) {
	for _, k := range ks {
		mask |= 1 << k
	}
	return mask
}

// assignable are the kinds of constants that each native type takes.
var assignable = [...]uint8{
	ASCII:     kinds(StringConst),
	BigInt:    kinds(IntegerConst),
	Blob:      kinds(HexConst),
	Boolean:   kinds(BooleanConst),
	Counter:   kinds(IntegerConst),
	Date:      kinds(StringConst, IntegerConst),
	Decimal:   kinds(IntegerConst, FloatConst),
	Double:    kinds(IntegerConst, FloatConst),
	Duration:  kinds(IntegerConst, DurationConst),
	Float:     kinds(IntegerConst, FloatConst),
	Inet:      kinds(StringConst),
	Int:       kinds(IntegerConst),
	SmallInt:  kinds(IntegerConst),
	Text:      kinds(StringConst),
	Time:      kinds(StringConst, IntegerConst),
	Timestamp: kinds(StringConst, IntegerConst),
	TimeUUID:  kinds(UUIDConst),
	TinyInt:   kinds(IntegerConst, HexConst), // hexadecimal, too: a quirk of Cassandra
	UUID:      kinds(UUIDConst),
	VarInt:    kinds(IntegerConst),
	Custom:    kinds(HexConst),
}

// Accepts tells whether constants of that kind can be values of t.
func (t *Type) Accepts(kind ConstantKind) bool {
	return int(t.Kind) < len(assignable) && assignable[t.Kind]&(1<<kind) != 0
}

// ParseConstant makes a value of t from a constant: text is what was written,
// of strings without quotes. The error is a *ConstantError or a ValueError.
func (t *Type) ParseConstant(kind ConstantKind, text string) ([]byte, error) {
	if !t.Accepts(kind) {
		return nil, &ConstantError{Kind: kind, Text: text, Type: t}
	}
	if kind == HexConst {
		return t.parseHex(text)
	}
	switch t.Kind {
	case ASCII, Text:
		return t.parseText(text)
	case TinyInt:
		return parseInteger(text, 1, "Unable to make byte from '%s'")
	case SmallInt:
		return parseInteger(text, 2, "Unable to make short from '%s'")
	case Int:
		return parseInteger(text, 4, "Unable to make int from '%s'")
	case BigInt, Counter:
		return parseInteger(text, 8, "Unable to make long from '%s'")
	case VarInt:
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return nil, badValue("unable to make int from '%s'", text)
		}
		return AppendVarInt(nil, n), nil
	case Decimal:
		return parseDecimal(text)
	case Float, Double:
		return t.parseFloat(text)
	case Boolean:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			return nil, badValue("Unable to make boolean from '%s'", text)
		}
		return AppendBoolean(nil, strings.EqualFold(text, "true")), nil
	case UUID, TimeUUID:
		return t.parseUUID(text)
	case Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return nil, err
		}
		return AppendDuration(nil, d), nil
	case Date:
		return parseDate(text)
	case Time:
		return parseTime(text)
	case Timestamp:
		return parseTimestamp(text)
	}
	return parseInet(text)
}

func (t *Type) parseHex(text string) ([]byte, error) {
	digits := text
	if len(text) >= 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		digits = text[2:]
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, badValue("cannot parse '%s' as hex bytes", digits)
	}
	return b, t.Validate(b)
}

func (t *Type) parseText(text string) ([]byte, error) {
	if t.Kind == Text {
		if !utf8.ValidString(text) {
			return nil, ValueError("String didn't validate.")
		}
		return []byte(text), nil
	}
	b := []byte(text)
	if validateASCII(b) != nil {
		return nil, ValueError("Invalid ASCII character in string literal: " +
			"java.nio.charset.UnmappableCharacterException: Input length = 1")
	}
	return b, nil
}

func parseInteger(text string, size int, message string) ([]byte, error) {
	v, err := strconv.ParseInt(text, 10, 8*size)
	if err != nil {
		return nil, badValue(message, text)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(v))[8-size:], nil
}

func (t *Type) parseFloat(text string) ([]byte, error) {
	size := 64
	if t.Kind == Float {
		size = 32
	}
	// What is too large for a double is refused, what is too large for a float
	// only is infinite.
	if _, err := strconv.ParseFloat(text, 64); err != nil || strings.ContainsAny(text, "xX") {
		return nil, badValue("Unable to make %s from '%s'", t.Kind, text)
	}
	f, _ := strconv.ParseFloat(text, size)
	if size == 32 {
		if f != f {
			return binary.BigEndian.AppendUint32(nil, 0x7fc00000), nil
		}
		return AppendFloat(nil, float32(f)), nil
	}
	if f != f {
		return binary.BigEndian.AppendUint64(nil, 0x7ff8000000000000), nil
	}
	return AppendDouble(nil, f), nil
}

// parseDecimal keeps the digits as they were written: 1.10 has scale 2.
func parseDecimal(text string) ([]byte, error) {
	bad := func() ([]byte, error) { return nil, badValue("unable to make BigDecimal from '%s'", text) }
	mantissa, exponent := text, int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		v, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return bad()
		}
		mantissa, exponent = text[:i], v
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if strings.Contains(digits, "_") || strings.ContainsAny(fraction, "+-") {
		return bad()
	}
	n, ok := new(big.Int).SetString(digits, 10)
	scale := int64(len(fraction)) - exponent
	if !ok || scale != int64(int32(scale)) {
		return bad()
	}
	return AppendVarInt(AppendInt(nil, int32(scale)), n), nil
}

// AppendVarInt appends minimal two's complement.
func AppendVarInt(dst []byte, n *big.Int) []byte {
	if n.IsInt64() {
		return append(dst, trimVarInt(binary.BigEndian.AppendUint64(nil, uint64(n.Int64())))...)
	}
	size := n.BitLen()/8 + 1
	if n.Sign() > 0 {
		return append(dst, n.FillBytes(make([]byte, size))...)
	}
	complement := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), uint(8*size)), n)
	return append(dst, trimVarInt(complement.FillBytes(make([]byte, size)))...)
}

// AppendDecimal appends a scale and an unscaled number.
func AppendDecimal(dst []byte, d *inf.Dec) []byte {
	return AppendVarInt(AppendInt(dst, int32(d.Scale())), d.UnscaledBig())
}

func (t *Type) parseUUID(text string) ([]byte, error) {
	b := make([]byte, 0, 16)
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return nil, badValue("Unable to make UUID from '%s'", text)
	}
	b, err := hex.AppendDecode(b, []byte(text[:8]+text[9:13]+text[14:18]+text[19:23]+text[24:]))
	if err != nil {
		return nil, badValue("Unable to make UUID from '%s'", text)
	}
	if t.Kind == TimeUUID && b[6]>>4 != 1 {
		return nil, ValueError("TimeUUID supports only version 1 UUIDs")
	}
	return b, nil
}
