package cassandra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/uuid"

	"helenus"
)

// tables are a node's answers by table; what is not there does not exist.
type tables map[string][]Row

// fake is a cluster by address of its nodes; it counts open sessions.
type fake struct {
	nodes map[string]tables
	open  atomic.Int64
}

func (f *fake) connect(_ context.Context, address string) (Session, error) {
	t, ok := f.nodes[address]
	if !ok {
		return nil, errors.New("connection refused")
	}
	if _, closed := t["nobody"]; closed {
		return nil, &helenus.Error{Code: helenus.CodeBadCredentials, Message: "who are you?"}
	}
	f.open.Add(1)
	return fakeSession{f, t}, nil
}

type fakeSession struct {
	f *fake
	t tables
}

func (s fakeSession) Close() error { s.f.open.Add(-1); return nil }

func (s fakeSession) Rows(_ context.Context, text string) ([]Row, error) {
	_, table, _ := strings.Cut(text, " FROM ")
	rows, ok := s.t[table]
	if !ok {
		return nil, fmt.Errorf("table %s does not exist", table)
	}
	return rows, nil
}

// value makes what the protocol would yield.
func value(t *testing.T, column string, v any) any {
	t.Helper()
	switch v := v.(type) {
	case string:
		if column == "host_id" {
			return [16]byte(uuid.MustParse(v))
		}
		if a, err := netip.ParseAddr(v); err == nil && strings.Contains(v, ".") && strings.HasSuffix(column, "address") || column == "peer" {
			return a
		}
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(column, "_port") || column == "port" {
			return int(n)
		}
		return n
	case map[string]any:
		m := map[any]any{}
		for k, e := range v {
			m[k] = e
		}
		return m
	}
	return v
}

func (f *fake) node(t *testing.T, address, text string) {
	t.Helper()
	in := map[string][]map[string]any{}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		t.Fatal(err)
	}
	f.nodes[address] = tables{}
	for table, rows := range in {
		f.nodes[address][table] = []Row{}
		for _, row := range rows {
			out := Row{}
			for column, v := range row {
				out[column] = value(t, column, v)
			}
			f.nodes[address][table] = append(f.nodes[address][table], out)
		}
	}
}

// TestReadRing reads testdata: "node HOST:PORT" and its tables in JSON, "read
// HOST:PORT [estimates]".
func TestReadRing(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		f := &fake{nodes: map[string]tables{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			at := d.CmdArgs[0].Key
			if d.Cmd == "node" {
				f.node(t, at, d.Input)
				return ""
			}
			r, err := ReadRing(t.Context(), f.connect, at, d.HasArg("estimates"))
			if open := f.open.Load(); open != 0 {
				t.Errorf("%d sessions stay open", open)
			}
			if err != nil {
				return err.Error() + "\n"
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			out.WriteString(strings.NewReplacer(`{"id"`, "\n"+` {"id"`, `{"name"`, "\n"+` {"name"`).Replace(string(text)) + "\n")
			for _, n := range r.Notes {
				fmt.Fprintln(&out, "note:", n)
			}
			return out.String()
		})
	})
}
