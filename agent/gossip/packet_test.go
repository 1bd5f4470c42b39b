package gossip

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus"
)

func samples() map[string]*packet {
	id := func(n byte) helenus.HostID { return helenus.HostID{0: 0xA0, 15: n} }
	syn, ack, ack2 := new(packet), new(packet), new(packet)
	syn.addDigest(digest{id(1), wallAt, 300})
	syn.addDigest(digest{id(2), 0, 0})
	ack.addDigest(digest{id(1), wallAt, 290})
	ack.addDelta(delta{id(2), wallAt + 5, 7, []value{{KeyStatus, 2, "NORMAL,-3"}, {KeyRPCReady, 6, "true"}, {KeyEpoch, 5, "12"}}})
	ack2.addDelta(delta{id(1), wallAt, 300, nil})
	return map[string]*packet{"syn": syn, "ack": ack, "ack2": ack2, "empty": new(packet)}
}

// TestGolden keeps the bytes of docs/format/gossip.md.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/v1.txt", func(t *testing.T, d *datadriven.TestData) string {
		p := samples()[d.Cmd]
		if p == nil {
			return "unknown command"
		}
		b := p.AppendTo(nil)
		if len(b) != p.size() {
			t.Errorf("%s: size %d, %d bytes", d.Cmd, p.size(), len(b))
		}
		return hex.Dump(b)
	})
}

func TestGarbage(t *testing.T) {
	long := strings.Repeat("x", valueBytesMax+1)
	one := func(values ...value) *packet {
		return &packet{deltas: []delta{{helenus.HostID{1}, 1, 1, values}}}
	}
	many := make([]value, valuesMax+1)
	for i := range many {
		many[i].key = Key(i + 1)
	}
	crowd := new(packet)
	for range packetBytesMax / 19 {
		crowd.deltas = append(crowd.deltas, delta{generation: 1})
	}
	ack := samples()["ack"].AppendTo(nil)
	for want, b := range map[string][]byte{
		"no end to a count of digests":        {},
		"digests in":                          {200, 1, 1},
		"no end to a count of deltas":         {0},
		"bytes too many":                      append(bytes.Clone(ack), 0),
		"a value cut off":                     ack[:len(ack)-1],
		"limit is 256":                        one(value{KeyStatus, 1, long}).AppendTo(nil),
		"out of order: key 1 after 1":         one(value{KeyStatus, 1, ""}, value{KeyStatus, 1, ""}).AppendTo(nil),
		"out of order: key 0":                 one(value{0, 1, ""}).AppendTo(nil),
		"not UTF-8: key 1":                    one(value{KeyStatus, 1, "\xff"}).AppendTo(nil),
		"values of one node; the limit is 32": one(many...).AppendTo(nil),
		"a version of":                        one(value{KeyStatus, 1 << 63, ""}).AppendTo(nil),
		"longer than they need be":            {0x80, 0x00, 0},
		"beyond its limit":                    crowd.AppendTo(nil),
		"a message of 40000 bytes":            make([]byte, 40000),
	} {
		p := samples()["ack"]
		err := p.Decode(b)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if len(p.digests)+len(p.deltas) > 0 {
			t.Errorf("%q: something is left", want)
		}
	}
}

// FuzzPacket: what decodes is what was encoded, to the byte; it is bounded, and
// any of it can be merged.
func FuzzPacket(f *testing.F) {
	for _, p := range samples() {
		f.Add(p.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again packet
		if err := p.Decode(b); err != nil {
			return
		}
		out := p.AppendTo(nil)
		if !bytes.Equal(out, b) || p.size() != len(b) || len(b) > packetBytesMax {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		if err := again.Decode(out); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%v", err)
		}
		c := newCore(target(1), wallAt, phiConvict)
		peers := c.peers
		for _, d := range p.digests {
			peers = append(peers, target(2))
			peers[len(peers)-1].ID = d.id
		}
		for _, d := range p.deltas {
			peers = append(peers, target(2))
			peers[len(peers)-1].ID = d.id
		}
		c.setPeers(peers)
		var answer packet
		c.merge(p.deltas, target(2).ID, instant{1, wallAt})
		c.answer(p.digests, &answer, instant{1, wallAt})
		if answer.size() > packetBytesMax {
			t.Fatalf("an answer of %d bytes", answer.size())
		}
		for _, n := range c.members {
			if len(n.values) > valuesMax || n.generation > wallAt+GenerationAhead {
				t.Fatalf("%+v", n)
			}
		}
		c.show()
	})
}
