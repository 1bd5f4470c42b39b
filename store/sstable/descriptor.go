package sstable

import (
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"helenus/store/vfs"
)

// ID tells sets of one table apart: a decimal sequence number, which is what
// we make, or the 28 characters of Cassandra's UUID form, which we only read.
type ID string

// SequenceID is the n-th set's id.
func SequenceID(n uint64) ID { return ID(strconv.FormatUint(n, 10)) }

// Sequence is the number in the id; false for the UUID form.
func (id ID) Sequence() (uint64, bool) {
	if len(id) > 1 && id[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(id), 10, 63)
	return n, err == nil
}

func (id ID) valid() bool {
	if _, ok := id.Sequence(); ok {
		return true
	}
	if len(id) != 28 || id[4] != '_' || id[9] != '_' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if i != 4 && i != 9 && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// Descriptor names a set of files within a folder.
type Descriptor struct {
	Version Version
	ID      ID
}

// String is the part of the file names before the component.
func (d Descriptor) String() string { return string(d.Version) + "-" + string(d.ID) + "-big" }

// File is a component's file name.
func (d Descriptor) File(c Component) string { return d.String() + "-" + string(c) }

// Component is the last part of a file name.
type Component string

// The components. Checksums is ours; docs/format/checksums.md describes it.
const (
	Data            Component = "Data.db"
	Index           Component = "Index.db"
	Summary         Component = "Summary.db"
	Filter          Component = "Filter.db"
	Statistics      Component = "Statistics.db"
	CompressionInfo Component = "CompressionInfo.db"
	CRC             Component = "CRC.db"
	Digest          Component = "Digest.crc32"
	Checksums       Component = "Checksums.db"
	TOC             Component = "TOC.txt"
)

// ParseFile takes a file name apart; false for what is no component of a set.
func ParseFile(name string) (Descriptor, Component, bool) {
	parts := strings.SplitN(name, "-", 4)
	if len(parts) != 4 || len(parts[0]) != 2 || parts[2] != "big" || parts[3] == "" || strings.HasSuffix(name, ".tmp") {
		return Descriptor{}, "", false
	}
	d := Descriptor{Version(parts[0]), ID(parts[1])}
	if !d.ID.valid() {
		return Descriptor{}, "", false
	}
	return d, Component(parts[3]), true
}

// List finds the sets in a folder that can be opened: those with Data, Index
// and Statistics. Sequence ids come first and ascend. Recover first, so that
// what a crash left half done is gone. incomplete names the rest of what looks
// like a set, for the log; nobody deletes it.
func List(fs vfs.FS, dir string) (sets, incomplete []Descriptor, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("sstable: list %s: %w", dir, err)
	}
	const needed = 3
	found := map[Descriptor]int{}
	for _, name := range names {
		if d, c, ok := ParseFile(name); ok {
			n := 0
			if c == Data || c == Index || c == Statistics {
				n = 1
			}
			found[d] += n
		}
	}
	for d, n := range found {
		if n == needed {
			sets = append(sets, d)
		} else {
			incomplete = append(incomplete, d)
		}
	}
	sortDescriptors(sets)
	sortDescriptors(incomplete)
	return sets, incomplete, nil
}

func sortDescriptors(ds []Descriptor) {
	sort.Slice(ds, func(i, j int) bool {
		a, aok := ds[i].ID.Sequence()
		b, bok := ds[j].ID.Sequence()
		if aok != bok {
			return aok
		}
		if aok && a != b {
			return a < b
		}
		return ds[i].String() < ds[j].String()
	})
}

func path(dir string, d Descriptor, c Component) string { return filepath.Join(dir, d.File(c)) }
