package memtable

import "slices"

// index keeps the partitions of a shard in the order of keys: a B-tree of two
// levels whose leaves hold no pointers, so that the collector never looks into
// them. (A root of n entries of 8 bytes moves on every 100th insertion or so:
// at a million partitions per shard some 30 bytes for each.)
type index struct {
	leaves []*leaf
	count  int
}

const leafSize = 256

// leaf holds entries sorted by prefix, then by key. Prefixes lie together: a
// search touches few cache lines.
type leaf struct {
	n        int
	prefixes [leafSize]uint64
	refs     [leafSize]ref
}

// tieFunc compares the searched key with that of the partition at r, whose
// prefix is the same: negative when the searched one comes first.
type tieFunc func(r ref) int

// position is a place in an index, valid until the next insertion.
type position struct{ leaf, at int }

// search finds the first entry not before (prefix, key) and tells whether it
// is that key's.
func (x *index) search(prefix uint64, tie tieFunc) (p position, found bool) {
	// The leaf is the last whose first entry is not behind what is searched.
	lo, hi := 0, len(x.leaves)
	for lo < hi {
		mid := (lo + hi) / 2
		l := x.leaves[mid]
		if first := l.prefixes[0]; first < prefix || (first == prefix && tie(l.refs[0]) >= 0) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return position{}, false
	}
	l := x.leaves[lo-1]
	from, to := 0, l.n
	for from < to {
		mid := (from + to) / 2
		d := -1
		switch at := l.prefixes[mid]; {
		case at < prefix:
			d = 1
		case at == prefix:
			d = tie(l.refs[mid])
		}
		if d == 0 {
			return position{lo - 1, mid}, true
		}
		if d > 0 {
			from = mid + 1
		} else {
			to = mid
		}
	}
	if from == l.n && lo < len(x.leaves) {
		return position{lo, 0}, false
	}
	return position{lo - 1, from}, false
}

// insert puts an entry where search said it would be.
func (x *index) insert(p position, prefix uint64, r ref) {
	x.count++
	if len(x.leaves) == 0 {
		x.leaves = append(x.leaves, new(leaf))
	}
	if p.at == 0 && p.leaf > 0 && x.leaves[p.leaf-1].n < leafSize {
		p = position{p.leaf - 1, x.leaves[p.leaf-1].n} // append rather than move
	}
	l := x.leaves[p.leaf]
	if l.n == leafSize {
		p = x.split(p)
		l = x.leaves[p.leaf]
	}
	copy(l.prefixes[p.at+1:l.n+1], l.prefixes[p.at:l.n])
	copy(l.refs[p.at+1:l.n+1], l.refs[p.at:l.n])
	l.prefixes[p.at], l.refs[p.at] = prefix, r
	l.n++
}

// split halves the leaf at p, or opens a new one behind a leaf that grows at
// its end, and returns where p then is.
func (x *index) split(p position) position {
	l := x.leaves[p.leaf]
	half := leafSize / 2
	if p.at == leafSize {
		half = leafSize
	}
	r := new(leaf)
	r.n = copy(r.prefixes[:], l.prefixes[half:])
	copy(r.refs[:], l.refs[half:])
	l.n = half
	x.leaves = slices.Insert(x.leaves, p.leaf+1, r)
	if p.at > half || half == leafSize {
		return position{p.leaf + 1, p.at - half}
	}
	return p
}

// next steps to the entry behind p.
func (x *index) next(p position) position {
	if p.at++; p.at >= x.leaves[p.leaf].n {
		return position{p.leaf + 1, 0}
	}
	return p
}

// end tells whether p is behind the last entry.
func (x *index) end(p position) bool {
	return p.leaf >= len(x.leaves) || p.at >= x.leaves[p.leaf].n
}

func (x *index) at(p position) (uint64, ref) {
	l := x.leaves[p.leaf]
	return l.prefixes[p.at], l.refs[p.at]
}

func (x *index) set(p position, r ref) { x.leaves[p.leaf].refs[p.at] = r }
