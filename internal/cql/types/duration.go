package types

import "math"

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
