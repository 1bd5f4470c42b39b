// Package clients runs other people's clients, unchanged and with their
// default settings, against a node or a ring: the Python driver, the Go driver
// and cqlsh.
//
// Its nouns are suite (what one client must find, in a folder of its own),
// story (what is typed into cqlsh and what it answers), node (an agent of this
// source, or the one that HELENUS_CQL names), ring (several agents), shell (a
// driver that does what it is told) and ear (who hears a node's events). Only
// its own tests are here, and nobody imports it; it never talks to a node other
// than through a client. docs/clients.md says how to run it.
package clients
