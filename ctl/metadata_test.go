package ctl

import (
	"context"
	"testing"

	"helenus/internal/report"
)

func (f *fakeNode) Metadata(context.Context) (report.Metadata, error) { return f.metadata, f.err }

func TestMetadataLayout(t *testing.T) {
	voter := report.Voter{HostID: "a", Address: "127.0.0.1", Port: 7000, Datacenter: "dc1", Rack: "r1", Liveness: report.Up, Leader: true}
	down := report.Voter{HostID: "b", Address: "127.0.0.2", Port: 7000, Datacenter: "dc1", Rack: "r2", Liveness: report.Down}
	f := &fakeNode{metadata: report.Metadata{ClusterID: "c", Epoch: 7, Level: 1, Member: true, Leader: "a", Term: 2, Applied: 9, Available: true,
		Voters: []report.Voter{down, voter}}}
	_, out, _ := run(f, "metadata status")
	want := `Cluster          : c
Epoch            : 7
Feature level    : 1
Member           : true
Leader           : 127.0.0.1
Term             : 2
Applied          : 9
Changes possible : yes

Voters
Address    Status  Role      Datacenter  Rack  Host ID  
127.0.0.1  Up      leader    dc1         r1    a        
127.0.0.2  Down    follower  dc1         r2    b        
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	voter.Leader = false
	f.metadata = report.Metadata{ClusterID: "c", Waiting: "127.0.0.2:7000", Problem: "no peer answers", Voters: []report.Voter{voter, down}}
	_, out, _ = run(f, "metadata status -pp")
	want = `Cluster          : c
Epoch            : 0
Feature level    : 0
Member           : false
Waiting          : 127.0.0.2:7000
Problem          : no peer answers
Leader           : none is known
Term             : 0
Applied          : 0
Changes possible : no: no more than half of the voters live, so neither schema nor topology can change

Voters
Address         Status  Role      Datacenter  Rack  Host ID  
127.0.0.1:7000  Up      follower  dc1         r1    a        
127.0.0.2:7000  Down    follower  dc1         r2    b        
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}
