// Package snitch tells where this node stands, datacenter and rack, and which
// replicas are the nearest.
//
// Nouns: Snitch (the place of this node, found once at its start), properties
// (the files that say it), Dynamic (how fast each replica answered lately).
//
// agent makes a Snitch before it registers the node, and hands Dynamic to coord.
// A Snitch never speaks of other nodes: their places stand in the metadata.
package snitch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"helenus"
	"helenus/internal/ring"
)

// The snitches there are, by the short names of Cassandra's classes.
const (
	Simple         = "SimpleSnitch"
	Gossiping      = "GossipingPropertyFileSnitch"
	PropertyFile   = "PropertyFileSnitch"
	EC2            = "Ec2Snitch"
	EC2MultiRegion = "Ec2MultiRegionSnitch"
)

// Names lists them.
func Names() []string { return []string{Simple, Gossiping, PropertyFile, EC2, EC2MultiRegion} }

// The place of a node whose snitch does not ask.
const (
	DefaultDatacenter helenus.Datacenter = "datacenter1"
	DefaultRack       helenus.Rack       = "rack1"
)

// classPrefix stands before the names in Cassandra's configuration, if anything.
const classPrefix = "org.apache.cassandra.locator."

// Options are what a snitch may have to know.
type Options struct {
	Name string // endpoint_snitch
	// Datacenter and Rack are the settings of these names: both or neither. They
	// stand in for cassandra-rackdc.properties.
	Datacenter, Rack string
	// ReadFile reads a file beside the configuration; its error for one that is
	// not there is fs.ErrNotExist.
	ReadFile  func(name string) ([]byte, error)
	Broadcast netip.Addr // this node as others reach it: what PropertyFileSnitch looks up
	// Dial reaches the metadata service of the cloud; nil: the machine's network.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Snitch is where this node stands.
type Snitch struct {
	name        string
	datacenter  helenus.Datacenter
	rack        helenus.Rack
	broadcast   netip.Addr
	preferLocal bool
	legacy      bool // of Ec2Snitch's two ways to name
	notes       []string
}

// New finds the place of this node. The context ends waiting for a cloud.
func New(ctx context.Context, o Options) (*Snitch, error) {
	s := &Snitch{name: strings.TrimPrefix(o.Name, classPrefix)}
	find := map[string]func(context.Context, *Options) error{Simple: s.simple, Gossiping: s.gossiping, PropertyFile: s.propertyFile,
		EC2: s.ec2, EC2MultiRegion: s.ec2}[s.name]
	switch {
	case find == nil:
		return nil, fmt.Errorf("snitch: endpoint_snitch %q is not supported; there are %s", o.Name, strings.Join(Names(), ", "))
	case o.Datacenter == "" && o.Rack == "":
	case o.Datacenter == "" || o.Rack == "":
		return nil, fmt.Errorf("snitch: datacenter is %q and rack is %q: set both, or neither", o.Datacenter, o.Rack)
	case s.name == Simple || s.name == Gossiping:
		s.name, find = Gossiping, s.settings
	default:
		return nil, fmt.Errorf("snitch: datacenter and rack are set, and %s finds them itself: leave them out, or set endpoint_snitch to %s", s.name, Gossiping)
	}
	if err := find(ctx, &o); err != nil {
		return nil, err
	}
	if err := checkName(string(s.datacenter)); err != nil {
		return nil, fmt.Errorf("snitch: datacenter: %w", err)
	}
	if err := checkName(string(s.rack)); err != nil {
		return nil, fmt.Errorf("snitch: rack: %w", err)
	}
	return s, nil
}

// nameBytesMax bounds the name of a datacenter or a rack.
const nameBytesMax = 255

func checkName(s string) error {
	if len(s) > nameBytesMax {
		return fmt.Errorf("a name of %d bytes, more than %d", len(s), nameBytesMax)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%q has letters that cannot be printed", s)
	}
	return nil
}

// Name is the short class name.
func (s *Snitch) Name() string { return s.name }

// Place is where this node stands.
func (s *Snitch) Place() (helenus.Datacenter, helenus.Rack) { return s.datacenter, s.rack }

// Broadcast is the address that others are to use instead of the configured
// one; zero when the snitch does not know better.
func (s *Snitch) Broadcast() netip.Addr { return s.broadcast }

// PreferLocal tells that nodes of this datacenter are reached by the addresses
// they listen on, not by those they broadcast.
func (s *Snitch) PreferLocal() bool { return s.preferLocal }

// Notes are lines for the log: what was read and has no effect.
func (s *Snitch) Notes() []string { return s.notes }

// Check compares this node's place with the members' before it joins them: the
// two ways to name EC2's zones must not meet in one cluster.
func (s *Snitch) Check(members []*ring.Node) error {
	if s.name != EC2 && s.name != EC2MultiRegion {
		return nil
	}
	for _, n := range members {
		legacy := legacyRack(n.Rack)
		if s.legacy != legacy || !s.legacy && legacyDatacenter(n.Datacenter) {
			return fmt.Errorf("snitch: node %s is in datacenter %s, rack %s, and this one would be in %s, %s: it names them by another scheme; set %s in %s to %s",
				n.HostID, n.Datacenter, n.Rack, s.datacenter, s.rack, keyScheme, rackDCFile, map[bool]string{true: schemeStandard, false: schemeLegacy}[s.legacy])
		}
	}
	return nil
}

func (s *Snitch) simple(context.Context, *Options) error {
	s.datacenter, s.rack = DefaultDatacenter, DefaultRack
	return nil
}

func (s *Snitch) settings(_ context.Context, o *Options) error {
	s.datacenter, s.rack = helenus.Datacenter(o.Datacenter), helenus.Rack(o.Rack)
	return nil
}

// rackDCFile says the place of this node, and how EC2 is asked.
const rackDCFile = "cassandra-rackdc.properties"

// The keys of rackDCFile.
const (
	keyDC          = "dc"
	keyRack        = "rack"
	keyPreferLocal = "prefer_local"
	keySuffix      = "dc_suffix"
	keyScheme      = "ec2_naming_scheme"
	keyType        = "ec2_metadata_type"
	keyTTL         = "ec2_metadata_token_ttl_seconds"
	keyURL         = "ec2_metadata_url"
)

// rackDC reads rackDCFile for a snitch that heeds some of its keys.
func (s *Snitch) rackDC(o *Options, heeded ...string) (*properties, error) {
	p, err := readProperties(o.ReadFile, rackDCFile)
	if err != nil {
		return nil, err
	}
	known := []string{keyDC, keyRack, keyPreferLocal, keySuffix, keyScheme, keyType, keyTTL, keyURL}
	for _, e := range p.entries {
		switch {
		case !slices.Contains(known, e.key):
			return nil, p.errorAt(e.line, "unknown key %s; there are %s", e.key, strings.Join(known, ", "))
		case e.value == "" && e.key != keySuffix:
			return nil, p.errorAt(e.line, "%s has no value: give it one, or remove the line", e.key)
		case !slices.Contains(heeded, e.key):
			s.notes = append(s.notes, fmt.Sprintf("%s:%d: %s has no effect with %s", p.name, e.line, e.key, s.name))
		}
	}
	return p, nil
}

func (s *Snitch) gossiping(_ context.Context, o *Options) error {
	p, err := s.rackDC(o, keyDC, keyRack, keyPreferLocal)
	if err != nil {
		return err
	}
	if p.missing != nil {
		return fmt.Errorf("snitch: %s needs %s with dc= and rack= beside the configuration file, or the settings datacenter and rack: %w", s.name, rackDCFile, p.missing)
	}
	for _, key := range []string{keyDC, keyRack} {
		if p.get(key) == nil {
			return fmt.Errorf("snitch: %s has no %s=: %s needs both dc and rack", rackDCFile, key, s.name)
		}
	}
	dc, rack := p.get(keyDC), p.get(keyRack)
	s.datacenter, s.rack = helenus.Datacenter(dc.value), helenus.Rack(rack.value)
	if e := p.get(keyPreferLocal); e != nil {
		if s.preferLocal, err = strconv.ParseBool(strings.ToLower(e.value)); err != nil {
			return p.errorAt(e.line, "%s is %q, which is not true or false", e.key, e.value)
		}
	}
	return nil
}

// topologyFile says the places of all nodes.
const topologyFile = "cassandra-topology.properties"

// keyDefault is the place of whoever has no line of its own.
const keyDefault = "default"

func (s *Snitch) propertyFile(_ context.Context, o *Options) error {
	p, err := readProperties(o.ReadFile, topologyFile)
	if err != nil {
		return err
	}
	if p.missing != nil {
		return fmt.Errorf("snitch: %s needs %s with ADDRESS=DATACENTER:RACK beside the configuration file: %w", s.name, topologyFile, p.missing)
	}
	found := false
	for _, e := range p.entries { // every line is checked, not only ours
		own := false
		if e.key != keyDefault {
			a, err := netip.ParseAddr(strings.ReplaceAll(e.key, "/", ""))
			if err != nil {
				return p.errorAt(e.line, `%q is not an address; the colons of an IPv6 address are written \: and a host's name is not supported yet`, e.key)
			}
			own = a.Unmap() == o.Broadcast.Unmap()
		}
		dc, rack, _ := strings.Cut(e.value, ":")
		rack, _, _ = strings.Cut(rack, ":")
		dc, rack = strings.TrimSpace(dc), strings.TrimSpace(rack)
		if dc == "" || rack == "" {
			return p.errorAt(e.line, "%s is %q, which is not DATACENTER:RACK", e.key, e.value)
		}
		if own || e.key == keyDefault && !found {
			s.datacenter, s.rack = helenus.Datacenter(dc), helenus.Rack(rack)
		}
		found = found || own
	}
	if s.datacenter == "" {
		return fmt.Errorf("snitch: %s has neither a line %s=DATACENTER:RACK for this node's broadcast_address nor one of %s=", topologyFile,
			strings.ReplaceAll(o.Broadcast.String(), ":", `\:`), keyDefault)
	}
	return nil
}
