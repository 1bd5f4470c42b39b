package meta

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/ring"
)

// nameLengthMax bounds the names of keyspaces, tableNameLengthMax those of
// tables: a directory is the table's name, a dash and 32 digits.
const (
	nameLengthMax      = 48
	tableNameLengthMax = 222
)

// defaultFactor is what a keyspace gets that names no replication factor.
const defaultFactor = "1"

func config(format string, args ...any) error {
	return helenus.Errorf(helenus.CodeConfig, format, args...)
}

func syntax(format string, args ...any) error {
	return helenus.Errorf(helenus.CodeSyntax, format, args...)
}

func invalid(format string, args ...any) error { return helenus.Invalid(format, args...) }

func unauthorized(format string, args ...any) error {
	return helenus.Errorf(helenus.CodeUnauthorized, format, args...)
}

// replicatedSystem are the system keyspaces that live in the log: their
// replication may be altered, their tables may not.
var replicatedSystem = map[string]bool{"system_auth": true, "system_distributed": true, "system_traces": true}

// IsSystemKeyspace tells whether a keyspace belongs to the system.
func IsSystemKeyspace(name string) bool {
	switch name {
	case "system", "system_schema", "system_views", "system_virtual_schema":
		return true
	}
	return replicatedSystem[name]
}

// guard refuses changes to system keyspaces; verb and resource are the words of
// the error, as Cassandra's permissions spell them.
func (s *State) guard(keyspace, verb, resource string) error {
	if ks := s.Schema.Keyspaces[keyspace]; ks != nil && isLocal(ks) || IsSystemKeyspace(keyspace) && !replicatedSystem[keyspace] {
		return unauthorized("%s keyspace is not user-modifiable.", keyspace)
	}
	if replicatedSystem[keyspace] {
		return unauthorized("Cannot %s <%s>", verb, resource)
	}
	return nil
}

func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return name != ""
}

func (c CreateKeyspace) apply(s *State) (*State, error) {
	p, err := keyspaceProperties(c.Properties)
	if err != nil {
		return nil, err
	}
	switch {
	case IsSystemKeyspace(c.Name) && !replicatedSystem[c.Name]:
		return nil, invalid("System keyspace '%s' is not user-modifiable", c.Name)
	case !validName(c.Name):
		return nil, invalid(`Keyspace name must not be empty and must contain alphanumeric or underscore characters only (got "%s")`, c.Name)
	case len(c.Name) > nameLengthMax:
		return nil, invalid(`Keyspace name must not be more than %d characters long (got %d characters for "%s")`,
			nameLengthMax, len(c.Name), c.Name)
	case p.replication == nil:
		return nil, invalid("Missing mandatory option 'replication'")
	case p.replication["class"] == ring.LocalName:
		return nil, errLocalStrategy
	case s.Schema.Keyspaces[c.Name] != nil && c.IfNotExists:
		return s, nil
	case s.Schema.Keyspaces[c.Name] != nil:
		return nil, &helenus.Error{Code: helenus.CodeAlreadyExists, Keyspace: c.Name,
			Message: fmt.Sprintf(`Cannot add existing keyspace "%s"`, c.Name)}
	}
	ks := &schema.Keyspace{Name: c.Name, DurableWrites: true, Tables: map[string]*schema.Table{}, Types: map[string]*types.Type{}}
	if p.durable != nil {
		ks.DurableWrites = *p.durable
	}
	if ks.Replication, err = s.replication(c.Name, p.replication, nil); err != nil {
		return nil, err
	}
	return s.withKeyspace(ks), nil
}

var errLocalStrategy = invalid("Unable to use given strategy class: LocalStrategy is reserved for internal use.")

func (c AlterKeyspace) apply(s *State) (*State, error) {
	if !replicatedSystem[c.Name] {
		if err := s.guard(c.Name, "", ""); err != nil {
			return nil, err
		}
	}
	p, err := keyspaceProperties(c.Properties)
	if err != nil {
		return nil, err
	}
	old := s.Schema.Keyspaces[c.Name]
	switch {
	case old == nil && c.IfExists:
		return s, nil
	case old == nil:
		return nil, noKeyspace(c.Name)
	case p.replication != nil && p.replication["class"] == ring.LocalName:
		return nil, errLocalStrategy
	}
	ks := *old
	if p.durable != nil {
		ks.DurableWrites = *p.durable
	}
	if p.replication != nil {
		if ks.Replication, err = s.replication(c.Name, p.replication, old.Replication.Options); err != nil {
			return nil, err
		}
	}
	return s.withKeyspace(&ks), nil
}

func noKeyspace(name string) error { return invalid("Keyspace '%s' doesn't exist", name) }

func (c DropKeyspace) apply(s *State) (*State, error) {
	if err := s.guard(c.Name, "DROP", "keyspace "+c.Name); err != nil {
		return nil, err
	}
	if s.Schema.Keyspaces[c.Name] == nil {
		if c.IfExists {
			return s, nil
		}
		return nil, noKeyspace(c.Name)
	}
	n := s.clone()
	n.Schema = s.Schema.Without(c.Name)
	return n, nil
}

type keyspaceOptions struct {
	replication map[string]string // nil when not given
	durable     *bool
}

func keyspaceProperties(properties []Property) (o keyspaceOptions, err error) {
	if err := noDuplicates(properties); err != nil {
		return o, err
	}
	for _, p := range properties {
		switch p.Name {
		case "replication":
			if !p.IsMap {
				return o, notAMap(p.Name)
			}
			o.replication = maps.Clone(p.Map)
			if o.replication["class"] == "" {
				return o, config("Missing replication strategy class")
			}
			o.replication["class"] = strings.TrimPrefix(o.replication["class"], locatorPackage)
		case "durable_writes":
			b, err := parseBool(p)
			if err != nil {
				return o, err
			}
			o.durable = &b
		default:
			return o, syntax("Unknown property '%s'", p.Name)
		}
	}
	return o, nil
}

const locatorPackage = "org.apache.cassandra.locator."

// replication checks and completes what a statement says; previous are the
// options that an altered keyspace had.
func (s *State) replication(keyspace string, given, previous map[string]string) (schema.Replication, error) {
	r := schema.Replication{Class: given["class"], Options: maps.Clone(given)}
	delete(r.Options, "class")
	switch r.Class {
	case ring.SimpleName:
		if r.Options[ring.FactorOption] == "" {
			r.Options[ring.FactorOption] = or(previous[ring.FactorOption], defaultFactor)
		}
		if err := checkFactor(r.Options[ring.FactorOption]); err != nil {
			return r, err
		}
		for _, o := range slices.Sorted(maps.Keys(r.Options)) {
			if o != ring.FactorOption {
				return r, unknownOption(o, r.Class, keyspace)
			}
		}
	case ring.NetworkName:
		s.expand(r.Options, previous)
		for _, dc := range slices.Sorted(maps.Keys(r.Options)) {
			if err := checkFactor(r.Options[dc]); err != nil {
				return r, err
			}
		}
		maps.DeleteFunc(r.Options, func(_, rf string) bool { n, _ := strconv.Atoi(rf); return n == 0 })
		if len(r.Options) == 0 {
			return r, config("Configuration for at least one datacenter must be present")
		}
		known := s.datacenters()
		for _, dc := range slices.Sorted(maps.Keys(r.Options)) {
			if known[dc] == 0 {
				return r, unknownOption(dc, r.Class, keyspace)
			}
		}
	default:
		return r, config("Unable to find replication strategy class '%s%s'", locatorPackage, r.Class)
	}
	return r, nil
}

// expand turns replication_factor into one factor for each datacenter. What is
// said for a datacenter, now or before, goes first: raising a factor by a word
// meant for new datacenters would lose reads until a repair.
func (s *State) expand(options, previous map[string]string) {
	rf, said := options[ring.FactorOption]
	delete(options, ring.FactorOption)
	if !said && len(options) == 0 {
		rf = or(previous[ring.FactorOption], defaultFactor)
	} else if said {
		for dc, n := range previous {
			if _, there := options[dc]; !there && dc != ring.FactorOption {
				options[dc] = n
			}
		}
	}
	if rf == "" || checkFactor(rf) != nil {
		return
	}
	for dc := range s.datacenters() {
		if _, there := options[dc]; !there {
			options[dc] = rf
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func unknownOption(option, class, keyspace string) error {
	return config("Unrecognized strategy option {%s} passed to %s for keyspace %s", option, class, keyspace)
}

func checkFactor(rf string) error {
	if strings.Contains(rf, "/") {
		return config("Transient replication is not enabled on this node")
	}
	n, err := strconv.ParseInt(rf, 10, 32)
	if err != nil {
		return config(`For input string: "%s"`, rf)
	}
	if n < 0 {
		return config("Replication factor must be non-negative, found %d", n)
	}
	return nil
}

// Warnings are what a client is told beside the success of a change that led
// from old to new.
func Warnings(old, new *State, c Change) []string {
	var name string
	switch c := c.(type) {
	case CreateKeyspace:
		name = c.Name
	case AlterKeyspace:
		name = c.Name
	}
	ks := new.Schema.Keyspaces[name]
	if ks == nil || old == new {
		return nil
	}
	var warnings []string
	const text = "Your replication factor %s for keyspace %s is higher than the number of nodes %d"
	nodes := new.datacenters()
	for _, o := range slices.Sorted(maps.Keys(ks.Replication.Options)) {
		rf := ks.Replication.Options[o]
		n, _ := strconv.Atoi(rf)
		switch {
		case ks.Replication.Class == ring.SimpleName && n > len(new.Nodes):
			warnings = append(warnings, fmt.Sprintf(text, rf, name, len(new.Nodes)))
		case ks.Replication.Class == ring.NetworkName && n > nodes[o]:
			warnings = append(warnings, fmt.Sprintf(text+" for datacenter %s", rf, name, nodes[o], o))
		}
	}
	before, after := old.placements[name], new.placements[name]
	if before != nil && after.Strategy.Factor() > before.Strategy.Factor() {
		warnings = append(warnings, "When increasing replication factor you need to run a full (-full) repair to distribute the data.")
	}
	return warnings
}
