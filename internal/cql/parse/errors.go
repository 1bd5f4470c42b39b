package parse

import (
	"fmt"
	"strings"

	"helenus"
)

// failure is why parsing stopped; its text is made only for the client.
type failure struct {
	form   failureForm
	at     token // the token that did not fit
	mark   token // the token in brackets: where the choice began
	end    int32 // where the excerpt ends
	behind bool  // the choice looked three tokens ahead
	want   kind  // mismatch
	text   string
}

type failureForm uint8

const (
	noViable failureForm = iota
	mismatch
	plain
)

func (p *parser) stop(f failure) {
	if p.failed {
		return
	}
	switch {
	case f.behind:
		f.end = p.lastEnd
	case f.at.start == f.mark.start:
		f.end = f.mark.start + int32(len(p.text(f.mark)))
	default:
		f.end = f.at.start + int32(len(p.text(f.at)))
	}
	p.failed, p.failure, p.peeked = true, f, false
	p.tok.kind = tokStop
}

// mismatch: one token was possible here, and it is not this one.
func (p *parser) mismatch(want kind) {
	p.stop(failure{form: mismatch, at: p.tok, mark: p.tok, want: want})
}

// noViable: several tokens were possible here, but not this one.
func (p *parser) noViable() { p.noViableFrom(p.tok) }

// noViableFrom: a choice that began at mark fails on the token in hand.
func (p *parser) noViableFrom(mark token) {
	p.stop(failure{form: noViable, at: p.tok, mark: mark})
}

// noViableBehind is noViableFrom for the choices whose excerpt in Cassandra ends
// before the failing token: those that looked three tokens ahead.
func (p *parser) noViableBehind(mark token) {
	p.stop(failure{form: noViable, at: p.tok, mark: mark, behind: true})
}

// noViableNext: the choice that begins with the token in hand fails on the next.
func (p *parser) noViableNext() {
	p.peek()
	p.stop(failure{form: noViable, at: p.ahead, mark: p.tok})
}

// furthest is how far the text was read.
func (p *parser) furthest() int32 {
	if p.failed {
		return p.failure.at.end
	}
	return p.tok.end
}

// plain is an error that Cassandra reports without a place.
func (p *parser) plain(text string) { p.stop(failure{form: plain, text: text}) }

// messageBytesMax bounds an error's text, which quotes the statement: it has to
// fit into a string of the native protocol.
const messageBytesMax = 8 << 10

// error is the failure for the client, as valid UTF-8.
func (p *parser) error() error {
	text := p.message()
	if len(text) > messageBytesMax {
		text = text[:messageBytesMax] + "..."
	}
	return helenus.Errorf(helenus.CodeSyntax, "%s", strings.ToValidUTF8(text, "\uFFFD"))
}

// message words the failure as Cassandra does.
func (p *parser) message() string {
	src, f := p.lexer.src, p.failure
	if f.form == plain {
		return f.text
	}
	if p.lexer.errText != "" {
		line, column := position(src, p.lexer.errAt)
		return fmt.Sprintf("line %d:%d %s", line, column, p.lexer.errText)
	}
	text, where := "<EOF>", "0:-1"
	if f.at.kind != tokEOF {
		text = p.text(f.at)
		line, column := position(src, int(f.at.start))
		where = fmt.Sprintf("%d:%d", line, column)
	}
	var message string
	if f.form == mismatch {
		message = fmt.Sprintf("line %s mismatched input '%s' expecting %s", where, text, kindNames[f.want])
		if text == ";" && strings.TrimSpace(src[f.at.end:]) == "" {
			return message // Cassandra has read on to the end, which has no place
		}
	} else {
		message = fmt.Sprintf("line %s no viable alternative at input '%s'", where, text)
	}
	return message + excerpt(src, f, max(f.end, p.seen), int(f.mark.start)+len(p.text(f.mark)))
}

// position is the line from 1 and the column from 0, in UTF-16 units.
func position(src string, offset int) (line, column int) {
	before := src[:offset]
	line = 1 + strings.Count(before, "\n")
	for _, r := range before[strings.LastIndexByte(before, '\n')+1:] {
		column++
		if r > 0xFFFF {
			column++
		}
	}
	return line, column
}

// excerptTokens is how many tokens, white space included, stand before the
// bracket.
const excerptTokens = 10

// excerpt is the part of the statement around the failure, with the token where
// the choice began in brackets. Ends of lines vanish in it. A string's token
// counts with the length of its contents.
func excerpt(src string, f failure, readEnd int32, markEnd int) string {
	if f.mark.kind == tokEOF || f.at.kind == tokEOF && !f.behind {
		return ""
	}
	pieces := pieces(src, int(f.at.start))
	from := 0
	for i, start := range pieces {
		if start == int(f.mark.start) {
			from = pieces[max(0, i-excerptTokens)]
		}
	}
	end := min(len(src), max(markEnd, int(readEnd)))
	var b strings.Builder
	b.WriteString(" (")
	if from > 0 {
		b.WriteString("...")
	}
	b.WriteString(src[from:f.mark.start])
	b.WriteString("[" + src[f.mark.start:markEnd] + "]")
	b.WriteString(src[markEnd:end])
	if end < len(strings.TrimRight(src, "\n")) {
		b.WriteString("...")
	}
	b.WriteString(")")
	return strings.ReplaceAll(b.String(), "\n", "")
}

// pieces are the offsets of all tokens up to the one at limit, with each run of
// white space and each comment as a token, as Cassandra's token stream has them.
func pieces(src string, limit int) []int {
	var starts []int
	l := lexer{src: src}
	for l.pos <= limit {
		hidden := l.pos
		if !l.skipHidden() {
			break
		}
		for hidden < l.pos {
			starts = append(starts, hidden)
			hidden = hiddenEnd(src, hidden)
		}
		t := l.next()
		if t.kind == tokStop || t.kind == tokEOF {
			break
		}
		starts = append(starts, int(t.start))
	}
	return starts
}

// hiddenEnd is the end of one run of white space or one comment.
func hiddenEnd(src string, i int) int {
	if rest := src[i:]; strings.HasPrefix(rest, "/*") {
		return i + 2 + strings.Index(rest[2:], "*/") + 2
	} else if rest[0] == '-' || rest[0] == '/' {
		return i + strings.IndexAny(rest, "\r\n") + 1
	}
	for i < len(src) && strings.IndexByte(" \t\r\n", src[i]) >= 0 {
		i++
	}
	return i
}
