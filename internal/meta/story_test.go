package meta

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// founded is a cluster of one node in datacenter1.
func founded(t testing.TB) *State {
	t.Helper()
	local := func(name string) *schema.Keyspace {
		return &schema.Keyspace{Name: name, DurableWrites: true, Replication: schema.Replication{Class: "LocalStrategy"},
			Tables: map[string]*schema.Table{}, Types: map[string]*types.Type{}}
	}
	installed := func(name string) *schema.Keyspace {
		ks := local(name)
		ks.Replication = schema.Replication{Class: "SimpleStrategy", Options: map[string]string{"replication_factor": "1"}}
		for _, table := range []string{"roles", "events"} {
			k := &schema.Column{Name: "k", Kind: schema.PartitionKey, Type: types.Native(types.Int)}
			ks.Tables[table] = (&schema.Table{ID: schema.TableID{1, byte(len(name)), table[0]}, Keyspace: name, Name: table,
				PartitionKey: []*schema.Column{k}, NextColumnID: 1, Options: schema.DefaultOptions()}).Finish()
		}
		return ks
	}
	s := New([]*schema.Keyspace{local("system"), local("system_schema"), {Name: "system_views", Virtual: true}})
	at := netip.MustParseAddrPort("127.0.9.1:7000")
	for _, c := range []Change{
		Found{ClusterID: ClusterID{1}, ClusterName: "peer", Partitioner: "org.apache.cassandra.dht.Murmur3Partitioner"},
		Install{Keyspaces: []*schema.Keyspace{installed("system_auth"), installed("system_traces")}},
		Register{Node: Node{HostID: helenus.HostID{7}, Broadcast: at, Listen: at, Native: at, Datacenter: "datacenter1",
			Rack: "rack1", Tokens: []token.Token{token.FromInt64(0)}, Release: helenus.ReleaseVersion, Level: 1}},
	} {
		next, err := Apply(s, c)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

// TestStory runs statements and compares what becomes of them with what
// Cassandra 5.0.9 answered: testdata/ddl.txt holds statement, ----, result. It
// was recorded by running its own statements, in order, on a single node of
// datacenter datacenter1. Every change and state passes through its encoding.
func TestStory(t *testing.T) {
	raw, err := os.ReadFile("testdata/ddl.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := founded(t)
	ids := byte(0)
	for _, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		statement, want, ok := strings.Cut(block, "\n----\n")
		if !ok {
			t.Fatalf("not a block: %q", block)
		}
		ids++
		var got string
		s, got = tell(t, s, statement, ids)
		if got != want {
			t.Errorf("%s\n--- got\n%s\n--- want\n%s", statement, got, want)
		}
	}
}

// tell runs one statement and returns its result as the story writes it.
func tell(t *testing.T, s *State, statement string, id byte) (*State, string) {
	parsed, err := parse.Parse(statement)
	if d, ok := parsed.(*parse.Describe); ok {
		return s, describe(s, d)
	}
	var change Change
	if err == nil {
		change, err = changeOf(parsed, id)
	}
	next := s
	if err == nil {
		change = throughCodec(t, change)
		next, err = Apply(s, change)
	}
	var e *helenus.Error
	if errors.As(err, &e) {
		return s, fmt.Sprintf("error %04x: %s", int(e.Code), e.Message)
	} else if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	checkState(t, next)
	out := "ok"
	for _, w := range Warnings(s, next, change) {
		out += "\nwarning: " + w
	}
	return next, out
}

func throughCodec(t *testing.T, c Change) Change {
	t.Helper()
	b := EncodeChange(nil, c)
	decoded, err := DecodeChange(b)
	if err != nil {
		t.Fatalf("%#v: %v", c, err)
	}
	if again := EncodeChange(nil, decoded); !bytes.Equal(again, b) {
		t.Fatalf("%#v encodes differently the second time", c)
	}
	return decoded
}

func checkState(t *testing.T, s *State) {
	t.Helper()
	b := EncodeState(nil, s)
	decoded, err := DecodeState(b, s.LocalKeyspaces())
	if err != nil {
		t.Fatalf("epoch %d: %v", s.Epoch, err)
	}
	if again := EncodeState(nil, decoded); !bytes.Equal(again, b) {
		t.Fatalf("epoch %d encodes differently the second time", s.Epoch)
	}
	for _, ks := range s.Schema.Sorted() {
		for _, table := range ks.SortedTables() {
			if d := decoded.Schema.Find(ks.Name, table.Name); d == nil || d.CreateStatement(true) != table.CreateStatement(true) {
				t.Fatalf("epoch %d: table %s came back as another", s.Epoch, table.QualifiedName())
			}
		}
	}
}

func describe(s *State, d *parse.Describe) string {
	if d.What == parse.DescribeTable {
		return s.Schema.Find(d.Name.Keyspace, d.Name.Name).CreateStatement(d.Internals)
	}
	ks := s.Schema.Keyspaces[d.Name.Name+d.Name.Keyspace]
	out := []string{ks.CreateStatement()}
	for _, u := range ks.TypesInOrder() {
		out = append(out, schema.CreateTypeStatement(u))
	}
	for _, table := range ks.SortedTables() {
		out = append(out, table.CreateStatement(d.Internals))
	}
	return strings.Join(out, "\n")
}

func propertiesOf(in []parse.Property) (out []Property) {
	for _, p := range in {
		m := Property{Name: p.Name, Text: p.Value.Text, IsMap: p.IsMap, Map: map[string]string{}}
		for _, e := range p.Map {
			m.Map[e.Key.Text] = e.Value.Text
		}
		out = append(out, m)
	}
	return out
}

func columnOf(name string, e parse.TypeExpr, static bool) (ColumnDef, error) {
	typ, err := e.Resolve(func(ks, name string) (*types.Type, error) {
		return &types.Type{Kind: types.UDT, Keyspace: ks, Name: name}, nil
	})
	return ColumnDef{Name: name, Type: typ, Static: static}, err
}

func columnsOf(in []parse.ColumnDef) (out []ColumnDef, err error) {
	for _, c := range in {
		def, err := columnOf(c.Name, c.Type, c.Static)
		if err != nil {
			return nil, err
		}
		out = append(out, def)
	}
	return out, nil
}

func renamesOf(in []parse.Rename) (out []Rename) {
	for _, r := range in {
		out = append(out, Rename(r))
	}
	return out
}

// changeOf is what agent/query makes of a statement.
func changeOf(parsed parse.Statement, id byte) (Change, error) {
	switch p := parsed.(type) {
	case *parse.CreateKeyspace:
		return CreateKeyspace{p.Name, p.IfNotExists, propertiesOf(p.Properties)}, nil
	case *parse.AlterKeyspace:
		return AlterKeyspace{p.Name, p.IfExists, propertiesOf(p.Properties)}, nil
	case *parse.DropKeyspace:
		return DropKeyspace{p.Name, p.IfExists}, nil
	case *parse.CreateTable:
		c := CreateTable{Keyspace: p.Table.Keyspace, Name: p.Table.Name, ID: schema.TableID{9, id}, IfNotExists: p.IfNotExists,
			PartitionKey: p.PartitionKey, Clustering: p.Clustering, KeyClauses: p.KeyClauses, Properties: propertiesOf(p.Properties)}
		for _, o := range p.ClusteringOrder {
			c.Order = append(c.Order, Order{o.Column, o.Descending})
		}
		for _, col := range p.Columns {
			if col.PrimaryKey {
				c.PartitionKey = []string{col.Name}
			}
		}
		var err error
		c.Columns, err = columnsOf(p.Columns)
		return c, err
	case *parse.DropTable:
		return DropTable{p.Table.Keyspace, p.Table.Name, p.IfExists}, nil
	case *parse.AlterTable:
		return alterOf(p)
	case *parse.CreateType:
		c := CreateType{Keyspace: p.Name.Keyspace, Name: p.Name.Name, IfNotExists: p.IfNotExists}
		for _, f := range p.Fields {
			def, err := columnOf(f.Name, f.Type, false)
			if err != nil {
				return nil, err
			}
			c.Fields = append(c.Fields, def)
		}
		return c, nil
	case *parse.AlterType:
		if p.Op == parse.RenameFields {
			return RenameFields{p.Name.Keyspace, p.Name.Name, p.IfExists, p.IfField, renamesOf(p.Renames)}, nil
		}
		def, err := columnOf(p.Field.Name, p.Field.Type, false)
		return AddField{p.Name.Keyspace, p.Name.Name, p.IfExists, p.IfField, def}, err
	case *parse.DropType:
		return DropType{p.Name.Keyspace, p.Name.Name, p.IfExists}, nil
	}
	return nil, fmt.Errorf("no change: %T", parsed)
}

func alterOf(p *parse.AlterTable) (Change, error) {
	ks, table := p.Table.Keyspace, p.Table.Name
	switch p.Op {
	case parse.AddColumns:
		defs, err := columnsOf(p.Columns)
		return AddColumns{ks, table, p.IfExists, p.IfColumn, defs}, err
	case parse.DropColumns:
		c := DropColumns{ks, table, p.IfExists, p.IfColumn, p.Names, 1}
		if p.Timestamp != nil {
			if _, err := fmt.Sscan(p.Timestamp.Text, &c.Micros); err != nil {
				return nil, err
			}
		}
		return c, nil
	case parse.RenameColumns:
		return RenameColumns{ks, table, p.IfExists, p.IfColumn, renamesOf(p.Renames)}, nil
	}
	return AlterTableOptions{ks, table, p.IfExists, propertiesOf(p.Properties)}, nil
}
