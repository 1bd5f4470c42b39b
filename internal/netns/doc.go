// Package netns gives tests of real processes a network of their own, in which
// packets can be lost: network namespaces joined by a bridge, on Linux, for who
// may make them (root).
//
// Its nouns are Network and Host (a namespace with one address). Tests of
// cmd/helenus-agent start processes in hosts, dial from them, and cut one off
// from another, both ways or one. It never touches the network of the machine,
// leaves nothing behind when the test's process ends, however that happens, and
// runs no program of its own.
package netns
