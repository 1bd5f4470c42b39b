package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"helenus/internal/yaml"
)

// setting is one name with its default and the way to read it into a field.
type setting struct {
	name     string
	fallback string
	old      []oldName
	set      func(value) error
}

// oldName is a name of a release before 4.1, when the unit stood in the name.
type oldName struct{ name, unit string }

func (s *setting) was(name, unit string) *setting {
	s.old = append(s.old, oldName{name, unit})
	return s
}

// value is what a file, a variable or a flag says.
type value struct {
	node yaml.Node
	text string
	unit string // the unit of an old name
}

// scalar is the value as one text.
func (v value) scalar() (string, error) {
	if v.node.IsNull() {
		return v.text, nil
	}
	s, ok := v.node.Scalar()
	if !ok {
		return "", fmt.Errorf("want one value")
	}
	return s, nil
}

func text(name string, field *string, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) (err error) {
		*field, err = v.scalar()
		return err
	}}
}

func boolean(name string, field *bool, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) error {
		s, err := v.scalar()
		if err != nil {
			return err
		}
		switch strings.ToLower(s) {
		case "true", "yes", "on":
			*field = true
		case "false", "no", "off":
			*field = false
		default:
			return fmt.Errorf("%q is not true or false", s)
		}
		return nil
	}}
}

func number(name string, field *int, fallback string, least, most int) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) error {
		s, err := v.scalar()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a whole number from %d to %d", s, least, most)
		}
		*field = n
		return nil
	}}
}

// decimal is a number with a fraction.
func decimal(name string, field *float64, fallback string, least, most float64) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) error {
		s, err := v.scalar()
		if err != nil {
			return err
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= least && n <= most) {
			return fmt.Errorf("%q is not a number from %v to %v", s, least, most)
		}
		*field = n
		return nil
	}}
}

// auto lets a number or a size be left to the room that uses it: "auto" is 0.
func auto(s *setting) *setting {
	set := s.set
	s.set = func(v value) error {
		if t, err := v.scalar(); err == nil && (t == "auto" || t == "") {
			return nil
		}
		return set(v)
	}
	return s
}

func enum(name string, field *string, values ...string) *setting {
	return &setting{name: name, fallback: values[0], set: func(v value) error {
		s, err := v.scalar()
		if err != nil {
			return err
		}
		for _, known := range values {
			if strings.EqualFold(s, known) {
				*field = known
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", s, strings.Join(values, ", "))
	}}
}

// class reads a Java class name, with or without its package, as a text or
// under class_name; what is kept is the bare name.
func class(name string, field *string, values ...string) *setting {
	return &setting{name: name, fallback: values[0], set: func(v value) error {
		s, err := className(v)
		if err != nil {
			return err
		}
		for _, known := range values {
			if s == known {
				*field = s
				return nil
			}
		}
		return fmt.Errorf("not supported yet: %s; supported: %s", s, strings.Join(values, ", "))
	}}
}

func className(v value) (string, error) {
	s, err := v.scalar()
	if v.node.IsMapping() {
		s, err = under(v.node, "class_name")
	}
	return s[strings.LastIndexByte(s, '.')+1:], err
}

// under is the text of one key of a mapping.
func under(n yaml.Node, key string) (string, error) {
	entries, err := n.Entries()
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Key == key {
			return value{node: e.Value}.scalar()
		}
	}
	return "", nil
}

// only takes a single value, or nothing at all.
func only(name, allowed string) *setting {
	return &setting{name: name, fallback: allowed, set: func(v value) error {
		s, err := className(v)
		if err == nil && s != "" && s != allowed {
			err = fmt.Errorf("not supported yet: %s", s)
		}
		return err
	}}
}

// onlyUnder takes a mapping in which one key has its harmless value.
func onlyUnder(name, key, allowed string) *setting {
	return &setting{name: name, fallback: "", set: func(v value) error {
		if v.node.IsNull() {
			return nil
		}
		s, err := under(v.node, key)
		if err == nil && s != "" && s != allowed {
			err = fmt.Errorf("not supported yet: %s: %s", key, s)
		}
		return err
	}}
}

func list(name string, field *[]string, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) error {
		texts, err := v.list()
		if err == nil && len(texts) == 0 {
			err = fmt.Errorf("names nothing")
		}
		*field = texts
		return err
	}}
}

// commaList is a list in one text, as initial_token has it.
func commaList(name string, field *[]string) *setting {
	return &setting{name: name, set: func(v value) (err error) {
		*field, err = v.list()
		return err
	}}
}

// list reads a sequence, or one text with commas.
func (v value) list() ([]string, error) {
	if !v.node.IsSequence() {
		s, err := v.scalar()
		return commas(s), err
	}
	var texts []string
	for _, item := range v.node.Items() {
		s, err := value{node: item}.scalar()
		if err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	return texts, nil
}

func commas(s string) []string {
	var parts []string
	for _, p := range strings.Split(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// seeds reads seed_provider: a list of one class with parameters, of which
// "seeds" is a text with commas. A plain text with commas will do as well.
func seeds(field *[]string) *setting {
	return &setting{name: "seed_provider", fallback: "", set: func(v value) error {
		s, err := v.scalar()
		for _, provider := range v.node.Items() {
			if !provider.IsMapping() {
				continue
			}
			if s, err = seedsOf(provider); err != nil {
				return err
			}
		}
		*field = commas(s)
		return err
	}}
}

func seedsOf(provider yaml.Node) (string, error) {
	if s, err := className(value{node: provider}); err != nil || s != "SimpleSeedProvider" {
		return "", fmt.Errorf("not supported yet: %s; supported: SimpleSeedProvider", s)
	}
	entries, err := provider.Entries()
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Key != "parameters" {
			continue
		}
		for _, p := range e.Value.Items() {
			if s, err := under(p, "seeds"); err != nil || s != "" {
				return s, err
			}
		}
	}
	return "", fmt.Errorf("names no seeds")
}

type unit struct {
	name  string
	scale int64
}

// The units of cassandra.yaml since 4.1. A bare number is refused there too.
var (
	durationUnits = []unit{
		{"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)}, {"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)}, {"us", int64(time.Microsecond)}, {"µs", int64(time.Microsecond)}, {"ns", 1},
	}
	sizeUnits = []unit{{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}
	rateUnits = []unit{{"B/s", 1}, {"KiB/s", 1 << 10}, {"MiB/s", 1 << 20}}
)

func duration(name string, field *time.Duration, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) error {
		n, err := v.measure(durationUnits)
		*field = time.Duration(n)
		return err
	}}
}

func size(name string, field *int64, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) (err error) {
		*field, err = v.measure(sizeUnits)
		return err
	}}
}

func rate(name string, field *int64, fallback string) *setting {
	return &setting{name: name, fallback: fallback, set: func(v value) (err error) {
		*field, err = v.measure(rateUnits)
		return err
	}}
}

// measure reads a whole number with one of the units.
func (v value) measure(units []unit) (int64, error) {
	s, err := v.scalar()
	if err != nil {
		return 0, err
	}
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ/ ")
	name := strings.TrimSpace(s[len(digits):]) + v.unit
	n, err := strconv.ParseInt(digits, 10, 64)
	var names []string
	for _, u := range units {
		names = append(names, u.name)
		if u.name != name || err != nil || n < 0 {
			continue
		}
		if n > math.MaxInt64/u.scale {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return n * u.scale, nil
	}
	if v.unit != "" {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return 0, fmt.Errorf("%q is not a whole number with one of the units %s", s, strings.Join(names, ", "))
}
