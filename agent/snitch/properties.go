package snitch

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// fileBytesMax bounds a file of properties: a hundred thousand addresses.
const fileBytesMax = 4 << 20

// property is one entry of a file in Java's format for them.
type property struct {
	key, value string
	line       int
}

// properties is such a file.
type properties struct {
	name    string
	missing error // why there is none
	entries []property
}

// readProperties reads a file; that there is none is left to whoever needs it.
func readProperties(read func(string) ([]byte, error), name string) (*properties, error) {
	p := &properties{name: name}
	data, err := read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.missing = err
		return p, nil
	case err != nil:
		return nil, fmt.Errorf("snitch: read %s: %w", name, err)
	case len(data) > fileBytesMax:
		return nil, fmt.Errorf("snitch: %s has %d bytes, more than %d", name, len(data), fileBytesMax)
	}
	return p, p.parse(data)
}

// errorAt names the place of a mistake.
func (p *properties) errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("snitch: %s:%d: %w", p.name, line, fmt.Errorf(format, args...))
}

// get finds a key; nil when it is not there.
func (p *properties) get(key string) *property {
	for i := range p.entries {
		if p.entries[i].key == key {
			return &p.entries[i]
		}
	}
	return nil
}

// parse reads what java.util.Properties reads. It refuses what that would take
// and nobody means: bytes that are not ASCII (taken there for Latin-1) and keys
// that come again with another value (of which the last would win).
func (p *properties) parse(data []byte) error {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n")
	seen := make(map[string]int)
	for i := 0; i < len(lines); i++ {
		text, at := strings.TrimLeft(lines[i], blanks), i+1
		if text == "" || text[0] == '#' || text[0] == '!' {
			continue
		}
		for continued(text) && i+1 < len(lines) {
			i++
			text = text[:len(text)-1] + strings.TrimLeft(lines[i], blanks)
		}
		if n := strings.IndexFunc(text, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\t' && r != '\f' }); n >= 0 {
			return p.errorAt(at, "%q is not plain ASCII: write such a letter as \\u and four hexadecimal digits", text)
		}
		key, value := cut(text)
		entry := property{line: at}
		var err error
		if entry.key, err = unescape(key); err == nil {
			entry.value, err = unescape(value)
		}
		if err != nil {
			return p.errorAt(at, "%w", err)
		}
		entry.value = strings.TrimSpace(entry.value)
		if before, ok := seen[entry.key]; ok {
			if p.entries[before].value != entry.value {
				return p.errorAt(at, "%s stands on line %d with another value: remove one", entry.key, p.entries[before].line)
			}
			continue
		}
		seen[entry.key] = len(p.entries)
		p.entries = append(p.entries, entry)
	}
	return nil
}

const blanks = " \t\f"

// continued tells whether a line ends with a backslash that is not escaped.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// cut parts key and value at the first =, : or blank that is not escaped.
func cut(line string) (key, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = strings.TrimLeft(line[end:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return line[:end], value
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break // Java drops a last lone one
		}
		switch s[i] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			n, err := strconv.ParseUint(s[i+1:min(i+5, len(s))], 16, 16)
			if err != nil || i+5 > len(s) {
				return "", fmt.Errorf(`%q: \u wants four hexadecimal digits`, s)
			}
			out.WriteRune(rune(n))
			i += 4
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}
