package main

import (
	"path/filepath"
	"testing"
)

// TestEngines gives both engines the same small work, and reads back what it
// wrote: a benchmark of wrong answers would be worth nothing.
func TestEngines(t *testing.T) {
	for _, name := range []string{helenusName, pebbleName} {
		t.Run(name, func(t *testing.T) {
			s := settings{dir: filepath.Join(t.TempDir(), name), cache: 1 << 20, memtable: 1 << 20, block: 4 << 10, compress: true, synced: true}
			e, err := open(name, s)
			if err != nil {
				t.Fatal(err)
			}
			const rows = 3000
			steps := []step{
				{Load: writeNew, Count: rows, Workers: 8, Version: 1, Flush: true},
				{Load: overwrite, Rows: rows, Count: rows, Workers: 8, Version: rows + 1},
			}
			for _, l := range []load{readHit, readHitAll, readMiss, missAll, scanSome} {
				steps = append(steps, step{Load: l, Rows: rows, Count: 200, Workers: 2})
			}
			steps = append(steps, step{Load: scanAll, Rows: rows, Count: 1, Workers: 1})
			for _, st := range steps {
				if _, _, err := st.do(e); err != nil {
					t.Fatal(err)
				}
			}
			wrong := step{Load: readHit, First: rows, Rows: rows, Count: 1, Workers: 1}
			if _, _, err := wrong.do(e); err == nil {
				t.Error("a row that was never written was found")
			}
			if err := e.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
