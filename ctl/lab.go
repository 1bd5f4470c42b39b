package ctl

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lab is a folder with the nodes of a cluster, each in a folder of its own:
// node1, node2 and so on. In a lab from the time of one node it is in the lab's
// folder itself, and is node 1.
type lab struct{ dir string }

// labNodesMax bounds a lab: the ports of one address do not meet up to there.
const labNodesMax = 99

// flag is what points a command at this lab.
func (l lab) flag() string {
	if l.dir == labDir {
		return ""
	}
	return " --dir " + l.dir
}

// node is the node of a number, whether it is there or not.
func (l lab) node(number int) labNode {
	if number == 1 && exists(labNode{dir: l.dir}.configFile()) {
		return labNode{1, l.dir}
	}
	return labNode{number, filepath.Join(l.dir, fmt.Sprintf("node%d", number))}
}

// keyFile has the key that encrypts the lab's gossip; a lab from before there
// were keys has none.
func (l lab) keyFile() string { return filepath.Join(l.dir, "gossip.key") }

// makeKey writes a new key, unless there is one.
func (l lab) makeKey() error {
	if exists(l.keyFile()) {
		return nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	part := l.keyFile() + ".new"
	err := os.WriteFile(part, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(part, l.keyFile())
	}
	if err != nil {
		return fmt.Errorf("make a key for gossip: %w", err)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// nodes are the nodes that are there: those with a configuration.
func (l lab) nodes() ([]labNode, error) {
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, blocked("look into the lab: %v", err)
	}
	last := 0
	if exists(l.node(1).configFile()) {
		last = 1
	}
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "node")
		number, err := strconv.Atoi(text)
		if ok && err == nil && number > last && exists(l.node(number).configFile()) {
			last = number
		}
	}
	nodes := make([]labNode, last)
	for i := range nodes {
		nodes[i] = l.node(i + 1)
		if !exists(nodes[i].configFile()) {
			return nil, blocked("half a lab: %s is missing, and %s is there; put it back, or remove %s to begin anew",
				nodes[i].configFile(), l.node(last).dir, l.dir)
		}
	}
	return nodes, nil
}

// open makes the folder, and takes the lock that keeps two commands apart.
func (l lab) open() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, blocked("make the lab: %v", err)
	}
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, blocked("lock the lab: %v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, blocked("another ctl is at work in %s", l.dir)
	}
	return func() { f.Close() }, nil
}

// place is where a node of a lab stands, which it keeps for ever.
type place struct{ datacenter, rack string }

// placeOf spreads nodes: over the datacenters first, then over the racks of
// each. It goes by the number only, so that a lab that grows stays spread.
func placeOf(number, datacenters, racks int) place {
	i := number - 1
	return place{fmt.Sprintf("datacenter%d", i%datacenters+1), fmt.Sprintf("rack%d", i/datacenters%racks+1)}
}
