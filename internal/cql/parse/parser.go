package parse

import (
	"strings"

	"helenus"
)

const (
	// depthMax bounds how deep expressions, types and relations nest, and so the
	// stack of this package and of everybody who walks a tree.
	depthMax = 128
	// chainMax bounds operators in a row, which nest to the left.
	chainMax = 512
	// sizeMax bounds a statement; offsets in it are int32.
	sizeMax = 1 << 30
)

const tooDeep = "statement nests deeper than 128 levels"

// Parse reads one statement, with any number of semicolons behind it. The tree
// aliases cql. Errors are *helenus.Error with CodeSyntax.
func Parse(cql string) (Statement, error) {
	if len(cql) > sizeMax {
		return nil, helenus.Errorf(helenus.CodeSyntax, "statement of %d bytes is longer than %d", len(cql), sizeMax)
	}
	p := parser{lexer: lexer{src: cql}}
	p.tok = p.lexer.next()
	s := p.statement()
	for p.accept(tokSemicolon) {
	}
	if !p.failed && p.tok.kind != tokEOF {
		p.mismatch(tokEOF)
	}
	if p.failed {
		return nil, p.error()
	}
	return s, nil
}

// parser is a recursive descent parser with one token in hand and one more when
// asked for. The first failure sticks: from then on the token in hand is
// tokStop, nothing is accepted, and every rule returns soon.
type parser struct {
	lexer   lexer
	tok     token
	ahead   token
	peeked  bool
	failed  bool
	failure failure
	depth   int
	marks   []Marker
	// constants is the rest of a slab: literals are many and small.
	constants []Constant
	// lastEnd is the end of the token before the one in hand, and seen how far
	// attempts got that were given up: both only for excerpts in errors.
	lastEnd, seen int32
	// beforeColumn makes an addition stop before `+ column` (SET c = v + c).
	beforeColumn bool
}

// state is what restore needs to go back.
type state struct {
	tok, ahead token
	peeked     bool
	pos, marks int
	depth      int
}

func (p *parser) save() state {
	return state{tok: p.tok, ahead: p.ahead, peeked: p.peeked, pos: p.lexer.pos, marks: len(p.marks), depth: p.depth}
}

func (p *parser) restore(s state) {
	p.tok, p.ahead, p.peeked, p.depth = s.tok, s.ahead, s.peeked, s.depth
	p.lexer.pos, p.marks, p.failed = s.pos, p.marks[:s.marks], false
}

func (p *parser) advance() {
	if p.failed {
		return
	}
	p.lastEnd = p.tok.end
	if p.peeked {
		p.tok, p.peeked = p.ahead, false
	} else {
		p.tok = p.lexer.next()
	}
}

// peek is the kind of the token behind the one in hand.
func (p *parser) peek() kind {
	if p.failed {
		return tokStop
	}
	if !p.peeked {
		p.ahead, p.peeked = p.lexer.next(), true
	}
	return p.ahead.kind
}

func (p *parser) at(k kind) bool { return p.tok.kind == k }

func (p *parser) accept(k kind) bool {
	if p.tok.kind != k || p.failed {
		return false
	}
	p.advance()
	return true
}

// acceptAll takes a sequence of tokens whose first decides.
func (p *parser) acceptAll(first kind, rest ...kind) bool {
	if !p.accept(first) {
		return false
	}
	for _, k := range rest {
		p.expect(k)
	}
	return true
}

func (p *parser) expect(k kind) {
	if !p.accept(k) {
		p.mismatch(k)
	}
}

// expectText takes a token of kind k and returns its text.
func (p *parser) expectText(k kind) string {
	t := p.tok
	if !p.accept(k) {
		p.mismatch(k)
		return ""
	}
	return p.text(t)
}

// enter counts one level of nesting; false means too deep. Every enter is
// followed by a leave.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > depthMax {
		p.plain(tooDeep)
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

func (p *parser) chain(n int) bool {
	if n > chainMax {
		p.plain("more than 512 operators in a row")
		return false
	}
	return true
}

// text is a token's text: without quotes and escapes, otherwise as written.
func (p *parser) text(t token) string {
	s := p.lexer.src[t.start:t.end]
	switch t.kind {
	case tokString:
		if s[0] == '$' {
			return s[2 : len(s)-2]
		}
		if t.escaped {
			return strings.ReplaceAll(s[1:len(s)-1], "''", "'")
		}
		return s[1 : len(s)-1]
	case tokQuoted:
		if t.escaped {
			return strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
		}
		return s[1 : len(s)-1]
	}
	return s
}

// lower is strings.ToLower for ASCII words; the text itself when nothing changes.
func lower(s string) string {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return strings.ToLower(s)
		}
	}
	return s
}

// isReserved, isNative and isSpecial tell the groups of keywords apart.
func isReserved(k kind) bool { return k >= kwSelect && k <= kwOr }
func isNative(k kind) bool   { return k >= kwAscii && k <= kwVarint }
func isSpecial(k kind) bool  { return k >= kwTtl && k <= kwDistinct }

// isName tells whether a token can be an identifier.
func isName(k kind) bool { return k == tokIdent || k == tokQuoted || k >= kwKeys }

// isColumnName: where columns are meant, the empty quoted name counts too.
func isColumnName(k kind) bool { return isName(k) || k == tokEmptyQuoted }

// isFunctionName tells whether a token can be the last part of a function's name.
func isFunctionName(k kind) bool {
	return isName(k) && !isSpecial(k) || k == kwCount || k == kwToken
}

// nameText is the text of an identifier: lower case unless quoted.
func (p *parser) nameText(t token) string {
	if t.kind == tokQuoted {
		return p.text(t)
	}
	if t.kind == tokEmptyQuoted {
		return ""
	}
	return lower(p.lexer.src[t.start:t.end])
}

// name takes an identifier.
func (p *parser) name() string {
	t := p.tok
	if !isName(t.kind) || p.failed {
		p.noViable()
		return ""
	}
	p.advance()
	return p.nameText(t)
}

// columnName takes an identifier or "".
func (p *parser) columnName() string {
	if p.accept(tokEmptyQuoted) {
		return ""
	}
	return p.name()
}

// named takes the name of a thing that cannot be a bind marker.
func (p *parser) named(things string) string {
	if p.at(tokMarker) {
		p.plain("Bind variables cannot be used for " + things + " names")
		return ""
	}
	return p.name()
}

func (p *parser) keyspaceName() string { return p.named("keyspace") }

// qualified takes [keyspace.]name. What follows a name is checked at once, as
// Cassandra's parser does to tell whether there is a keyspace.
func (p *parser) qualified(things string) QualifiedName {
	first := p.tok
	n := QualifiedName{Name: p.named(things)}
	if p.failed {
		return n
	}
	if p.accept(tokDot) {
		n.Keyspace = n.Name
		n.Name = p.named(things)
		return n
	}
	if !followsTable(p.tok.kind) {
		p.noViableFrom(first)
	}
	return n
}

func (p *parser) table() QualifiedName { return p.qualified("table") }

// followsTable tells whether some rule lets k follow a table's name.
func followsTable(k kind) bool {
	switch k {
	case tokEOF, tokSemicolon, tokLParen, kwWhere, kwWith, kwUsing, kwSet, kwGroup, kwOrder, kwPer, kwLimit,
		kwAllow, kwTo, kwFrom, kwOf, kwNorecursive, kwAs, kwPrimary, kwAdd, kwDrop, kwAlter, kwRename, kwJson:
		return true
	}
	return false
}

// names takes name {, name}.
func (p *parser) names() []string {
	list := []string{p.name()}
	for p.accept(tokComma) {
		list = append(list, p.name())
	}
	return list
}

// ifNotExists and ifExists take the clause of that name if it is there.
func (p *parser) ifNotExists() bool { return p.acceptAll(kwIf, kwNot, kwExists) }
func (p *parser) ifExists() bool    { return p.acceptAll(kwIf, kwExists) }

// statement dispatches on the first word.
func (p *parser) statement() Statement {
	switch p.tok.kind {
	case kwSelect:
		return p.selectStatement()
	case kwInsert:
		return p.insert()
	case kwUpdate:
		return p.update()
	case kwDelete:
		return p.delete()
	case kwBegin:
		return p.batch()
	case kwUse:
		p.advance()
		return &Use{Keyspace: p.keyspaceName()}
	case kwTruncate:
		p.advance()
		p.accept(kwTable)
		return &Truncate{Table: p.table()}
	case kwCreate:
		return p.create()
	case kwAlter:
		return p.alter()
	case kwDrop:
		return p.drop()
	case kwDescribe, kwDesc:
		return p.describe()
	case kwGrant, kwRevoke:
		return p.grant()
	case kwList:
		return p.list()
	case kwAdd:
		p.advance()
		p.expect(kwIdentity)
		return p.unsupported("ADD IDENTITY")
	}
	p.noViable()
	return nil
}

// unsupported reads the rest of a statement that is only recognised.
func (p *parser) unsupported(feature string) Statement {
	end := p.tok.start
	for !p.at(tokEOF) && !p.at(tokStop) {
		if !p.at(tokSemicolon) {
			end = p.tok.end
		}
		p.advance()
	}
	if p.at(tokStop) {
		p.noViable()
	}
	return &Unsupported{Feature: feature, Text: strings.TrimSpace(p.lexer.src[:end])}
}
