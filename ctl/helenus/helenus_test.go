package helenus

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"helenus/ctl/node"
	"helenus/internal/report"
)

// answering makes a client of a server that always answers so.
func answering(t *testing.T, code int, text string) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return New(strings.TrimPrefix(s.URL, "http://"))
}

func TestErrors(t *testing.T) {
	_, err := answering(t, 404, `{"error": {"kind": "not_found", "message": "no keyspace x"}}`).Status(context.Background(), "x")
	if report.KindOf(err) != report.NotFound || err.Error() != "no keyspace x" {
		t.Errorf("a refusal: %v", err)
	}
	endless := answering(t, 200, strings.Repeat(" ", 100))
	endless.bytesMax = 99
	for name, c := range map[string]*Client{
		"another server":    answering(t, 404, "<html>\nnothing here"),
		"a broken answer":   answering(t, 200, "{"),
		"a redirection":     answering(t, 302, ""),
		"an empty refusal":  answering(t, 500, "{}"),
		"an endless answer": endless,
	} {
		_, err := c.Info(context.Background())
		var told *report.Error
		if err == nil || errors.As(err, &told) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	_, err = New(address).Version(context.Background())
	var unreachable *node.Unreachable
	if !errors.As(err, &unreachable) || unreachable.Address != address {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New(address).Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
