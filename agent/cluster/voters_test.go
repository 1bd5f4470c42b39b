package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/token"
)

// TestVoters: each story is a list of members, `<n> <datacenter> <rack>` with
// `voter`, `dead` (for now) or `lost` (for long); the answer is who shall vote.
func TestVoters(t *testing.T) {
	datadriven.RunTest(t, "testdata/voters.txt", func(t *testing.T, d *datadriven.TestData) string {
		s := meta.New(nil)
		apply := func(c meta.Change) {
			next, err := meta.Apply(s, c)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			s = next
		}
		apply(meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "c", Partitioner: token.Murmur3Partitioner{}.Name()})
		var voters []helenus.HostID
		dead, lost := map[helenus.HostID]bool{}, map[helenus.HostID]bool{}
		for line := range strings.Lines(d.Input) {
			f := strings.Fields(line)
			var n byte
			fmt.Sscan(f[0], &n)
			id := helenus.HostID{n}
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, n}), 7000)
			apply(meta.Register{Node: meta.Node{HostID: id, Broadcast: at, Listen: at, Native: at, Datacenter: helenus.Datacenter(f[1]),
				Rack: helenus.Rack(f[2]), Tokens: []token.Token{token.FromInt64(int64(n))}, Level: meta.CurrentLevel}})
			for _, word := range f[3:] {
				switch word {
				case "voter":
					voters = append(voters, id)
				case "lost":
					lost[id], dead[id] = true, true
				case "dead":
					dead[id] = true
				}
			}
		}
		apply(meta.SetVoters{Voters: voters, Group: meta.GroupID{1}})
		want := planVoters(s, func(id helenus.HostID) bool { return !dead[id] }, func(id helenus.HostID) bool { return lost[id] })
		if want == nil {
			return "no change\n"
		}
		var out []string
		for _, id := range want {
			out = append(out, fmt.Sprint(id[0]))
		}
		return strings.Join(out, " ") + "\n"
	})
}
