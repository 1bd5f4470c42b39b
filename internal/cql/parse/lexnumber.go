package parse

// number reads what begins with a digit: an integer, a float, a duration, a
// hexadecimal blob or a UUID. start is the minus if there is one.
func (l *lexer) number(start, first int) token {
	if start == first {
		if l.looksLikeUUID(start) {
			return l.uuid(start)
		}
		if l.src[start] == '0' && l.at(start+1)|0x20 == 'x' {
			i := start + 2
			for isHex(l.at(i)) {
				i++
			}
			return l.token(tokHex, start, i)
		}
	}
	i := l.digits(first)
	switch c := l.at(i) | 0x20; {
	case l.at(i) == '.':
		return l.fraction(start, i)
	case c == 'e':
		return l.exponent(start, i)
	case l.unit(i) > 0:
		return l.duration(start, i)
	case start == first && (c == 'a' || c == 'b' || c == 'c' || c == 'f'):
		return l.uuid(start) // nothing else goes on like this; uuid names the place
	}
	return l.token(tokInteger, start, i)
}

func (l *lexer) digits(i int) int {
	for isDigit(l.at(i)) {
		i++
	}
	return i
}

// fraction reads from the point on. In `1..2` the points are a range's, in
// `1...2` only the last two.
func (l *lexer) fraction(start, point int) token {
	if l.at(point+1) == '.' {
		if l.at(point+2) == '.' {
			return l.token(tokFloat, start, point+1)
		}
		return l.token(tokInteger, start, point)
	}
	i := l.digits(point + 1)
	if l.at(i)|0x20 == 'e' {
		return l.exponent(start, i)
	}
	return l.token(tokFloat, start, i)
}

func (l *lexer) exponent(start, e int) token {
	i := e + 1
	if c := l.at(i); c == '+' || c == '-' {
		i++
	}
	if !isDigit(l.at(i)) {
		return l.unknown(i)
	}
	return l.token(tokFloat, start, l.digits(i))
}

// duration reads digits and units in turn; the first unit is at i.
func (l *lexer) duration(start, i int) token {
	for {
		n := l.unit(i)
		if n == 0 {
			return l.unknown(i)
		}
		i += n
		if !isDigit(l.at(i)) {
			return l.token(tokDuration, start, i)
		}
		i = l.digits(i)
	}
}

// unit is the length of the duration unit at i, or 0.
func (l *lexer) unit(i int) int {
	c, d := l.at(i)|0x20, l.at(i+1)|0x20
	switch {
	case c == 'm' && (d == 'o' || d == 's'), (c == 'u' || c == 'n') && d == 's':
		return 2
	case l.at(i) == 0xC2 && l.at(i+1) == 0xB5 && l.at(i+2)|0x20 == 's': // µs
		return 3
	case c == 'y' || c == 'w' || c == 'd' || c == 'h' || c == 'm' || c == 's':
		return 1
	}
	return 0
}

// isoDuration is the end of the ISO 8601 duration at start (its P), or 0. The
// letters count in upper case only.
func isoDuration(s string, start int) int {
	if end := isoAlternative(s, start); end > 0 {
		return end
	}
	i, any := isoParts(s, start+1, "YMD")
	if !any {
		if end, ok := isoParts(s, start+1, "W"); ok {
			return end
		}
	}
	if i < len(s) && s[i] == 'T' {
		if end, ok := isoParts(s, i+1, "HMS"); ok {
			return end
		}
	}
	if !any {
		return 0
	}
	return i
}

// isoParts reads numbers with the given designators, each at most once and in
// order.
func isoParts(s string, i int, designators string) (end int, any bool) {
	for _, d := range []byte(designators) {
		j := i
		for j < len(s) && isDigit(s[j]) {
			j++
		}
		if j > i && j < len(s) && s[j] == d {
			i, any = j+1, true
		}
	}
	return i, any
}

// isoAlternative reads Pyyyy-mm-ddThh:mm:ss.
func isoAlternative(s string, start int) int {
	const form = "Pdddd-dd-ddTdd:dd:dd"
	if len(s)-start < len(form) {
		return 0
	}
	for i := range len(form) {
		c := s[start+i]
		if form[i] == 'd' {
			if !isDigit(c) {
				return 0
			}
		} else if c != form[i] {
			return 0
		}
	}
	return start + len(form)
}
