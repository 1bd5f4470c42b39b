//go:build !linux

package ctl

import (
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// processStart is when a process began, as ps tells it.
func processStart(pid int) (string, error) {
	text, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if started := strings.TrimSpace(string(text)); err == nil && started != "" {
		return started, nil
	}
	return "", os.ErrProcessDone
}

// portOwner names nobody: there is no /proc to ask.
func portOwner(netip.AddrPort) string { return "" }
