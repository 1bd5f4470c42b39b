package row

import (
	"testing"

	"helenus/internal/token"
)

func TestTextRoundTrip(t *testing.T) {
	table, err := ParseTable("k int | c1 text, c2 int desc | s text static, v int, m map<int,text>, l list<text>, c counter, f frozen<map<int,int>>")
	if err != nil {
		t.Fatal(err)
	}
	text := `partition 1 del=5/100
static s="hello world"@6
row a,3 live=6!60/160 v=1@6!60/160 m[]=~@6/100 m[1]=x@7
row a,2 del=7/100 v=5@8 m[1]=~@8/101 m[2]="null"@8
mark <a,1 - 9/100
row a,1 v=~@10/100
mark >a,1 9/100 8/100
mark >b 8/100 -
row null,"" live=20
partition 2
row x,-1 c=#0x0011@5 f=0x00@3
`
	ks, err := Parse(table, token.Murmur3Partitioner{}, text)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := PrintAll(nil, table, KeptPartitions(false, ks...))
	t.Logf("\n%s", got)
}
