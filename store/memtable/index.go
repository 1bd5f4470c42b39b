package memtable

import (
	"math"
	"slices"
)

// index keeps the partitions of a shard in the order of keys: a B-tree of two
// levels whose leaves hold no pointers, so that the collector never looks into
// them. (A root of n entries of 16 bytes moves on every 50th insertion or so:
// at a million partitions per shard some 100 bytes for each.)
type index struct {
	leaves []*leaf
	firsts []uint64 // the first prefix of each leaf: the root touches nothing else
	count  int
}

// leafSize balances what an insertion moves against the size of the root.
const (
	leafSize   = 128
	leafPushed = leafSize * 3 / 4
)

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
	i := x.leafFor(prefix, tie)
	if i < 0 {
		return position{}, false
	}
	l := x.leaves[i]
	next := uint64(math.MaxUint64)
	if i+1 < len(x.firsts) {
		next = x.firsts[i+1]
	}
	from := lowerBound(l.prefixes[:l.n], prefix, x.firsts[i], next)
	if from < l.n && l.prefixes[from] == prefix {
		if from, found = l.among(from, prefix, tie); found {
			return position{i, from}, true
		}
	}
	if from == l.n && i+1 < len(x.leaves) {
		return position{i + 1, 0}, false
	}
	return position{i, from}, false
}

// leafFor gives the last leaf whose first entry is not behind what is searched,
// or -1.
func (x *index) leafFor(prefix uint64, tie tieFunc) int {
	lo, hi := 0, len(x.firsts)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if first := x.firsts[mid]; first < prefix || (first == prefix && tie(x.leaves[mid].refs[0]) >= 0) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// among looks for the key among the entries from i on that have its prefix.
func (l *leaf) among(i int, prefix uint64, tie tieFunc) (at int, found bool) {
	from, to := i, l.n
	for from < to {
		mid := int(uint(from+to) / 2)
		d := -1
		if l.prefixes[mid] == prefix {
			d = tie(l.refs[mid])
		}
		switch {
		case d == 0:
			return mid, true
		case d > 0:
			from = mid + 1
		default:
			to = mid
		}
	}
	return from, false
}

// lowerBound gives the first of s that is not below x, where all of s lies
// between first and next. Tokens are spread evenly as a rule, so it begins at a
// guess by proportion, most often in the right cache line, and doubles its steps
// from there: no order of keys takes more than two logarithms.
func lowerBound(s []uint64, x, first, next uint64) int {
	guess := 0
	if span := (next - first) >> 32; span > 0 {
		guess = min(int((x-first)>>32*uint64(len(s))/span), len(s)-1)
	}
	lo, hi := guess, guess // s[:lo] < x <= s[hi:]
	if s[guess] < x {
		for step := 4; ; step *= 2 {
			lo, hi = hi+1, hi+1+step
			if hi >= len(s) {
				hi = len(s)
				break
			}
			if s[hi] >= x {
				break
			}
		}
	} else {
		for step := 4; lo > 0; step *= 2 {
			hi, lo = lo, max(lo-step, 0)
			if s[lo] < x {
				lo++
				break
			}
		}
	}
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if s[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// insert puts an entry where search said it would be.
func (x *index) insert(p position, prefix uint64, r ref) {
	x.count++
	if len(x.leaves) == 0 {
		x.leaves, x.firsts = append(x.leaves, new(leaf)), append(x.firsts, prefix)
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
	if p.at == 0 {
		x.firsts[p.leaf] = prefix
	}
	l.n++
}

// push appends an entry behind all others; the leaves it fills have room for
// what comes later.
func (x *index) push(prefix uint64, r ref) {
	last := len(x.leaves) - 1
	if last < 0 || x.leaves[last].n == leafPushed {
		x.leaves, x.firsts = append(x.leaves, new(leaf)), append(x.firsts, prefix)
		last++
	}
	l := x.leaves[last]
	l.prefixes[l.n], l.refs[l.n] = prefix, r
	l.n++
	x.count++
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
	x.firsts = slices.Insert(x.firsts, p.leaf+1, r.prefixes[0])
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
