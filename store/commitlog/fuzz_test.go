package commitlog_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// FuzzReplay gives arbitrary bytes to Replay, as they are and with the
// checksums of headers, blocks and the records that start a block made right,
// so that the fuzzer gets behind them.
func FuzzReplay(f *testing.F) {
	entries, err := os.ReadDir("testdata/v1")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join("testdata/v1", e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte{}, true)
		f.Add(data[:1024], data, true)
	}
	f.Add([]byte{}, []byte("commitlog"), false)
	f.Fuzz(func(t *testing.T, a, b []byte, repair bool) {
		if len(a)+len(b) > 1<<16 {
			return
		}
		mem := vfs.NewMem()
		must(t, mem.MkdirAll(dir))
		for i, data := range [][]byte{a, b} {
			data = append([]byte{}, data...)
			if repair {
				repairSums(data)
			}
			must(t, vfs.WriteFile(mem, filepath.Join(dir, []string{"commitlog-00000001.log", "commitlog-00000002.log"}[i]), data))
		}
		l, err := commitlog.Open(mem, dir, tiny(commitlog.Batch))
		if err != nil {
			return
		}
		total := 0
		_, err = l.Replay(func(r *commitlog.Record) error {
			total += len(r.Payload)
			for i := range r.Tables() {
				r.Covered(r.Table(i))
			}
			return nil
		})
		if total > len(a)+len(b) {
			t.Fatalf("%d bytes of payload out of %d", total, len(a)+len(b))
		}
		if err != nil {
			var bad *commitlog.CorruptError
			if !errors.As(err, &bad) {
				t.Fatalf("neither records nor corruption: %v", err)
			}
			return
		}
		w := newWaiter()
		_, err = l.Append([]commitlog.TableID{table(1)}, w, []byte("goes on"))
		must(t, err)
		must(t, w.wait())
		must(t, l.Close())
	})
}

func repairSums(data []byte) {
	const block = 512
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	if len(data) >= 64 {
		binary.LittleEndian.PutUint32(data, crc32.Checksum(data[4:64], castagnoli))
	}
	for off := block; off+block <= len(data); off += block {
		b := data[off : off+block]
		used := min(int(binary.LittleEndian.Uint16(b[20:])), block-24)
		if used > 8 {
			size := min(int(binary.LittleEndian.Uint32(b[24:])), used-8)
			crc := crc32.Update(crc32.Checksum(b[24:28], castagnoli), castagnoli, b[32:32+max(0, size)])
			binary.LittleEndian.PutUint32(b[28:], crc)
		}
		binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:24+used], castagnoli))
	}
}
