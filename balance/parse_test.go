package balance

import (
	"strings"
	"testing"
)

// TestParseRefuses holds that what would be read otherwise than it is meant is
// an error that says what and where.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ ring, want string }{
		{`{"partitioner":"ByteOrderedPartitioner","circumference":"170141183460469231731687303715884105728","nodes":[{"id":"a","tokens":["00"]},{"id":"b","tokens":["01"]}]}`,
			"leave min and circumference out"},
		{`{"partitioner":"ByteOrderedPartitioner","min":5,"circumference":"1329227995784915872903807060280344576","nodes":[{"id":"a","tokens":["00"]}]}`,
			"leave min and circumference out"},
		{`{"circumference":300,"nodes":[{"id":"a","tokens":[0],"disk_free":"5"}]}`, `unknown field "disk_free"`},
		{`{"circumference":300,"nodes":[{"id":"a","dc":"x","tokens":[0]}],"keyspaces":[{"name":"k","strategy":"NetworkTopologyStrategy","rf":3,"dcs":{"x":1}}]}`,
			"keyspace k: NetworkTopologyStrategy takes rf, for every datacenter, or dcs, not both"},
	} {
		if _, err := Parse([]byte(c.ring)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.ring, err, c.want)
		}
	}
}
