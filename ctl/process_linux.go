package ctl

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processStart is when a process began, in ticks since the machine did; with
// the boot's id no two processes share it.
func processStart(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	start, ok := runsSince(text)
	if !ok {
		return "", os.ErrProcessDone
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)) + "+" + start, err
}

// runsSince reads /proc/PID/stat. A zombie has ended when it is its only
// thread: before that others may hold its ports.
func runsSince(stat []byte) (start string, ok bool) {
	// proc(5): the second field is a name in parentheses, which may hold anything;
	// the state is the third field, the number of threads the 20th, the start the
	// 22nd.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "X" || fields[0] == "Z" && (fields[17] == "0" || fields[17] == "1") {
		return "", false
	}
	return fields[19], true
}

// portOwner names the process that listens where at wants to.
func portOwner(at netip.AddrPort) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, at, inodes)
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil || len(inodes) == 0 {
		return ""
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		command, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil {
			continue
		}
		words := strings.Join(strings.Fields(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))), " ")
		return fmt.Sprintf(" by process %s: %.120s", pid, words)
	}
	return " by a process of another user"
}

// listeners gathers the sockets of a table that stand in the way of at, as the
// links in /proc/PID/fd name them.
func listeners(table string, at netip.AddrPort, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		local, err := socketAddress(fields[1])
		if err != nil || local.Port() != at.Port() || !sameAddress(local.Addr(), at.Addr()) {
			continue
		}
		if _, err := strconv.ParseUint(fields[9], 10, 64); err == nil {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
}

// sameAddress tells whether sockets at both addresses get into each other's
// way; one that is not specified is all of them.
func sameAddress(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// socketAddress reads "0100007F:2352": proc(5) writes each word of an address
// as a number of the machine, and the port as one of the network.
func socketAddress(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address", text)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	ip, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), err
}
