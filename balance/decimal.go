package balance

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is a number in text, exact: "0.05". "" is zero or a default.
type Decimal string

// Amount is a number of bytes (or of tokens) in text, exact as far as it is
// small: from a million on it is rounded to a whole number, and JSON carries it
// as a string, for it may exceed 2^53.
type Amount string

// decimalMax bounds the digits and the exponent of a Decimal.
const decimalMax = 60

// parse splits d into digits and the power of ten they are divided by.
func (d Decimal) parse() (num *big.Int, scale int, err error) {
	text, exp := string(d), 0
	if text == "" {
		return new(big.Int), 0, nil
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exp, err = strconv.Atoi(text[i+1:]); err != nil || exp < -decimalMax || exp > decimalMax {
			return nil, 0, fmt.Errorf("%q is not a number", string(d))
		}
		text = text[:i]
	}
	if i := strings.IndexByte(text, '.'); i >= 0 {
		scale = len(text) - i - 1
		text = text[:i] + text[i+1:]
	}
	num, ok := new(big.Int).SetString(text, 10)
	if !ok || len(text) > decimalMax {
		return nil, 0, fmt.Errorf("%q is not a number", string(d))
	}
	if scale -= exp; scale < 0 {
		num.Mul(num, pow10(-scale))
		scale = 0
	}
	for scale > 0 && num.Sign() != 0 {
		q, rest := new(big.Int).QuoRem(num, big.NewInt(10), new(big.Int))
		if rest.Sign() != 0 {
			break
		}
		num, scale = q, scale-1
	}
	return num, scale, nil
}

// rat is d as a fraction; nil if it is not a number.
func (d Decimal) rat() *big.Rat {
	num, scale, err := d.parse()
	if err != nil {
		return nil
	}
	return new(big.Rat).SetFrac(num, pow10(scale))
}

// UnmarshalJSON takes a string or a number.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	s, err := stringOrNumber(b)
	if err != nil {
		return err
	}
	if _, _, err := Decimal(s).parse(); err != nil {
		return err
	}
	*d = Decimal(s)
	return nil
}

// UnmarshalJSON takes a string or a number.
func (a *Amount) UnmarshalJSON(b []byte) error { return (*Decimal)(a).UnmarshalJSON(b) }

// same tells whether two amounts are the same number.
func (a Amount) same(b Amount) bool {
	x, y := Decimal(a).rat(), Decimal(b).rat()
	return x != nil && y != nil && x.Cmp(y) == 0
}

// Float is a as a float: for people and pictures.
func (a Amount) Float() float64 {
	if r := Decimal(a).rat(); r != nil {
		f, _ := r.Float64()
		return f
	}
	return 0
}

func stringOrNumber(b []byte) (string, error) {
	var s string
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &s)
		return s, err
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	return n.String(), err
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// roundFrom is where Amounts begin to be whole numbers.
const roundFrom = 1_000_000

// show writes an amount that counts units of 10^-scale.
func show(n *big.Int, scale int) Amount {
	unit := pow10(scale)
	if scale == 0 {
		return Amount(n.String())
	}
	digits := 3
	if n.Cmp(new(big.Int).Mul(unit, big.NewInt(roundFrom))) >= 0 {
		digits = 0
	}
	s := new(big.Rat).SetFrac(n, unit).FloatString(digits)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return Amount(s)
}
