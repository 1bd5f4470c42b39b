package meta

import (
	"slices"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// resolve turns a type as written into a type with the fields of its user
// types, all of keyspace ks, and refuses what may not be nested.
func resolve(t *types.Type, ks *schema.Keyspace) (*types.Type, error) {
	if err := checkNesting(t); err != nil {
		return nil, err
	}
	r, err := lookUp(t, ks)
	if err != nil {
		return nil, err
	}
	if t.Frozen {
		r = r.Freeze()
	}
	return r, nil
}

// lookUp replaces names by definitions. Elements of tuples, and the frozen, are
// frozen through and through; those of vectors stay as written.
func lookUp(t *types.Type, ks *schema.Keyspace) (*types.Type, error) {
	if t.Kind == types.UDT {
		if t.Keyspace != "" && t.Keyspace != ks.Name {
			return nil, invalid("Statement on keyspace %s cannot refer to a user type in keyspace %s; "+
				"user types can only be used in the keyspace they are defined in", ks.Name, t.Keyspace)
		}
		def := ks.Types[t.Name]
		if def == nil {
			return nil, invalid("Unknown type %s.%s", ks.Name, t.Name)
		}
		r := *def
		r.Frozen = t.Frozen
		return &r, nil
	}
	if t.Kind == types.Custom {
		known, _, err := types.ParseClass(t.Name)
		if err != nil || known.Kind == types.Custom {
			return nil, syntax("Error setting type %s: Unable to find abstract-type class '%s'", t.Name, t.Name)
		}
		return known, nil
	}
	if len(t.Elems) == 0 {
		return t, nil
	}
	r := *t
	r.Elems = slices.Clone(t.Elems)
	for i, e := range t.Elems {
		elem, err := resolve(e, ks)
		if err != nil {
			return nil, err
		}
		if t.Kind == types.Tuple {
			elem = elem.Freeze()
		}
		r.Elems[i] = elem
	}
	return &r, nil
}

func checkNesting(t *types.Type) error {
	if t.Kind == types.Vector && t.Dimension < 1 {
		return invalid("vectors may only have positive dimensions; given %d", t.Dimension)
	}
	for i, e := range t.Elems {
		switch {
		case t.Kind == types.Tuple && e.Kind == types.Counter:
			return invalid("Counters are not allowed inside tuples")
		case !t.IsCollection():
		case e.Kind == types.Counter:
			return invalid("Counters are not allowed inside collections: %s", t)
		case e.Kind == types.Duration && t.Kind == types.Set:
			return invalid("Durations are not allowed inside sets: %s", t)
		case e.Kind == types.Duration && t.Kind == types.Map && i == 0:
			return invalid("Durations are not allowed as map keys: %s", t)
		case t.Frozen || !e.IsMultiCell():
		case e.Kind == types.UDT:
			return invalid("Non-frozen UDTs are not allowed inside collections: %s", t)
		default:
			return invalid("Non-frozen collections are not allowed inside collections: %s", t)
		}
	}
	return nil
}

// holds tells whether t is or contains a type of kind k.
func holds(t *types.Type, k types.Kind) bool {
	return t.Kind == k || slices.ContainsFunc(t.Elems, func(e *types.Type) bool { return holds(e, k) })
}

// hasComplexField tells whether t is a user type whose values would need cells
// within cells.
func hasComplexField(t *types.Type) bool {
	return t.Kind == types.UDT && !t.Frozen && slices.ContainsFunc(t.Elems, (*types.Type).IsMultiCell)
}

// expandUserTypes replaces user types by tuples of their fields, so that a
// dropped column does not depend on types that may go too.
func expandUserTypes(t *types.Type) *types.Type {
	if len(t.Elems) == 0 {
		return t
	}
	r := *t
	r.Elems = make([]*types.Type, len(t.Elems))
	for i, e := range t.Elems {
		r.Elems[i] = expandUserTypes(e)
	}
	if t.Kind == types.UDT {
		return types.TupleOf(r.Elems...).Freeze()
	}
	return &r
}

// replaceUserType returns t with the definition of def's name renewed, and t
// itself when it does not use it.
func replaceUserType(t, def *types.Type) *types.Type {
	if t.Kind == types.UDT && t.Name == def.Name {
		r := *def
		r.Frozen = t.Frozen
		if r.Frozen {
			return r.Freeze()
		}
		return &r
	}
	var elems []*types.Type
	for i, e := range t.Elems {
		if n := replaceUserType(e, def); n != e {
			if elems == nil {
				elems = slices.Clone(t.Elems)
			}
			elems[i] = n
		}
	}
	if elems == nil {
		return t
	}
	r := *t
	r.Elems = elems
	if r.Frozen || r.Kind == types.Tuple {
		return r.Freeze()
	}
	return &r
}

// readableAs tells whether values written as old can be read as t: what a
// column that takes the name of a dropped one must satisfy.
func readableAs(t, old *types.Type) bool {
	if t.IsMultiCell() != old.IsMultiCell() {
		return false
	}
	if t.Equal(old) {
		return true
	}
	if len(t.Elems) > 0 && t.Kind == old.Kind && t.Kind != types.UDT && len(t.Elems) == len(old.Elems) {
		same := func(i int) bool { return readableAs(t.Elems[i], old.Elems[i]) }
		for i := range t.Elems {
			if !same(i) {
				return false
			}
		}
		return t.Dimension == old.Dimension
	}
	if t.FixedLength() != old.FixedLength() {
		return false
	}
	switch t.Kind {
	case types.Blob:
		return true
	case types.Text:
		return old.Kind == types.ASCII
	case types.BigInt:
		return old.Kind == types.Timestamp || old.Kind == types.Time
	case types.Timestamp:
		return old.Kind == types.BigInt
	case types.Time:
		return old.Kind == types.BigInt
	case types.Date:
		return old.Kind == types.Int
	case types.UUID:
		return old.Kind == types.TimeUUID
	}
	return false
}
