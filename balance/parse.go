package balance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
)

// RingSchema names the JSON form of a Ring.
const RingSchema = "helenus.ring/1"

type ringJSON struct {
	Schema        string         `json:"schema"`
	Circumference text           `json:"circumference,omitempty"`
	Min           text           `json:"min,omitempty"`
	Partitioner   string         `json:"partitioner,omitempty"`
	Nodes         []nodeJSON     `json:"nodes"`
	Keyspaces     []keyspaceJSON `json:"keyspaces,omitempty"`
}

type nodeJSON struct {
	ID       string `json:"id"`
	HostID   string `json:"host_id,omitempty"`
	DC       string `json:"dc,omitempty"`
	Rack     string `json:"rack,omitempty"`
	Weight   bare   `json:"weight,omitempty"`
	State    string `json:"state,omitempty"`
	Load     text   `json:"load_bytes,omitempty"`
	DiskFree text   `json:"disk_free_bytes,omitempty"`
	Tokens   []text `json:"tokens"`
	Token    text   `json:"token,omitempty"`
}

type keyspaceJSON struct {
	Name     string         `json:"name"`
	Strategy string         `json:"strategy"`
	RF       *int           `json:"rf,omitempty"`
	DCs      map[string]int `json:"dcs,omitempty"`
	PerToken Decimal        `json:"bytes_per_token,omitempty"`
	Density  [][2]text      `json:"density,omitempty"`
}

// bare is a Decimal that JSON carries as a number.
type bare Decimal

// MarshalJSON implements json.Marshaler.
func (b bare) MarshalJSON() ([]byte, error) { return []byte(b), nil }

// UnmarshalJSON takes a string or a number.
func (b *bare) UnmarshalJSON(data []byte) error { return (*Decimal)(b).UnmarshalJSON(data) }

// text is a JSON string or number, kept as written.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	s, err := stringOrNumber(b)
	*t = text(s)
	return err
}

// Parse reads a ring in JSON and checks it.
func Parse(data []byte) (*Ring, error) {
	var in ringJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // a free disk under another name would not be looked at
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("balance: ring JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("balance: ring JSON: something follows the ring")
	}
	if in.Schema != "" && in.Schema != RingSchema {
		return nil, fmt.Errorf("balance: ring JSON: schema is %q, not %q", in.Schema, RingSchema)
	}
	r, err := in.shape()
	if err != nil {
		return nil, err
	}
	for i := range in.Nodes {
		n, err := in.Nodes[i].node(r)
		if err != nil {
			return nil, fmt.Errorf("balance: node %s: %w", in.Nodes[i].ID, err)
		}
		r.Nodes = append(r.Nodes, n)
	}
	for i := range in.Keyspaces {
		k, err := in.Keyspaces[i].keyspace(r)
		if err != nil {
			return nil, fmt.Errorf("balance: keyspace %s: %w", in.Keyspaces[i].Name, err)
		}
		r.Keyspaces = append(r.Keyspaces, k)
	}
	r.everyDC()
	return r, r.Check()
}

// everyDC reads a NetworkTopologyStrategy with rf and no dcs as rf in each.
func (r *Ring) everyDC() {
	for i := range r.Keyspaces {
		k := &r.Keyspaces[i]
		if k.Strategy != network || len(k.DCs) > 0 || k.RF == 0 {
			continue
		}
		k.DCs = map[string]int{}
		for v := range r.Nodes {
			k.DCs[r.Nodes[v].DC] = k.RF
		}
		k.RF = 0
	}
}

func (in *ringJSON) shape() (*Ring, error) {
	if in.Circumference == "" && in.Min != "" {
		return nil, errors.New("balance: ring JSON: min is given without circumference")
	}
	if in.Circumference == "" {
		name := in.Partitioner
		if name == "" {
			name = murmur3
		}
		return NewRing(name)
	}
	r := &Ring{Partitioner: shortStrategy(in.Partitioner), Min: new(big.Int)}
	var err error
	if in.Min != "" {
		if r.Min, err = number("min", in.Min); err != nil {
			return nil, fmt.Errorf("balance: ring JSON: %w", err)
		}
	}
	if r.Circumference, err = number("circumference", in.Circumference); err != nil {
		return nil, fmt.Errorf("balance: ring JSON: %w", err)
	}
	if err := r.checkShape(); err != nil {
		return nil, err
	}
	if r.Partitioner == byteOrdered {
		whole, err := NewRing(byteOrdered)
		if err != nil || r.Min.Cmp(whole.Min) != 0 || r.Circumference.Cmp(whole.Circumference) != 0 {
			return nil, fmt.Errorf("balance: ring JSON: tokens of %s are the first %d bytes of keys: leave min and circumference out", byteOrdered, byteOrderedBytes)
		}
	}
	return r, nil
}

func number(what string, s text) (*big.Int, error) {
	n, ok := new(big.Int).SetString(string(s), 10)
	if !ok || len(s) > 45 {
		return nil, fmt.Errorf("%s %q is not a whole number", what, string(s))
	}
	return n, nil
}

func (in *nodeJSON) node(r *Ring) (n Node, err error) {
	n = Node{ID: in.ID, HostID: in.HostID, DC: in.DC, Rack: in.Rack, State: in.State}
	if n.Weight, err = ParseWeight(Decimal(in.Weight)); err != nil {
		return n, err
	}
	for _, f := range []struct {
		what string
		text text
		into **big.Int
	}{{"load_bytes", in.Load, &n.Load}, {"disk_free_bytes", in.DiskFree, &n.DiskFree}} {
		if f.text == "" || f.text == "?" {
			continue
		}
		if *f.into, err = number(f.what, f.text); err != nil {
			return n, err
		}
	}
	if in.Token != "" {
		in.Tokens = append(in.Tokens, in.Token)
	}
	for _, t := range in.Tokens {
		p, err := r.ParseToken(string(t))
		if err != nil {
			return n, err
		}
		n.Tokens = append(n.Tokens, p)
	}
	return n, nil
}

// ParseWeight reads a weight; "" is the ordinary one.
func ParseWeight(d Decimal) (Weight, error) {
	if d == "" {
		return WeightOne, nil
	}
	rat := d.rat()
	if rat == nil || rat.Sign() <= 0 || rat.Cmp(big.NewRat(1000, 1)) > 0 {
		return 0, fmt.Errorf("weight %q is not a number above 0 and up to 1000", string(d))
	}
	rat.Mul(rat, big.NewRat(int64(WeightOne), 1))
	w := new(big.Int).Quo(rat.Num(), rat.Denom()).Int64()
	return Weight(max(w, 1)), nil
}

func (in *keyspaceJSON) keyspace(r *Ring) (k Keyspace, err error) {
	k = Keyspace{Name: in.Name, Strategy: shortStrategy(in.Strategy), DCs: in.DCs, PerToken: in.PerToken}
	if in.RF != nil {
		k.RF = *in.RF
	}
	if k.Strategy == network && k.RF != 0 && len(k.DCs) > 0 {
		return k, fmt.Errorf("%s takes rf, for every datacenter, or dcs, not both", network)
	}
	for _, d := range in.Density {
		at, err := r.ParseToken(string(d[0]))
		if err != nil {
			return k, fmt.Errorf("density: %w", err)
		}
		if _, _, err := Decimal(d[1]).parse(); err != nil {
			return k, fmt.Errorf("density at %s: %w", d[0], err)
		}
		k.Density = append(k.Density, Density{at, Decimal(d[1])})
	}
	slices.SortStableFunc(k.Density, func(a, b Density) int { return a.After.cmp(b.After) })
	return k, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Ring) UnmarshalJSON(data []byte) error {
	parsed, err := Parse(data)
	if err == nil {
		*r = *parsed
	}
	return err
}

// MarshalJSON writes the helenus.ring/1 form.
func (r *Ring) MarshalJSON() ([]byte, error) {
	out := ringJSON{Schema: RingSchema, Circumference: text(r.Circumference.String()), Min: text(r.Min.String()),
		Partitioner: r.Partitioner, Nodes: []nodeJSON{}}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		j := nodeJSON{ID: n.ID, HostID: n.HostID, DC: n.DC, Rack: n.Rack, State: n.State, Weight: bare(n.Weight.decimal()), Tokens: []text{}}
		if n.Load != nil {
			j.Load = text(n.Load.String())
		}
		if n.DiskFree != nil {
			j.DiskFree = text(n.DiskFree.String())
		}
		for _, t := range n.Tokens {
			j.Tokens = append(j.Tokens, text(r.FormatToken(t)))
		}
		out.Nodes = append(out.Nodes, j)
	}
	for _, k := range r.Keyspaces {
		j := keyspaceJSON{Name: k.Name, Strategy: k.Strategy, DCs: k.DCs, PerToken: k.PerToken}
		if len(k.DCs) == 0 {
			rf := k.RF
			j.RF = &rf
		}
		for _, d := range k.Density {
			j.Density = append(j.Density, [2]text{text(r.FormatToken(d.After)), text(d.Factor)})
		}
		out.Keyspaces = append(out.Keyspaces, j)
	}
	return json.Marshal(out)
}

func (w Weight) decimal() Decimal {
	text := new(big.Rat).SetFrac64(int64(w.value()), int64(WeightOne)).FloatString(6)
	return Decimal(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}
