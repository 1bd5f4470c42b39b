package replica

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/agent/wire"
	"helenus/internal/token"
	"helenus/store/row"
)

// readMessages are a question and its answers.
func readMessages(t testing.TB) map[string]wire.Message {
	t.Helper()
	table, err := row.ParseTable("k int | c int | s int static, v text, w text")
	if err != nil {
		t.Fatal(err)
	}
	ks, err := row.Parse(table, token.Murmur3Partitioner{}, "partition 1 del=1/100\nstatic s=7@3\nrow 1 live=5 v=a@5 w=b@6\nrange >=2 <=9 del=4/101\nrow 8 v=~@7/102")
	if err != nil {
		t.Fatal(err)
	}
	_, from := row.AppendBound(nil, table, [][]byte{{0, 0, 0, 1}}, false)
	_, to := row.AppendBound(nil, table, [][]byte{{0, 0, 0, 5}}, true)
	c := &row.Command{Table: table, Now: 103, Keys: []row.Key{ks[0].PartitionKey}, Limits: row.Limits{Rows: 3}}
	c.Filter.Slices = []row.Slice{{Start: from.Order, StartValues: from.Values, StartSize: 1, End: to.Order, EndValues: to.Values, EndSize: 1}}
	c.Filter.Regulars = []bool{true, false}
	var a row.Answer
	if err := a.Write(row.KeptPartitions(false, ks...), c, row.AnswerOptions{Data: true, Digest: true}); err != nil {
		t.Fatal(err)
	}
	return map[string]wire.Message{
		"request":      &ReadRequest{Epoch: 300, Data: true, Digest: true, BytesMax: 1 << 16, Command: row.AppendCommand(nil, c)},
		"answer":       &ReadAnswer{HasData: true, HasDigest: true, More: true, Rows: a.Rows, Tombstones: a.Tombstones, Digest: a.Digest, Data: bytes.Clone(a.Data)},
		"digestanswer": &ReadAnswer{HasDigest: true, Rows: a.Rows, Digest: a.Digest},
	}
}

// TestGoldenReads keeps the bytes of version 1.
func TestGoldenReads(t *testing.T) {
	datadriven.RunTest(t, "testdata/read1.txt", func(t *testing.T, d *datadriven.TestData) string {
		return hex.Dump(readMessages(t)[d.Cmd].AppendTo(nil))
	})
}

// FuzzReadMessages: what is read is what was written, and nothing panics.
func FuzzReadMessages(f *testing.F) {
	for _, m := range readMessages(f) {
		f.Add(m.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, pair := range [][2]wire.Message{{new(ReadRequest), new(ReadRequest)}, {new(ReadAnswer), new(ReadAnswer)}} {
			if pair[0].Decode(b) != nil {
				continue
			}
			once := pair[0].AppendTo(nil)
			if err := pair[1].Decode(once); err != nil || !bytes.Equal(pair[1].AppendTo(nil), once) {
				t.Errorf("%T of % x: % x, %v", pair[0], b, once, err)
			}
		}
	})
}

func TestReadsRefuse(t *testing.T) {
	for name, b := range map[string]string{"nothing": "", "an epoch": "\x01", "no flags": "\x01\x00\x05", "unknown flags": "\x01\x08\x05",
		"a bound beyond all": "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if new(ReadRequest).Decode([]byte(b)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, b := range map[string]string{"nothing": "", "neither": "\x00\x01\x01", "a cut digest": "\x02\x01\x01" + strings.Repeat("x", 15),
		"data unannounced": "\x02\x01\x01" + strings.Repeat("x", 17)} {
		if new(ReadAnswer).Decode([]byte(b)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
