package snitch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"helenus"
	"helenus/cloud"
)

// The ways to name a zone, for ec2_naming_scheme.
const (
	schemeStandard = "standard" // us-east-1a: datacenter us-east-1, rack us-east-1a
	schemeLegacy   = "legacy"   // us-east-1a: datacenter us-east, rack 1a; the way before Cassandra 4.0
)

// The bounds of ec2_metadata_token_ttl_seconds.
const (
	tokenSecondsMin = 30
	tokenSecondsMax = 21600
)

func (s *Snitch) ec2(ctx context.Context, o *Options) error {
	p, err := s.rackDC(o, keySuffix, keyScheme, keyType, keyTTL, keyURL)
	if err != nil {
		return err
	}
	suffix := ""
	if e := p.get(keySuffix); e != nil {
		suffix = e.value
	}
	ask := cloud.InstanceOptions{Dial: o.Dial}
	if err := s.ec2Keys(p, &ask); err != nil {
		return err
	}
	instance, err := cloud.NewInstance(ask)
	if err != nil {
		return fmt.Errorf("snitch: %s: %w", rackDCFile, err)
	}
	zone, err := instance.Zone(ctx)
	if err != nil {
		return fmt.Errorf("snitch: %s cannot learn this node's zone; is this an EC2 instance, and its metadata service (version 2) switched on? %w", s.name, err)
	}
	region, rack, err := placeOfZone(zone, s.legacy)
	if err != nil {
		return fmt.Errorf("snitch: %s: %w", s.name, err)
	}
	s.datacenter, s.rack = helenus.Datacenter(region+suffix), helenus.Rack(rack)
	if s.name == EC2MultiRegion {
		s.preferLocal = true
		s.broadcast, err = instance.PublicIPv4(ctx)
		if errors.Is(err, cloud.ErrNotThere) {
			return fmt.Errorf("snitch: %s needs a public IPv4 address; give this instance one, or use %s: %w", s.name, EC2, err)
		}
		if err != nil {
			return fmt.Errorf("snitch: %s cannot learn this node's public address: %w", s.name, err)
		}
	}
	return nil
}

// ec2Keys reads how zones are named and how the metadata service is asked.
func (s *Snitch) ec2Keys(p *properties, ask *cloud.InstanceOptions) error {
	oneOf := func(key, first, second string) (isSecond bool, err error) {
		e := p.get(key)
		switch {
		case e == nil || strings.EqualFold(e.value, first):
			return false, nil
		case strings.EqualFold(e.value, second):
			return true, nil
		}
		return false, p.errorAt(e.line, "%s is %q, which is neither %s nor %s", key, e.value, first, second)
	}
	var err error
	if s.legacy, err = oneOf(keyScheme, schemeStandard, schemeLegacy); err != nil {
		return err
	}
	if ask.Tokenless, err = oneOf(keyType, "v2", "v1"); err != nil {
		return err
	}
	if e := p.get(keyTTL); e != nil { // the SDK has a time of its own; a mistake is told all the same
		if n, err := strconv.Atoi(e.value); err != nil || n < tokenSecondsMin || n > tokenSecondsMax {
			return p.errorAt(e.line, "%s is %q, which is not a whole number from %d to %d", e.key, e.value, tokenSecondsMin, tokenSecondsMax)
		}
	}
	if e := p.get(keyURL); e != nil {
		ask.URL = e.value
	}
	return nil
}

// zoneForm is what every zone looks like: words, one of which ends with the
// region's number, and a letter. Local zones have more of them.
var zoneForm = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*-[0-9]+[a-z]+$`)

// placeOfZone names datacenter and rack by a zone, as Cassandra does.
func placeOfZone(zone string, legacy bool) (datacenter, rack string, err error) {
	if !zoneForm.MatchString(zone) {
		return "", "", fmt.Errorf("the metadata service says that this node is in zone %q, which is not one as us-east-1a", zone)
	}
	if !legacy {
		return strings.TrimRight(zone, "abcdefghijklmnopqrstuvwxyz"), zone, nil
	}
	// A region's number is left out if it is 1, as it was when there were no others.
	rack = zone[strings.LastIndexByte(zone, '-')+1:]
	datacenter = zone[:len(zone)-1]
	if strings.HasSuffix(datacenter, "1") {
		datacenter = zone[:len(zone)-len("-1a")]
	}
	return datacenter, rack, nil
}

var (
	legacyDatacenterForm = regexp.MustCompile(`^[a-z]+-[a-z]+$`)
	legacyRackForm       = regexp.MustCompile(`^[0-9][a-z]$`)
)

// legacyDatacenter tells a name that only the legacy scheme gives. Most of its
// names are the other's too.
func legacyDatacenter(dc helenus.Datacenter) bool {
	return legacyDatacenterForm.MatchString(string(dc))
}

func legacyRack(rack helenus.Rack) bool { return legacyRackForm.MatchString(string(rack)) }
