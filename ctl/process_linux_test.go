package ctl

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Two addresses of one machine have each a port of the same number: only the
// one that is in the way is named.
func TestPortOwnerByAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	defer ln.Close()
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	me := " by process " + strconv.Itoa(os.Getpid()) + ": "
	for address, mine := range map[string]bool{"127.0.0.2": true, "0.0.0.0": true, "::": true, "127.0.0.3": false, "::1": false} {
		if got := portOwner(netip.AddrPortFrom(netip.MustParseAddr(address), at.Port())); strings.HasPrefix(got, me) != mine {
			t.Errorf("%s: owner %q", address, got)
		}
	}
}

func TestRunsSince(t *testing.T) {
	stat := func(state, threads string) []byte {
		return []byte("7 (a b) c) " + state + " 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 " + threads + " 0 4711 0 0")
	}
	for _, tt := range []struct {
		state, threads string
		want           bool
	}{{"S", "1", true}, {"R", "9", true}, {"Z", "1", false}, {"Z", "2", true}, {"Z", "12", true}, {"Z", "0", false}, {"X", "2", false}} {
		start, ok := runsSince(stat(tt.state, tt.threads))
		if ok != tt.want || ok && start != "4711" {
			t.Errorf("state %s, %s threads: %q, %v", tt.state, tt.threads, start, ok)
		}
	}
	if _, ok := runsSince([]byte("7 (cut")); ok {
		t.Error("a torn line is a process")
	}
}

func TestSocketAddress(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the texts below are of a little-endian machine")
	}
	for text, want := range map[string]string{
		"0100007F:2352":                         "127.0.0.1:9042",
		"00000000000000000000000001000000:1C1F": "[::1]:7199",
		"0000000000000000FFFF00000109007F:2352": "127.0.9.1:9042",
		"00000000:0000":                         "0.0.0.0:0",
	} {
		if got, err := socketAddress(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0100007F", "0100:1", "x100007F:2352", "0100007F:12352"} {
		if got, err := socketAddress(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
