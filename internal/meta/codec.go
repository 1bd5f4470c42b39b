package meta

import (
	"fmt"
	"net/netip"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// The encoded forms of Change and State; docs/format/metadata.md is their page.
// formatVersion stands before both. A later version adds fields behind those
// there are, guarded by the version and the cluster's feature level.
//
// A Change has version 1. A State has version 3 from SchemaLevel on; below it
// version 2 when its voters must be written, and 1 as long as they follow from
// the members.
const (
	formatVersion      = 1
	stateVersionVoters = 2
	stateVersionSchema = 3
)

// EncodeChange appends the encoded form of c to dst.
func EncodeChange(dst []byte, c Change) []byte {
	x := &coder{b: append(dst, formatVersion)}
	kind := c.kind()
	text(x, &kind)
	code(x, c)
	return x.b
}

// code writes the fields of a Change; it holds a copy, which code may point to.
func code(x *coder, c Change) {
	switch c := c.(type) {
	case Found:
		c.code(x)
	case Install:
		c.code(x)
	case Register:
		c.code(x)
	case SetVoters:
		c.code(x)
	case Recover:
		c.code(x)
	case CreateKeyspace:
		c.code(x)
	case AlterKeyspace:
		c.code(x)
	case DropKeyspace:
		c.code(x)
	case CreateTable:
		c.code(x)
	case AddColumns:
		c.code(x)
	case DropColumns:
		c.code(x)
	case RenameColumns:
		c.code(x)
	case AlterTableOptions:
		c.code(x)
	case DropTable:
		c.code(x)
	case CreateType:
		c.code(x)
	case AddField:
		c.code(x)
	case RenameFields:
		c.code(x)
	case DropType:
		c.code(x)
	}
}

func decoderOf[T Change, P interface {
	*T
	code(*coder)
}](x *coder) Change {
	var c T
	P(&c).code(x)
	return c
}

var decoders = map[string]func(*coder) Change{
	Found{}.kind(): decoderOf[Found], Install{}.kind(): decoderOf[Install], Register{}.kind(): decoderOf[Register],
	SetVoters{}.kind(): decoderOf[SetVoters], Recover{}.kind(): decoderOf[Recover],
	CreateKeyspace{}.kind(): decoderOf[CreateKeyspace], AlterKeyspace{}.kind(): decoderOf[AlterKeyspace],
	DropKeyspace{}.kind(): decoderOf[DropKeyspace], CreateTable{}.kind(): decoderOf[CreateTable],
	AddColumns{}.kind(): decoderOf[AddColumns], DropColumns{}.kind(): decoderOf[DropColumns],
	RenameColumns{}.kind(): decoderOf[RenameColumns], AlterTableOptions{}.kind(): decoderOf[AlterTableOptions],
	DropTable{}.kind(): decoderOf[DropTable], CreateType{}.kind(): decoderOf[CreateType],
	AddField{}.kind(): decoderOf[AddField], RenameFields{}.kind(): decoderOf[RenameFields],
	DropType{}.kind(): decoderOf[DropType],
}

// newReader begins to read what has a version of up to versionMax.
func newReader(b []byte, versionMax byte) (x *coder, version byte) {
	x = &coder{b: b, reading: true}
	if v := x.take(1); v != nil {
		if version = v[0]; version < formatVersion || version > versionMax {
			x.fail(fmt.Errorf("format version %d; this build knows up to %d: upgrade this node", version, versionMax))
		}
	}
	return x, version
}

// done is the error of a reading that should have used all bytes.
func (x *coder) done(what string) error {
	if x.err == nil && len(x.b) > 0 {
		x.fail(fmt.Errorf("%d bytes too many", len(x.b)))
	}
	if x.err != nil {
		return fmt.Errorf("meta: decode %s: %w", what, x.err)
	}
	return nil
}

// DecodeChange is the inverse of EncodeChange. It takes no second spelling of
// anything: what it accepts encodes to the same bytes.
func DecodeChange(b []byte) (Change, error) {
	x, _ := newReader(b, formatVersion)
	var kind string
	text(x, &kind)
	decode := decoders[kind]
	if x.err == nil && decode == nil {
		x.fail(fmt.Errorf("unknown kind %q: upgrade this node", kind))
	}
	var c Change
	if x.err == nil {
		c = decode(x)
	}
	if err := x.done("change"); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Found) code(x *coder) {
	x.fixed(c.ClusterID[:])
	text(x, &c.ClusterName)
	text(x, &c.Partitioner)
}

func (c *Install) code(x *coder)  { list(x, &c.Keyspaces, codeKeyspace) }
func (c *Register) code(x *coder) { codeNode(x, &c.Node) }

func (c *CreateKeyspace) code(x *coder) {
	text(x, &c.Name)
	x.flag(&c.IfNotExists)
	list(x, &c.Properties, codeProperty)
}

func (c *AlterKeyspace) code(x *coder) {
	text(x, &c.Name)
	x.flag(&c.IfExists)
	list(x, &c.Properties, codeProperty)
}

func (c *DropKeyspace) code(x *coder) {
	text(x, &c.Name)
	x.flag(&c.IfExists)
}

func (c *CreateTable) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Name)
	x.fixed(c.ID[:])
	x.flag(&c.IfNotExists)
	list(x, &c.Columns, codeColumnDef)
	x.texts(&c.PartitionKey)
	x.texts(&c.Clustering)
	integer(x, &c.KeyClauses)
	list(x, &c.Order, func(x *coder, o *Order) {
		text(x, &o.Column)
		x.flag(&o.Descending)
	})
	list(x, &c.Properties, codeProperty)
}

func (c *AddColumns) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Table)
	x.flag(&c.IfExists)
	x.flag(&c.IfNotExists)
	list(x, &c.Columns, codeColumnDef)
}

func (c *DropColumns) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Table)
	x.flag(&c.IfExists)
	x.flag(&c.IfColumnExists)
	x.texts(&c.Names)
	integer(x, &c.Micros)
}

func (c *RenameColumns) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Table)
	x.flag(&c.IfExists)
	x.flag(&c.IfColumnExists)
	list(x, &c.Renames, codeRename)
}

func (c *AlterTableOptions) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Table)
	x.flag(&c.IfExists)
	list(x, &c.Properties, codeProperty)
}

func (c *DropTable) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Name)
	x.flag(&c.IfExists)
}

func (c *CreateType) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Name)
	x.flag(&c.IfNotExists)
	list(x, &c.Fields, codeColumnDef)
}

func (c *AddField) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Type)
	x.flag(&c.IfExists)
	x.flag(&c.IfNotExists)
	codeColumnDef(x, &c.Field)
}

func (c *RenameFields) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Type)
	x.flag(&c.IfExists)
	x.flag(&c.IfFieldExists)
	list(x, &c.Renames, codeRename)
}

func (c *DropType) code(x *coder) {
	text(x, &c.Keyspace)
	text(x, &c.Name)
	x.flag(&c.IfExists)
}

func codeRename(x *coder, r *Rename) {
	text(x, &r.From)
	text(x, &r.To)
}

func codeProperty(x *coder, p *Property) {
	text(x, &p.Name)
	x.flag(&p.IsMap)
	if p.IsMap {
		x.textMap(&p.Map)
	} else {
		text(x, &p.Text)
	}
}

func codeColumnDef(x *coder, c *ColumnDef) {
	text(x, &c.Name)
	codeType(x, &c.Type)
	x.flag(&c.Static)
}

func codeEndpoint(x *coder, e *helenus.Endpoint) {
	var s string
	if !x.reading && e.IsValid() {
		s = e.String()
	}
	text(x, &s)
	if x.reading && s != "" {
		parsed, err := netip.ParseAddrPort(s)
		if err != nil || parsed.String() != s {
			x.fail(fmt.Errorf("address %q", s))
		}
		*e = parsed
	}
}

func codeNode(x *coder, n *Node) {
	x.fixed(n.HostID[:])
	codeEndpoint(x, &n.Broadcast)
	codeEndpoint(x, &n.Listen)
	codeEndpoint(x, &n.Native)
	text(x, &n.Datacenter)
	text(x, &n.Rack)
	list(x, &n.Tokens, func(x *coder, t *token.Token) {
		x.uvarint(&t.Prefix)
		text(x, &t.Tail)
	})
	text(x, &n.Release)
	integer(x, &n.Level)
	integer(x, &n.State)
	if n.State > ring.Moving {
		x.fail(fmt.Errorf("node state %d", n.State))
	}
}

// codeType needs no fields for a user type that is only named.
func codeType(x *coder, t **types.Type) {
	if x.depth++; x.depth > depthMax {
		x.fail(fmt.Errorf("types nest deeper than %d", depthMax))
	}
	defer func() { x.depth-- }()
	if x.reading {
		*t = &types.Type{}
		if x.err != nil {
			return
		}
	}
	v := *t
	name := v.Kind.String()
	text(x, &name)
	if x.reading {
		if v.Kind = kindOf(name); v.Kind == types.Invalid {
			x.fail(fmt.Errorf("type %q", name))
			return
		}
		if v.Kind <= types.Empty {
			*t = types.Native(v.Kind)
			return
		}
	} else if v.Kind <= types.Empty {
		return
	}
	x.flag(&v.Frozen)
	text(x, &v.Keyspace)
	text(x, &v.Name)
	x.texts(&v.FieldNames)
	integer(x, &v.Dimension)
	list(x, &v.Elems, codeType)
	if x.reading && x.err == nil {
		if err := checkShape(v); err != nil {
			x.fail(err)
		}
	}
}

func kindOf(name string) types.Kind {
	for k := types.Invalid + 1; k <= types.Custom; k++ {
		if k.String() == name {
			return k
		}
	}
	return types.Invalid
}

// checkShape holds against a decoded type what everybody relies on.
func checkShape(t *types.Type) error {
	want := map[types.Kind]int{types.List: 1, types.Set: 1, types.Map: 2, types.Vector: 1}
	n, fixed := want[t.Kind]
	bad := fixed && len(t.Elems) != n ||
		t.Kind == types.Tuple && len(t.Elems) == 0 ||
		t.Kind == types.UDT && (len(t.Elems) != len(t.FieldNames) || t.Name == "") ||
		t.Kind == types.Custom && (len(t.Elems) > 0 || t.Name == "") ||
		t.Kind != types.UDT && (len(t.FieldNames) > 0 || t.Keyspace != "") ||
		t.Kind != types.UDT && t.Kind != types.Custom && t.Name != "" ||
		t.Kind != types.Vector && t.Dimension != 0
	if bad {
		return fmt.Errorf("misshapen %s", t.Kind)
	}
	return nil
}

func codeDropped(x *coder, d *schema.DroppedColumn) {
	text(x, &d.Name)
	integer(x, &d.Kind)
	codeType(x, &d.Type)
	integer(x, &d.DroppedMicros)
	if d.Kind != schema.Static && d.Kind != schema.Regular {
		x.fail(fmt.Errorf("dropped column %q of kind %d", d.Name, d.Kind))
	}
}
