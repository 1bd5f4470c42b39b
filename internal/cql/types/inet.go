package types

import (
	"net/netip"
	"strconv"
	"strings"
)

// parseInet reads an address; never a host name, which would make a statement
// wait for a name server. As in Java an IPv4 address may have fewer parts, the
// last of which fills the rest: 10.1 is 10.0.0.1.
func parseInet(text string) ([]byte, error) {
	if text == "" {
		return []byte{}, nil
	}
	if b, ok := parseIPv4(text); ok {
		return b, nil
	}
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	a, err := netip.ParseAddr(bare)
	if err != nil || !a.Is6() || strings.Trim(a.Zone(), "0123456789") != "" {
		return nil, badValue("Unable to make inet address from '%s'", text)
	}
	return AppendInet(nil, a.WithZone("")), nil
}

func parseIPv4(text string) ([]byte, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return nil, false
	}
	var b []byte
	for i, p := range parts {
		size := 1
		if i == len(parts)-1 {
			size = 5 - len(parts)
		}
		u, err := strconv.ParseUint(p, 10, 8*size)
		if err != nil {
			return nil, false
		}
		for ; size > 0; size-- {
			b = append(b, byte(u>>(8*(size-1))))
		}
	}
	return b, true
}

// formatInet writes addresses as Java does: IPv6 without leaving zeros out.
func formatInet(v []byte) string {
	a, ok := netip.AddrFromSlice(v)
	if !ok {
		return ""
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	var b []byte
	for i := 0; i < 16; i += 2 {
		if i > 0 {
			b = append(b, ':')
		}
		b = strconv.AppendUint(b, uint64(v[i])<<8|uint64(v[i+1]), 16)
	}
	return string(b)
}
