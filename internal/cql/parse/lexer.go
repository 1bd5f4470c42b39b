package parse

import (
	"strings"
	"unicode/utf8"
)

// token is a piece of the source; its text is cut out only when it is needed.
type token struct {
	kind       kind
	escaped    bool // a string or quoted name with a doubled quote inside
	start, end int32
}

// lexer cuts the source into tokens. Its first error stays: everything behind
// it is tokStop.
type lexer struct {
	src     string
	pos     int
	errAt   int
	errText string
}

const keywordLenMax = 14 // columnfamilies

func isDigit(c byte) bool  { return c-'0' < 10 }
func isLetter(c byte) bool { return c|0x20-'a' < 26 }
func isHex(c byte) bool    { return isDigit(c) || c|0x20-'a' < 6 }

// at is the byte at i, or 0 behind the end.
func (l *lexer) at(i int) byte {
	if i < len(l.src) {
		return l.src[i]
	}
	return 0
}

func (l *lexer) token(k kind, start, end int) token {
	l.pos = end
	return token{kind: k, start: int32(start), end: int32(end)}
}

// fail records an error at byte i unless there was one before.
func (l *lexer) fail(i int, text string) token {
	if l.errText == "" {
		l.errAt, l.errText = i, text
	}
	l.pos = len(l.src)
	return token{kind: tokStop, start: int32(i), end: int32(i)}
}

// charAt names the character at i for an error.
func (l *lexer) charAt(i int) string {
	if i >= len(l.src) {
		return "'<EOF>'"
	}
	r, _ := utf8.DecodeRuneInString(l.src[i:])
	return "'" + string(r) + "'"
}

func (l *lexer) mismatched(i int, expecting string) token {
	return l.fail(i, "mismatched character "+l.charAt(i)+" expecting "+expecting)
}

func (l *lexer) unknown(i int) token {
	return l.fail(i, "no viable alternative at character "+l.charAt(i))
}

// next is the token behind the position.
func (l *lexer) next() token {
	if l.errText != "" {
		return token{kind: tokStop, start: int32(l.errAt), end: int32(l.errAt)}
	}
	if !l.skipHidden() {
		return token{kind: tokStop, start: int32(l.errAt), end: int32(l.errAt)}
	}
	start := l.pos
	if start >= len(l.src) {
		return token{kind: tokEOF, start: int32(start), end: int32(start)}
	}
	c := l.src[start]
	switch {
	case isLetter(c):
		return l.word(start)
	case isDigit(c):
		return l.number(start, start)
	}
	switch c {
	case '\'':
		return l.quoted(tokString, start, c)
	case '"':
		return l.quoted(tokQuoted, start, c)
	case '$':
		return l.dollarString(start)
	case '-':
		return l.minus(start)
	}
	return l.punctuation(start, c)
}

// skipHidden passes over white space and comments. A line comment needs its end
// of line, as in Cassandra.
func (l *lexer) skipHidden() bool {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			l.pos++
		case c == '-' && l.at(l.pos+1) == '-', c == '/' && l.at(l.pos+1) == '/':
			i := strings.IndexAny(l.src[l.pos:], "\r\n")
			if i < 0 {
				l.mismatched(len(l.src), "set null")
				return false
			}
			l.pos += i + 1
		case c == '/' && l.at(l.pos+1) == '*':
			i := strings.Index(l.src[l.pos+2:], "*/")
			if i < 0 {
				l.mismatched(len(l.src), "'*'")
				return false
			}
			l.pos += i + 4
		default:
			return true
		}
	}
	return true
}

// word reads an identifier, a keyword, a UUID or an ISO duration.
func (l *lexer) word(start int) token {
	if l.looksLikeUUID(start) {
		return l.uuid(start)
	}
	i := start + 1
	for i < len(l.src) && (isLetter(l.src[i]) || isDigit(l.src[i]) || l.src[i] == '_') {
		i++
	}
	text := l.src[start:i]
	if text[0] == 'P' {
		if end := isoDuration(l.src, start); end >= i {
			return l.token(tokDuration, start, end)
		}
	}
	if text == "expr" && l.at(i) == '(' {
		return l.token(tokExprOpen, start, i+1)
	}
	return l.token(keyword(text), start, i)
}

// keyword is the token of a word: a keyword in any case, or tokIdent.
func keyword(text string) kind {
	if len(text) > keywordLenMax {
		return tokIdent
	}
	var lower [keywordLenMax]byte
	for i := range len(text) {
		c := text[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		lower[i] = c
	}
	if k, ok := keywords[string(lower[:len(text)])]; ok {
		return k
	}
	return tokIdent
}

// looksLikeUUID: Cassandra's lexer takes eight hexadecimal digits and a minus
// for the beginning of a UUID, whatever follows.
func (l *lexer) looksLikeUUID(start int) bool {
	if l.at(start+8) != '-' {
		return false
	}
	for i := start; i < start+8; i++ {
		if !isHex(l.src[i]) {
			return false
		}
	}
	return true
}

// uuid reads the 8-4-4-4-12 form or says where it breaks.
func (l *lexer) uuid(start int) token {
	for i := range 36 {
		c := l.at(start + i)
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return l.mismatched(start+i, "'-'")
			}
		} else if !isHex(c) {
			return l.mismatched(start+i, "set null")
		}
	}
	return l.token(tokUUID, start, start+36)
}

// quoted reads a string or a quoted name.
func (l *lexer) quoted(k kind, start int, quote byte) token {
	escaped := false
	for i := start + 1; ; {
		n := strings.IndexByte(l.src[i:], quote)
		if n < 0 {
			return l.mismatched(len(l.src), "'"+string(quote)+"'")
		}
		i += n
		if l.at(i+1) != quote {
			if k == tokQuoted && i == start+1 {
				k = tokEmptyQuoted
			}
			t := l.token(k, start, i+1)
			t.escaped = escaped
			return t
		}
		escaped = true
		i += 2
	}
}

// dollarString reads $$...$$; nothing is special inside.
func (l *lexer) dollarString(start int) token {
	if l.at(start+1) != '$' {
		return l.mismatched(start+1, "'$'")
	}
	n := strings.Index(l.src[start+2:], "$$")
	if n < 0 {
		return l.mismatched(max(start+2, len(l.src)-1), "'$'")
	}
	return l.token(tokString, start, start+2+n+2)
}

// minus reads -, -=, and the literals that begin with a minus.
func (l *lexer) minus(start int) token {
	switch c := l.at(start + 1); {
	case isDigit(c):
		return l.number(start, start+1)
	case c == '=':
		return l.token(tokMinusEq, start, start+2)
	case c == 'P':
		if end := isoDuration(l.src, start+1); end > 0 {
			return l.token(tokDuration, start, end)
		}
	case c|0x20 == 'n':
		return l.spelled(start, "-nan", tokNaN)
	case c|0x20 == 'i':
		return l.spelled(start, "-infinity", tokInfinity)
	}
	return l.token(tokMinus, start, start+1)
}

// spelled reads a word that Cassandra's lexer commits to after two characters.
func (l *lexer) spelled(start int, word string, k kind) token {
	for i := range len(word) {
		c := l.at(start + i)
		if isLetter(c) {
			c |= 0x20
		}
		if c != word[i] {
			return l.mismatched(start+i, "set null")
		}
	}
	return l.token(k, start, start+len(word))
}

func (l *lexer) punctuation(start int, c byte) token {
	two := l.at(start + 1)
	switch {
	case c == '.' && two == '.':
		return l.token(tokRange, start, start+2)
	case c == '<' && two == '=':
		return l.token(tokLe, start, start+2)
	case c == '>' && two == '=':
		return l.token(tokGe, start, start+2)
	case c == '+' && two == '=':
		return l.token(tokPlusEq, start, start+2)
	case c == '!':
		if two != '=' {
			return l.mismatched(start+1, "'='")
		}
		return l.token(tokNeq, start, start+2)
	}
	if k := punctuation[c]; k != tokStop {
		return l.token(k, start, start+1)
	}
	return l.unknown(start)
}

var punctuation = [256]kind{'(': tokLParen, ')': tokRParen, '[': tokLBracket, ']': tokRBracket,
	'{': tokLBrace, '}': tokRBrace, ',': tokComma, ';': tokSemicolon, ':': tokColon, '.': tokDot,
	'=': tokEq, '<': tokLt, '>': tokGt, '+': tokPlus, '*': tokStar, '/': tokSlash, '%': tokPercent,
	'?': tokMarker}
