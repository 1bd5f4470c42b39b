package client

import (
	"net"
	"syscall"
)

// tryWrite makes a function that writes what a connection takes without making
// its caller wait. A write from here costs half of one that another goroutine
// has to be woken for; but a reader that waited with its answers unread, while
// the node waits for them to be read, would wait for ever. It writes nothing to
// connections that are no sockets. One caller at a time.
func tryWrite(nc net.Conn) func([]byte) int {
	var raw syscall.RawConn
	if s, ok := nc.(syscall.Conn); ok {
		raw, _ = s.SyscallConn() // nil when it is closed: the next write will tell
	}
	if raw == nil {
		return func([]byte) int { return 0 }
	}
	var out []byte
	var n int
	once := func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), out) // an error is met again by who writes the rest
		return true
	}
	return func(b []byte) int {
		out, n = b, 0
		if err := raw.Write(once); err != nil {
			return 0
		}
		out = nil
		return max(n, 0)
	}
}
