// Package clients runs other people's clients, unchanged and with their
// default settings, against a node: the Python driver, the Go driver and cqlsh.
//
// Its nouns are suite (what one client must find, in a folder of its own),
// story (what is typed into cqlsh and what it answers) and node (an agent of
// this source, or the one that HELENUS_CQL names). Only its own tests are
// here, and nobody imports it; it never talks to a node other than through a
// client. docs/clients.md says how to run it.
package clients
