package meta

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// EncodeState appends the encoded form of s to dst, without the local
// keyspaces, which every build brings along.
func EncodeState(dst []byte, s *State) []byte {
	version := s.formatVersion()
	x := &coder{b: append(dst, version)}
	codeState(x, s.clone(), nil, version)
	return x.b
}

// formatVersion is the only one that a State is written with.
func (s *State) formatVersion() byte {
	switch {
	case s.lowestLevel() >= SchemaLevel:
		return stateVersionSchema
	case !s.votersImplied():
		return stateVersionVoters
	}
	return formatVersion
}

// DecodeState is the inverse of EncodeState; local are the keyspaces of New.
func DecodeState(b []byte, local []*schema.Keyspace) (*State, error) {
	x, version := newReader(b, stateVersionSchema)
	s := New(local)
	codeState(x, s, local, version)
	if err := x.done("state"); err != nil {
		return nil, err
	}
	s.finish(nil)
	return s, nil
}

func codeState(x *coder, s *State, local []*schema.Keyspace, version byte) {
	x.uvarint((*uint64)(&s.Epoch))
	x.fixed(s.ClusterID[:])
	text(x, &s.ClusterName)
	var partitioner string
	if s.Partitioner != nil {
		partitioner = s.Partitioner.Name()
	}
	text(x, &partitioner)
	if x.reading && x.err == nil {
		var err error
		if s.Partitioner, err = token.ByName(partitioner); err != nil || s.Partitioner.Name() != partitioner {
			x.fail(fmt.Errorf("partitioner %q", partitioner))
		}
	}
	list(x, &s.Nodes, func(x *coder, n **Node) {
		if x.reading {
			*n = &Node{}
		}
		codeNode(x, *n)
	})
	for i := 1; i < len(s.Nodes); i++ {
		if bytes.Compare(s.Nodes[i-1].HostID[:], s.Nodes[i].HostID[:]) >= 0 {
			x.fail(fmt.Errorf("node %s is out of order", s.Nodes[i].HostID))
		}
	}
	var keyspaces []*schema.Keyspace
	if !x.reading {
		for _, name := range slices.Sorted(maps.Keys(s.Schema.Keyspaces)) {
			if ks := s.Schema.Keyspaces[name]; !isLocal(ks) {
				keyspaces = append(keyspaces, ks)
			}
		}
	}
	list(x, &keyspaces, codeKeyspace)
	if version >= stateVersionVoters {
		codeVoters(x, s)
	} else if x.reading {
		s.Voters = s.firstVoter()
	}
	if version >= stateVersionSchema {
		x.uvarint((*uint64)(&s.SchemaEpoch))
	}
	if x.reading && x.err == nil {
		s.checkRead(x, version)
	}
	if !x.reading || x.err != nil {
		return
	}
	all := make(map[string]*schema.Keyspace)
	for _, ks := range local {
		all[ks.Name] = ks
	}
	for i, ks := range keyspaces {
		if all[ks.Name] != nil || i > 0 && keyspaces[i-1].Name >= ks.Name {
			x.fail(fmt.Errorf("keyspace %s is out of order", ks.Name))
		}
		all[ks.Name] = ks
	}
	s.Schema = schema.New(all)
}

// checkRead holds against a decoded State what its encoder relies on.
func (s *State) checkRead(x *coder, version byte) {
	if want := s.formatVersion(); version != want {
		x.fail(fmt.Errorf("format version %d where it is %d", version, want))
	}
	if version >= stateVersionSchema && (s.SchemaEpoch == 0 || s.SchemaEpoch > s.Epoch) {
		x.fail(fmt.Errorf("schema of epoch %d at epoch %d", s.SchemaEpoch, s.Epoch))
	}
}

func codeKeyspace(x *coder, k **schema.Keyspace) {
	if x.reading {
		*k = &schema.Keyspace{}
	}
	ks := *k
	text(x, &ks.Name)
	text(x, &ks.Replication.Class)
	x.textMap(&ks.Replication.Options)
	x.flag(&ks.DurableWrites)
	dict(x, &ks.Types, codeType)
	dict(x, &ks.Tables, codeTable)
	if !x.reading || x.err != nil {
		return
	}
	if _, err := ring.NewStrategy(ks.Replication.Class, ks.Replication.Options); err != nil {
		x.fail(fmt.Errorf("keyspace %s: %w", ks.Name, err))
	}
	if isLocal(ks) {
		x.fail(fmt.Errorf("keyspace %s is local to each node and not kept", ks.Name))
	}
	for name, t := range ks.Types {
		if t.Kind != types.UDT || t.Name != name || t.Keyspace != ks.Name {
			x.fail(fmt.Errorf("type %s.%s calls itself %s.%s", ks.Name, name, t.Keyspace, t.Name))
		}
	}
	for name, t := range ks.Tables {
		if t.Name != name || t.Keyspace != ks.Name {
			x.fail(fmt.Errorf("table %s.%s calls itself %s", ks.Name, name, t.QualifiedName()))
		}
	}
}

func codeTable(x *coder, p **schema.Table) {
	if x.reading {
		*p = &schema.Table{}
	}
	t := *p
	x.fixed(t.ID[:])
	text(x, &t.Keyspace)
	text(x, &t.Name)
	integer(x, &t.NextColumnID)
	groups := []*[]*schema.Column{&t.PartitionKey, &t.Clustering, &t.Statics, &t.Regulars}
	for kind, group := range groups {
		list(x, group, func(x *coder, c **schema.Column) {
			if x.reading {
				*c = &schema.Column{Kind: schema.ColumnKind(kind)}
			}
			integer(x, &(*c).ID)
			text(x, &(*c).Name)
			codeType(x, &(*c).Type)
			x.flag(&(*c).Reversed)
		})
	}
	list(x, &t.Dropped, codeDropped)
	codeOptions(x, &t.Options)
	if !x.reading || x.err != nil {
		return
	}
	if err := checkColumns(t); err != nil {
		x.fail(err)
		return
	}
	before := slices.Concat(t.Statics, t.Regulars)
	t.Finish()
	for i, c := range slices.Concat(t.Statics, t.Regulars) {
		if c.ID != before[i].ID {
			x.fail(fmt.Errorf("table %s: column %s is out of order", t.QualifiedName(), before[i].Name))
		}
	}
}

// checkColumns holds against a decoded table what Finish relies on.
func checkColumns(t *schema.Table) error {
	ids, names := make(map[schema.ColumnID]bool), make(map[string]bool)
	for _, c := range slices.Concat(t.PartitionKey, t.Clustering, t.Statics, t.Regulars) {
		key := c.Kind == schema.PartitionKey || c.Kind == schema.Clustering
		if c.ID >= t.NextColumnID || ids[c.ID] || names[c.Name] || key && c.Type.IsMultiCell() ||
			c.Reversed && c.Kind != schema.Clustering {
			return fmt.Errorf("table %s: column %q cannot be", t.QualifiedName(), c.Name)
		}
		ids[c.ID], names[c.Name] = true, true
	}
	if len(t.PartitionKey) == 0 {
		return fmt.Errorf("table %s has no partition key", t.QualifiedName())
	}
	return nil
}

func codeOptions(x *coder, o *schema.Options) {
	text(x, &o.AdditionalWritePolicy)
	x.flag(&o.AllowAutoSnapshot)
	x.double(&o.BloomFilterFPChance)
	x.textMap(&o.Caching)
	x.flag(&o.CDC)
	text(x, &o.Comment)
	x.textMap(&o.Compaction)
	x.textMap(&o.Compression)
	text(x, &o.Memtable)
	x.double(&o.CRCCheckChance)
	integer(x, &o.DefaultTTLSeconds)
	dict(x, &o.Extensions, func(x *coder, v *[]byte) {
		s := string(*v)
		text(x, &s)
		*v = []byte(s)
	})
	integer(x, &o.GCGraceSeconds)
	x.flag(&o.IncrementalBackups)
	integer(x, &o.MaxIndexInterval)
	integer(x, &o.MemtableFlushPeriodMillis)
	integer(x, &o.MinIndexInterval)
	text(x, &o.ReadRepair)
	text(x, &o.SpeculativeRetry)
}
