package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/proto"
	"helenus/internal/peer"
)

var rewrite = flag.Bool("rewrite", false, "record the peer's answers anew in proto's testdata")

const peerKeyspace = "helenus_client_test"

// cassandra is the address of a real one: the one that HELENUS_PEER_CQL names,
// or one of its own. The test is skipped if there is none.
func cassandra(t *testing.T) string {
	addr := os.Getenv("HELENUS_PEER_CQL")
	if addr == "" {
		addr = net.JoinHostPort(peer.Start(t, peer.Options{}).Address(), "9042")
	}
	return addr
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// script is run on the peer, a line a request; "!" lines are expected to fail.
var script = []string{
	"DROP KEYSPACE IF EXISTS " + peerKeyspace,
	"CREATE KEYSPACE " + peerKeyspace + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
	"! CREATE KEYSPACE " + peerKeyspace + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
	"USE " + peerKeyspace,
	"CREATE TYPE addr (street text, \"Codes\" frozen<list<int>>)",
	`CREATE TABLE every (k int, c text, s bigint static, a ascii, bi bigint, bl blob, bo boolean, da date, de decimal, dou double,
		du duration, f float, i inet, si smallint, ti time, ts timestamp, tu timeuuid, tin tinyint, u uuid, v varint,
		l list<text>, m map<int, frozen<set<text>>>, st set<uuid>, tup tuple<int, text>, ud addr, fud frozen<addr>, ve vector<float, 3>,
		vl vector<frozen<list<int>>, 2>, PRIMARY KEY (k, c))`,
	`INSERT INTO every (k, c, s, a, bi, bl, bo, da, de, dou, du, f, i, si, ti, ts, tin, u, v, l, m, tup, ud, ve)
		VALUES (1, 'x', 2, 'a', -1, 0x, true, '2026-01-02', 1.50, 2.5, 1mo2d3s, 3.5, '::1', 7, '01:02:03', 99, 3,
		00000000-0000-0000-0000-000000000001, 12345678901234567890, ['p', 'q'], {1: {'z'}}, (1, null), {street: 's'}, [1, 2, 3])`,
	"INSERT INTO every (k, c) VALUES (1, 'y')",
	"SELECT * FROM every WHERE k = 1",
	"SELECT k, c FROM every WHERE k = 1 PER PARTITION LIMIT 1",
	"SELECT count(*) FROM every",
	"INSERT INTO every (k, c, bi) VALUES (1, 'x', 5) IF NOT EXISTS",
	"! SELEC",
	"! SELECT * FROM nope",
	"! INSERT INTO every (k, c) VALUES (2, 'q') IF NOT EXISTS /* serial */",
	"ALTER TABLE every ADD extra text",
}

// recorded is a RESULT or ERROR as it came.
type recorded struct {
	version proto.Version
	flags   proto.HeaderFlags
	op      proto.Opcode
	what    string
	body    []byte
}

// TestPeer runs the script with each version and compression, and prepared
// statements, and keeps the answers' bytes.
func TestPeer(t *testing.T) {
	addr := cassandra(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var kept []recorded
	for _, cfg := range []Config{
		{}, {Compression: proto.CompressLZ4}, {Version: proto.V4}, {Version: proto.V4, Compression: proto.CompressLZ4},
		{Version: proto.V4, Compression: proto.CompressSnappy},
	} {
		cfg.Dial = dialTCP
		c, err := Connect(ctx, addr, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Register(ctx, proto.EventSchema, proto.EventStatus, proto.EventTopology); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, runScript(t, ctx, c)...)
		kept = append(kept, runPrepared(t, ctx, c)...)
		if e := <-c.Events(); e.Type != proto.EventSchema || e.Schema.Keyspace != peerKeyspace {
			t.Errorf("event %+v", e)
		}
		if _, err := c.Query(ctx, "DROP KEYSPACE "+peerKeyspace); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	}
	if *rewrite {
		record(t, kept)
	}
}

// keepBody runs a request the long way round, for the answer's bytes.
func keepBody(ctx context.Context, c *Conn, req *proto.Request, what string) (*proto.Response, recorded, error) {
	done := make(chan struct{})
	call := &Call{Request: req, keep: true, Done: func(*Call) { close(done) }}
	if err := c.Go(call); err != nil {
		return nil, recorded{}, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, recorded{}, ctx.Err()
	}
	return &call.Response, recorded{c.Version(), call.Response.Flags, call.Response.Op, what, bytes.Clone(call.buf)}, call.Err
}

func runScript(t *testing.T, ctx context.Context, c *Conn) (kept []recorded) {
	for _, line := range script {
		text, fails := strings.CutPrefix(line, "! ")
		req := c.QueryRequest(text)
		if strings.Contains(text, "/* serial */") {
			req.Params.Flags |= proto.ParamSerial
			req.Params.Serial = helenus.Serial
		}
		if strings.Contains(text, "LIMIT 1") {
			req.Params.PageSize = 1
		}
		resp, rec, err := keepBody(ctx, c, req, strings.Join(strings.Fields(text)[:min(3, len(strings.Fields(text)))], " "))
		if (err != nil) != fails && !strings.Contains(text, "IF NOT EXISTS") {
			t.Fatalf("%s: %v", text, err)
		}
		if strings.HasPrefix(text, "SELECT *") && err == nil {
			checkEvery(t, resp)
		}
		kept = append(kept, rec)
	}
	return kept
}

func checkEvery(t *testing.T, resp *proto.Response) {
	t.Helper()
	rows := resp.Rows
	cells := make([][]byte, rows.Width)
	n := 0
	for rows.NextRow(cells) {
		for i, col := range rows.Columns {
			switch {
			case col.Name == "bl" && n == 0 && (cells[i] == nil || len(cells[i]) != 0):
				t.Errorf("an empty blob came as %v", cells[i])
			case col.Name == "de" && n == 0 && hex.EncodeToString(cells[i]) != "000000020096":
				t.Errorf("1.50 came as %x", cells[i])
			case col.Name == "a" && n == 1 && cells[i] != nil:
				t.Errorf("a null came as %q", cells[i])
			}
		}
		n++
	}
	if n != 2 || rows.Err() != nil {
		t.Errorf("%d rows, %v", n, rows.Err())
	}
}

func runPrepared(t *testing.T, ctx context.Context, c *Conn) (kept []recorded) {
	for _, text := range []string{
		"INSERT INTO " + peerKeyspace + ".every (k, c, bi) VALUES (?, ?, ?)",
		"SELECT * FROM " + peerKeyspace + ".every WHERE k = ?",
	} {
		req := &proto.Request{Header: proto.Header{Op: proto.OpPrepare}, Text: []byte(text)}
		_, rec, err := keepBody(ctx, c, req, "PREPARE "+strings.Fields(text)[0])
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, rec)
	}
	p, err := c.Prepare(ctx, "INSERT INTO "+peerKeyspace+".every (k, c, bi) VALUES (?, ?, ?)", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		req := c.ExecuteRequest(p, Bytes([]byte{0, 0, 0, 9}), Text(fmt.Sprintf("%04d", i)), Unset())
		req.Flags |= proto.FlagTracing * proto.HeaderFlags(i/999)
		res, err := c.DoPrepared(ctx, p, req)
		if err != nil || res.HasTracing != (i == 999) {
			t.Fatal(i, err)
		}
	}
	sel, err := c.Prepare(ctx, "SELECT c, bi FROM "+peerKeyspace+".every WHERE k = ?", "")
	if err != nil {
		t.Fatal(err)
	}
	req := c.ExecuteRequest(sel, Bytes([]byte{0, 0, 0, 9}))
	req.Params.PageSize = 77
	n := 0
	for cells, err := range c.Rows(ctx, req) {
		if err != nil || string(cells[0]) != fmt.Sprintf("%04d", n) || cells[1] != nil {
			t.Fatalf("row %d: %q %v", n, cells, err)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("%d rows of 1000", n)
	}
	batch := &proto.Request{Header: proto.Header{Op: proto.OpBatch}, BatchType: proto.BatchUnlogged, Params: proto.Params{Consistency: helenus.One}}
	for i := range 100 {
		batch.Batch = append(batch.Batch, proto.BatchItem{ID: p.ID, Values: []proto.Value{Bytes([]byte{0, 0, 0, byte(i)}), Text("batch"), Bytes(nil)}})
	}
	res, err := c.Do(ctx, batch)
	if err != nil || len(res.Warnings) == 0 {
		t.Errorf("a batch over 100 partitions: %v, warnings %q", err, res.Warnings)
	}
	return kept
}

// record writes the answers, each once, one a line: version, flags, opcode, body
// in hexadecimal, what was asked.
func record(t *testing.T, kept []recorded) {
	var out bytes.Buffer
	out.WriteString("# Answers of Apache Cassandra 5.0.9; made by: HELENUS_PEER_CQL=host:port go test ./internal/cql/client -run TestPeer -rewrite\n")
	seen := map[string]bool{}
	for _, k := range kept {
		line := fmt.Sprintf("%d %d %d %x # %s\n", k.version, k.flags, k.op, k.body, k.what)
		if !seen[line] { // compressions change nothing here
			seen[line] = true
			out.WriteString(line)
		}
	}
	file := filepath.Join("..", "proto", "testdata", "cassandra.txt")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
