package store

import "helenus/store/cache"

// CacheStats gives the block cache's counters.
func (s *Store) CacheStats() cache.Stats { return s.cache.Stats() }

// DataBytes is the uncompressed size of all files' rows.
func (s *Store) DataBytes() (n int64) {
	for _, t := range s.sortedTables() {
		v := t.acquire()
		if v == nil {
			continue
		}
		for _, f := range v.files {
			n += f.DataBytes()
		}
		v.release()
	}
	return n
}
