// Package yaml reads YAML strictly and says where a thing stands.
//
// Its nouns are Node (a value with its line) and Entry (a key of a mapping
// with its value). Configuration and profiles are read through it, and ctl
// prints with it; it is the only package that knows the YAML library. It never
// guesses: an unknown field or a key said twice is an error.
package yaml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// documentBytesMax bounds what is parsed: no configuration comes near it.
const documentBytesMax = 4 << 20

// Node is one value of a document. The zero Node is null.
type Node struct {
	node ast.Node
	line int
}

// Entry is one key of a mapping.
type Entry struct {
	Key   string
	Line  int
	Value Node
}

// Error is what is wrong with a document, and where. Line 0 is the whole.
type Error struct {
	Line int
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// Parse reads a document; an empty one is null.
func Parse(data []byte) (Node, error) {
	if len(data) > documentBytesMax {
		return Node{}, &Error{0, fmt.Sprintf("%d bytes, at most %d", len(data), documentBytesMax)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return Node{}, plain(err)
	}
	var root Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root.node != nil {
			return Node{}, &Error{line(doc.Body), "a second document in one file"}
		}
		root = Node{doc.Body, line(doc.Body)}
	}
	return root, nil
}

// Decode fills a struct or another value; a field it does not know is an error.
func Decode(data []byte, into any) error {
	return plain(yaml.UnmarshalWithOptions(data, into, yaml.Strict()))
}

// Marshal renders a value.
func Marshal(v any) ([]byte, error) { return yaml.MarshalWithOptions(v, yaml.UseJSONMarshaler()) }

// Line is where the value begins.
func (n Node) Line() int { return n.line }

// IsNull tells whether nothing is said.
func (n Node) IsNull() bool { return n.node == nil || n.node.Type() == ast.NullType }

// IsMapping tells whether the value has keys.
func (n Node) IsMapping() bool {
	return n.node != nil && (n.node.Type() == ast.MappingType || n.node.Type() == ast.MappingValueType)
}

// IsSequence tells whether the value is a list.
func (n Node) IsSequence() bool { return n.node != nil && n.node.Type() == ast.SequenceType }

// Scalar is the text of a single value as it was written, without quotes.
func (n Node) Scalar() (string, bool) {
	if n.IsNull() {
		return "", true
	}
	switch s := n.node.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.node.GetToken().Value, true
	}
	return "", false
}

// Items are the values of a list; a single value counts as a list of one.
func (n Node) Items() []Node {
	if n.IsNull() {
		return nil
	}
	seq, ok := n.node.(*ast.SequenceNode)
	if !ok {
		return []Node{n}
	}
	items := make([]Node, len(seq.Values))
	for i, v := range seq.Values {
		items[i] = Node{v, line(v)}
	}
	return items
}

// Entries are the keys of a mapping in the order of the file.
func (n Node) Entries() ([]Entry, error) {
	if n.IsNull() {
		return nil, nil
	}
	if !n.IsMapping() {
		return nil, &Error{n.line, "want keys with values"}
	}
	values := []*ast.MappingValueNode{}
	switch m := n.node.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = append(values, m)
	}
	entries := make([]Entry, 0, len(values))
	lines := map[string]int{}
	for _, v := range values {
		e := Entry{Key: v.Key.GetToken().Value, Line: line(v.Key), Value: Node{v.Value, line(v.Key)}}
		if first, double := lines[e.Key]; double {
			return nil, &Error{e.Line, fmt.Sprintf("%s is said twice, first in line %d", e.Key, first)}
		}
		lines[e.Key] = e.Line
		entries = append(entries, e)
	}
	return entries, nil
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// plain turns the library's error, which quotes the source over many lines,
// into a line number and one sentence.
func plain(err error) error {
	if err == nil {
		return nil
	}
	var y yaml.Error
	if errors.As(err, &y) {
		at := 0
		if t := y.GetToken(); t != nil && t.Position != nil {
			at = t.Position.Line
		}
		return &Error{at, y.GetMessage()}
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{0, text}
}
