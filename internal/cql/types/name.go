package types

import (
	"regexp"
	"strconv"
	"strings"
)

// kindNames are the names in CQL; the kinds that have parameters are written by
// appendName.
var kindNames = [...]string{
	Invalid: "invalid", ASCII: "ascii", BigInt: "bigint", Blob: "blob", Boolean: "boolean", Counter: "counter",
	Date: "date", Decimal: "decimal", Double: "double", Duration: "duration", Float: "float", Inet: "inet", Int: "int",
	SmallInt: "smallint", Text: "text", Time: "time", Timestamp: "timestamp", TimeUUID: "timeuuid", TinyInt: "tinyint",
	UUID: "uuid", VarInt: "varint", Empty: "empty", List: "list", Set: "set", Map: "map", Tuple: "tuple", UDT: "udt",
	Vector: "vector", Custom: "custom",
}

// String is the name in CQL.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// nativeKindMax bounds the kinds that a single word of CQL names.
const nativeKindMax = Empty

// KindByName finds a native kind by its name in CQL, in any case; ok is false
// for collections, user types and everything that is not a type.
func KindByName(name string) (k Kind, ok bool) {
	if strings.EqualFold(name, "varchar") {
		return Text, true
	}
	for k := ASCII; k < nativeKindMax; k++ {
		if strings.EqualFold(name, kindNames[k]) {
			return k, true
		}
	}
	return Invalid, false
}

// String is the type as DESCRIBE and system_schema print it: tuples always
// frozen, user types without their keyspace.
func (t *Type) String() string { return string(t.appendName(nil)) }

func (t *Type) appendName(b []byte) []byte {
	if t.Kind == Tuple || (t.Frozen && (t.IsCollection() || t.Kind == UDT)) {
		b = append(b, "frozen<"...)
		b = t.appendBareName(b)
		return append(b, '>')
	}
	return t.appendBareName(b)
}

func (t *Type) appendBareName(b []byte) []byte {
	switch t.Kind {
	case List, Set, Map, Tuple, Vector:
		b = append(b, kindNames[t.Kind]...)
		b = append(b, '<')
		for i, e := range t.Elems {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = e.appendName(b)
		}
		if t.Kind == Vector {
			b = strconv.AppendInt(append(b, ", "...), int64(t.Dimension), 10)
		}
		return append(b, '>')
	case UDT:
		return append(b, QuoteName(t.Name)...)
	case Custom:
		return appendQuoted(b, t.Name)
	}
	return append(b, t.Kind.String()...)
}

// reserved are the words that need quotes to be a name.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`add allow alter and apply asc authorize batch begin by columnfamily create
		delete desc describe drop entries execute from full grant if in index infinity insert into is keyspace limit
		materialized modify nan norecursive not null of on or order primary rename revoke schema select set table to
		token truncate unlogged update use using view where with`) {
		m[w] = true
	}
	return m
}()

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// QuoteName is a name as CQL text: in double quotes unless it is lower case and
// not a reserved word.
func QuoteName(name string) string {
	if plainName.MatchString(name) && !reserved[name] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// Freeze is the type as it is inside frozen<>: t itself if nothing in it is
// stored as several cells, else a copy.
func (t *Type) Freeze() *Type {
	var elems []*Type // a copy of t.Elems once one of them changes
	for i, e := range t.Elems {
		if f := e.Freeze(); f != e {
			if elems == nil {
				elems = append(elems, t.Elems...)
			}
			elems[i] = f
		}
	}
	if elems == nil && !t.IsMultiCell() {
		return t
	}
	f := *t
	f.Frozen = t.Frozen || t.IsMultiCell()
	if elems != nil {
		f.Elems = elems
	}
	return &f
}
