package types

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	secondsPerDay = 24 * 3600
	nanosPerDay   = secondsPerDay * int64(time.Second)
	dateZero      = 1 << 31 // the date 1970-01-01
)

// scanner reads a text from the left; a failed read leaves ok false for good.
type scanner struct {
	text string
	ok   bool
}

func (s *scanner) byte(set string) (c byte) {
	if len(s.text) == 0 || strings.IndexByte(set, s.text[0]) < 0 {
		s.ok = false
		return 0
	}
	c, s.text = s.text[0], s.text[1:]
	return c
}

// peek tells whether c comes next, and reads it.
func (s *scanner) peek(c byte) bool {
	if len(s.text) > 0 && s.text[0] == c {
		s.text = s.text[1:]
		return true
	}
	return false
}

// number reads between low and high decimal digits.
func (s *scanner) number(low, high int) (v int64) {
	n := 0
	for n < len(s.text) && n < high && s.text[n] >= '0' && s.text[n] <= '9' {
		v = v*10 + int64(s.text[n]-'0')
		n++
	}
	s.ok = s.ok && n >= low
	s.text = s.text[n:]
	return v
}

// digitsMax is enough for every field and cannot overflow.
const digitsMax = 18

// isNumber tells whether text is an optional minus and digits.
func isNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// isoDate reads year, month and day: four digits of year, more only behind a
// plus or minus, two of month and day.
func (s *scanner) isoDate() (year, month, day int64) {
	sign := byte(0)
	if s.peek('-') {
		sign = '-'
	} else if s.peek('+') {
		sign = '+'
	}
	before := len(s.text)
	year = s.number(4, 10)
	n := before - len(s.text)
	if (sign == 0 && n > 4) || (sign == '+' && n == 4) || (sign == '-' && year == 0) {
		s.ok = false
	}
	if sign == '-' {
		year = -year
	}
	s.byte("-")
	month = s.number(2, 2)
	s.byte("-")
	return year, month, s.number(2, 2)
}

func daysIn(year, month int64) int64 {
	return int64(time.Date(int(year), time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day())
}

// daysSinceEpoch needs a valid date.
func daysSinceEpoch(year, month, day int64) int64 {
	return time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay
}

func parseDate(text string) ([]byte, error) {
	if isNumber(text) {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 || v > math.MaxUint32 {
			return nil, badValue("Unable to make unsigned int (for date) from: '%s'", text)
		}
		return AppendInt(nil, int32(uint32(v))), nil
	}
	s := scanner{text, true}
	year, month, day := s.isoDate()
	if !s.ok || s.text != "" || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return nil, badValue("Unable to coerce '%s' to a formatted date (long)", text)
	}
	days := daysSinceEpoch(year, month, day)
	if days < math.MinInt32 {
		return nil, badValue("Input date %s is less than min supported date -5877641-06-23T00:00Z", text)
	}
	if days > math.MaxInt32 {
		return nil, badValue("Input date %s is greater than max supported date +5881580-07-11T00:00Z", text)
	}
	return AppendDate(nil, int32(days)), nil
}

// parseTime reads h:m:s with up to nine digits of fraction, or nanoseconds.
func parseTime(text string) ([]byte, error) {
	if isNumber(text) {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 || v >= nanosPerDay {
			return nil, badValue("Unable to make long (for time) from: '%s'", text)
		}
		return AppendBigInt(nil, v), nil
	}
	s := scanner{text, true}
	s.peek('+')
	hour := s.number(1, digitsMax)
	s.byte(":")
	minute := s.number(1, digitsMax)
	s.byte(":")
	second := s.number(1, digitsMax)
	nanos := int64(0)
	if s.peek('.') {
		nanos = s.fraction(1)
	}
	if !s.ok || s.text != "" || hour > 23 || minute > 59 || second > 59 {
		return nil, badValue("(TimeType) Unable to coerce '%s' to a formatted time (long)", text)
	}
	return AppendBigInt(nil, (hour*3600+minute*60+second)*int64(time.Second)+nanos), nil
}

// fraction reads at least low and at most nine digits as nanoseconds.
func (s *scanner) fraction(low int) int64 {
	before := len(s.text)
	v := s.number(low, 9)
	for n := before - len(s.text); n < 9; n++ {
		v *= 10
	}
	return v
}

// parseTimestamp reads milliseconds since 1970, `now`, a date, or a date with
// a time of day; the last two with a zone or else in UTC.
func parseTimestamp(text string) ([]byte, error) {
	switch {
	case text == "":
		return []byte{}, nil
	case isNumber(text):
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, badValue("Unable to make long (for date) from: '%s'", text)
		}
		return AppendBigInt(nil, v), nil
	case strings.EqualFold(text, "now"):
		return AppendBigInt(nil, time.Now().UnixMilli()), nil
	}
	at, ok := scanMoment(text)
	if !ok {
		at, ok = scanDay(text)
	}
	if !ok {
		return nil, badValue("Unable to parse a date/time from '%s'", text)
	}
	return AppendBigInt(nil, at.UnixMilli()), nil
}

// scanMoment reads a date with a time of day. Its fields may have any number of
// digits, but the year no sign.
func scanMoment(text string) (at time.Time, ok bool) {
	s := scanner{text, true}
	year := s.number(1, 9)
	s.byte("-")
	month := s.number(1, digitsMax)
	s.byte("-")
	day := s.number(1, digitsMax)
	s.byte(" T")
	hour := s.number(1, digitsMax)
	s.byte(":")
	minute := s.number(1, digitsMax)
	var second, nanos int64
	if s.peek(':') {
		second = s.number(1, digitsMax)
		if s.peek('.') {
			nanos = s.fraction(0)
		}
	}
	midnight := hour == 24 && minute == 0 && second == 0 && nanos == 0
	if year == 0 || (hour > 23 && !midnight) || minute > 59 || second > 59 {
		return at, false
	}
	return s.moment(year, month, day, time.Duration(hour*3600+minute*60+second)*time.Second+time.Duration(nanos))
}

func scanDay(text string) (at time.Time, ok bool) {
	s := scanner{text, true}
	year, month, day := s.isoDate()
	return s.moment(year, month, day, 0)
}

// moment reads the zone that ends the text. A day that the month does not have
// becomes its last one, as Java resolves it.
func (s *scanner) moment(year, month, day int64, clock time.Duration) (at time.Time, ok bool) {
	if !s.ok || month < 1 || month > 12 || day < 1 || day > 31 {
		return at, false
	}
	zone, ok := s.zone()
	if !ok || s.text != "" {
		return at, false
	}
	day = min(day, daysIn(year, month))
	whole := int(clock / time.Second)
	utc := time.Date(int(year), time.Month(month), int(day), whole/3600, whole/60%60, whole%60,
		int(clock%time.Second), time.UTC)
	return inZone(utc, zone), true
}

// inZone reads the fields of utc as local time. As in Java a time that happens
// twice when clocks go back is the first one, and a time that is skipped when
// they go forward counts with the offset before.
func inZone(utc time.Time, zone *time.Location) time.Time {
	before, after := offsetAt(utc.Add(-24*time.Hour), zone), offsetAt(utc.Add(24*time.Hour), zone)
	first, second := utc.Add(-before), utc.Add(-after)
	if offsetAt(first, zone) != before && offsetAt(second, zone) == after {
		return second
	}
	return first
}

func offsetAt(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

const offsetMaxMinutes = 18 * 60

// zone reads nothing (UTC), Z, an offset ±hh, ±hhmm or ±hh:mm, these behind a
// space, or the name of a zone behind a space.
func (s *scanner) zone() (*time.Location, bool) {
	spaced := s.peek(' ')
	switch {
	case s.text == "":
		return time.UTC, !spaced
	case s.peek('Z'):
		return time.UTC, true
	case s.text[0] == '+' || s.text[0] == '-':
		negative := s.text[0] == '-'
		s.text = s.text[1:]
		minutes := s.number(2, 2) * 60
		if s.text != "" {
			s.peek(':')
			m := s.number(2, 2)
			s.ok = s.ok && m < 60
			minutes += m
		}
		if negative {
			minutes = -minutes
		}
		return time.FixedZone("", int(minutes*60)), s.ok && max(minutes, -minutes) <= offsetMaxMinutes
	case !spaced:
		return nil, false
	}
	name := s.text
	s.text = ""
	return namedZone(name)
}

// zoneNames are abbreviations by the region whose rules they follow: as in
// Java PST in summer means daylight time. Abbreviations with several meanings
// (IST, BST) are left out: better refused than hours away.
var zoneNames = map[string]string{
	"UTC": "UTC", "UT": "UTC", "GMT": "UTC",
	"PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles",
	"MST": "America/Denver", "MDT": "America/Denver", "MT": "America/Denver",
	"CST": "America/Chicago", "CDT": "America/Chicago", "CT": "America/Chicago",
	"EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York",
	"AKST": "America/Anchorage", "AKDT": "America/Anchorage", "HST": "Pacific/Honolulu",
	"WET": "Europe/Lisbon", "WEST": "Europe/Lisbon", "CET": "Europe/Paris", "CEST": "Europe/Paris",
	"EET": "Europe/Athens", "EEST": "Europe/Athens", "MSK": "Europe/Moscow", "SAST": "Africa/Johannesburg",
	"JST": "Asia/Tokyo", "KST": "Asia/Seoul", "HKT": "Asia/Hong_Kong", "SGT": "Asia/Singapore",
	"AWST": "Australia/Perth", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
	"NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland", "BRT": "America/Sao_Paulo",
}

func namedZone(name string) (*time.Location, bool) {
	if region, ok := zoneNames[name]; ok {
		name = region
	} else if name == "Local" || len(name) > 40 {
		return nil, false
	}
	zone, err := time.LoadLocation(name)
	return zone, err == nil
}

// appendTimestamp writes 2023-11-14T22:13:20.123Z. Years are those of an era
// without its name, with a plus beyond 9999.
func appendTimestamp(b []byte, millis int64) []byte {
	at := time.UnixMilli(millis).UTC()
	year := int64(at.Year())
	if year <= 0 {
		year = 1 - year
	}
	return at.AppendFormat(appendYear(b, year), "-01-02T15:04:05.000Z")
}

func appendYear(b []byte, year int64) []byte {
	if year < 0 {
		b, year = append(b, '-'), -year
	} else if year > 9999 {
		b = append(b, '+')
	}
	return appendPadded(b, year, 4)
}

func appendPadded(b []byte, v int64, width int) []byte {
	digits := strconv.FormatInt(v, 10)
	for n := len(digits); n < width; n++ {
		b = append(b, '0')
	}
	return append(b, digits...)
}

func appendDate(b []byte, v uint32) []byte {
	at := time.Unix((int64(v)-dateZero)*secondsPerDay, 0).UTC()
	return at.AppendFormat(appendYear(b, int64(at.Year())), "-01-02")
}

func appendTime(b []byte, nanos int64) []byte {
	seconds := nanos / int64(time.Second)
	b = append(appendPadded(b, seconds/3600%24, 2), ':')
	b = append(appendPadded(b, seconds/60%60, 2), ':')
	b = append(appendPadded(b, seconds%60, 2), '.')
	return appendPadded(b, nanos%int64(time.Second), 9)
}
