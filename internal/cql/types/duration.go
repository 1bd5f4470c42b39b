package types

import (
	"math"
	"strconv"
	"strings"
)

// DurationValue is a span of time that keeps months, days and nanoseconds
// apart, because neither a month nor a day has a length of its own. All three
// have the same sign.
type DurationValue struct {
	Months, Days int32
	Nanos        int64
}

// AppendDuration appends the three parts as signed vints.
func AppendDuration(dst []byte, d DurationValue) []byte {
	return AppendVInt(AppendVInt(AppendVInt(dst, int64(d.Months)), int64(d.Days)), d.Nanos)
}

// DurationFromBytes reads a value of type duration.
func DurationFromBytes(b []byte) (DurationValue, error) {
	if len(b) < 3 {
		return DurationValue{}, badValue("Expected at least 3 bytes for a duration (%d)", len(b))
	}
	var parts [3]int64
	for i := range parts {
		v, n := VInt(b)
		if n == 0 {
			return DurationValue{}, ValueError("Not enough bytes to read a duration")
		}
		parts[i], b = v, b[n:]
	}
	months, days, nanos := parts[0], parts[1], parts[2]
	if months != int64(int32(months)) || days != int64(int32(days)) {
		return DurationValue{}, badValue("The duration months and days must be between %d and %d", math.MinInt32, math.MaxInt32)
	}
	if (months < 0 || days < 0 || nanos < 0) && (months > 0 || days > 0 || nanos > 0) {
		return DurationValue{}, badValue("The duration months, days and nanoseconds must be all of the same sign (%d, %d, %d)",
			months, days, nanos)
	}
	return DurationValue{Months: int32(months), Days: int32(days), Nanos: nanos}, nil
}

// durationUnit is a unit of the short form, largest first.
type durationUnit struct {
	symbol, name string
	months, days int64
	nanos        int64
}

var durationUnits = [...]durationUnit{
	{"y", "years", 12, 0, 0},
	{"mo", "months", 1, 0, 0},
	{"w", "weeks", 0, 7, 0},
	{"d", "days", 0, 1, 0},
	{"h", "hours", 0, 0, 3600e9},
	{"m", "minutes", 0, 0, 60e9},
	{"s", "seconds", 0, 0, 1e9},
	{"ms", "milliseconds", 0, 0, 1e6},
	{"us", "microseconds", 0, 0, 1e3},
	{"ns", "nanoseconds", 0, 0, 1},
}

// durationSum adds parts up; all are positive, the sign comes last.
type durationSum struct {
	months, days, nanos int64
	unit                int // of the last part, -1 before the first
}

// ParseDuration reads 1y2mo3w4d5h6m7s8ms9us10ns, P1Y2M3DT4H5M6S, P1W or
// P0001-02-03T04:05:06, each with an optional minus before it.
func ParseDuration(text string) (DurationValue, error) {
	bare := strings.TrimPrefix(text, "-")
	sum := durationSum{unit: -1}
	parse := (*durationSum).short
	if strings.HasPrefix(bare, "P") {
		parse = (*durationSum).iso
		if strings.Contains(bare, "-") {
			parse = (*durationSum).isoDateTime
		}
	}
	ok, err := parse(&sum, bare)
	if err != nil {
		return DurationValue{}, err
	}
	if !ok {
		return DurationValue{}, badValue("Unable to convert '%s' to a duration", bare)
	}
	d := DurationValue{Months: int32(sum.months), Days: int32(sum.days), Nanos: sum.nanos}
	if bare != text {
		d = DurationValue{Months: -d.Months, Days: -d.Days, Nanos: -d.Nanos}
	}
	return d, nil
}

// part adds count times a unit.
func (s *durationSum) part(count uint64, unit int) error {
	u := durationUnits[unit]
	if unit == s.unit {
		return badValue("Invalid duration. The %s are specified multiple times", u.name)
	}
	if unit < s.unit {
		return badValue("Invalid duration. The %s should be after %s", durationUnits[s.unit].name, u.name)
	}
	s.unit = unit
	for _, f := range []struct {
		sum  *int64
		each int64
		max  int64
		name string
	}{
		{&s.months, u.months, math.MaxInt32, "months"},
		{&s.days, u.days, math.MaxInt32, "days"},
		{&s.nanos, u.nanos, math.MaxInt64, "nanoseconds"},
	} {
		if f.each == 0 {
			continue
		}
		if count > uint64(f.max-*f.sum)/uint64(f.each) {
			// The limit of nanoseconds is another one, but this is what clients know.
			return badValue("Invalid duration. The total number of %s must be less or equal to %d", f.name, math.MaxInt32)
		}
		*f.sum += int64(count) * f.each
	}
	return nil
}

// count reads digits; more than fit count as the largest number.
func (s *scanner) count() uint64 {
	n := 0
	for n < len(s.text) && s.text[n] >= '0' && s.text[n] <= '9' {
		n++
	}
	s.ok = s.ok && n > 0
	u, err := strconv.ParseUint(s.text[:n], 10, 64)
	if err != nil {
		u = math.MaxUint64
	}
	s.text = s.text[n:]
	return u
}

func (s *durationSum) short(text string) (bool, error) {
	in := scanner{text, text != ""}
	for in.ok && in.text != "" {
		n := in.count()
		unit := in.unit()
		if !in.ok || unit < 0 {
			return false, nil
		}
		if err := s.part(n, unit); err != nil {
			return false, err
		}
	}
	return in.ok, nil
}

// unit reads the longest symbol that fits, in any case; -1 if none does.
func (s *scanner) unit() int {
	found, length := -1, 0
	for i, u := range durationUnits {
		for _, symbol := range []string{u.symbol, strings.Replace(u.symbol, "us", "µs", 1)} {
			n := len(symbol)
			if n > length && len(s.text) >= n && strings.EqualFold(s.text[:n], symbol) {
				found, length = i, n
			}
		}
	}
	s.text = s.text[length:]
	return found
}

// iso reads the parts behind P, those of the day before T, or one part W.
func (s *durationSum) iso(text string) (bool, error) {
	in := scanner{text[1:], true}
	units := "YMWD"
	for in.ok && in.text != "" {
		if units != "HMS" && in.peek('T') {
			units = "HMS"
			continue
		}
		n := in.count()
		letter := in.byte(units)
		if !in.ok || (letter == 'W' && (s.unit >= 0 || in.text != "")) {
			return false, nil
		}
		unit := strings.IndexByte("YMWD", letter)
		if units == "HMS" {
			unit = 4 + strings.IndexByte(units, letter)
		}
		if unit <= s.unit {
			return false, nil
		}
		if err := s.part(n, unit); err != nil {
			return false, err
		}
	}
	return in.ok, nil
}

func (s *durationSum) isoDateTime(text string) (bool, error) {
	in := scanner{text[1:], true}
	for _, f := range []struct {
		digits int
		end    string
		unit   int
	}{{4, "-", 0}, {2, "-", 1}, {2, "T", 3}, {2, ":", 4}, {2, ":", 5}, {2, "", 6}} {
		n := in.number(f.digits, f.digits)
		if f.end != "" {
			in.byte(f.end)
		}
		if err := s.part(uint64(n), f.unit); err != nil {
			return false, err
		}
	}
	return in.ok && in.text == "", nil
}

// String is the short form; the zero duration is 0ns.
func (d DurationValue) String() string {
	var b []byte
	months, days, nanos := uint64(abs(int64(d.Months))), uint64(abs(int64(d.Days))), uint64(abs(d.Nanos))
	if d.Months < 0 || d.Days < 0 || d.Nanos < 0 {
		b = append(b, '-')
	}
	part := func(left *uint64, each int64, symbol string) {
		if n := *left / uint64(each); n > 0 {
			b = append(strconv.AppendUint(b, n, 10), symbol...)
			*left %= uint64(each)
		}
	}
	for _, u := range durationUnits {
		switch {
		case u.months > 0:
			part(&months, u.months, u.symbol)
		case u.days == 1:
			part(&days, 1, u.symbol)
		case u.nanos > 0:
			part(&nanos, u.nanos, u.symbol)
		}
	}
	if len(b) == 0 {
		return "0ns"
	}
	return string(b)
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
