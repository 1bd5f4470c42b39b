package ctl

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processStart is when a process began, in ticks since the machine did; with
// the boot's id no two processes share it. A zombie has ended.
func processStart(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// proc(5): the second field is a name in parentheses, which may hold anything;
	// the state is the third field, the start the 22nd.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", os.ErrProcessDone
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)) + "+" + fields[19], err
}

// portOwner names the process that listens on a TCP port.
func portOwner(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, port, inodes)
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
		words := strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		return fmt.Sprintf(" by process %s: %.120s", pid, words)
	}
	return " by a process of another user"
}

// listeners gathers the sockets of a table that listen on a port, as the links
// in /proc/PID/fd name them.
func listeners(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == listening {
			if _, err := strconv.ParseUint(fields[9], 10, 64); err == nil {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
	}
}
