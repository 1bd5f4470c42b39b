package cassandra

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"helenus/balance"
)

// keyspaces reads how data is replicated. Cassandra's own keyspaces hold next
// to nothing; they count only where there is nothing else.
func (r *reader) keyspaces(ctx context.Context) error {
	rows, err := r.session.Rows(ctx, "SELECT keyspace_name, replication FROM system_schema.keyspaces")
	if err != nil {
		return fmt.Errorf("read system_schema.keyspaces: %w", err)
	}
	for _, row := range rows {
		name := text(row["keyspace_name"])
		if name == "system" || strings.HasPrefix(name, "system_") || strings.HasPrefix(name, "dse_") {
			continue
		}
		k, err := Keyspace(name, optionsOf(row["replication"]))
		if err != nil {
			return err
		}
		if k.RF > 0 || len(k.DCs) > 0 {
			r.ring.Keyspaces = append(r.ring.Keyspaces, k)
		}
	}
	slices.SortFunc(r.ring.Keyspaces, func(a, b balance.Keyspace) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func optionsOf(v any) map[string]string {
	out := map[string]string{}
	m, _ := v.(map[any]any)
	for k, v := range m {
		out[text(k)] = text(v)
	}
	return out
}

// Keyspace understands a keyspace's replication options. One that is kept on
// each node alone has neither RF nor DCs.
func Keyspace(name string, options map[string]string) (balance.Keyspace, error) {
	class := options["class"]
	k := balance.Keyspace{Name: name, Strategy: class[strings.LastIndexByte(class, '.')+1:]}
	for option, value := range options {
		if option == "class" || k.Strategy == "LocalStrategy" {
			continue
		}
		n, err := strconv.Atoi(value)
		switch {
		case strings.Contains(value, "/"):
			return k, fmt.Errorf("keyspace %s: transient replication (%s: %s) is not supported", name, option, value)
		case err != nil:
			return k, fmt.Errorf("keyspace %s: replication option %s is %q, not a number", name, option, value)
		case k.Strategy == "NetworkTopologyStrategy":
			if k.DCs == nil {
				k.DCs = map[string]int{}
			}
			k.DCs[option] = n
		default:
			k.RF = n
		}
	}
	switch k.Strategy {
	case "SimpleStrategy", "NetworkTopologyStrategy", "LocalStrategy":
		return k, nil
	}
	return k, fmt.Errorf("keyspace %s: replication by %s is not supported", name, class)
}

// measured is how many bytes lie in a range, of one replica.
type measured struct {
	start, end string
	bytes      float64
}

// estimates turns the sizes of the nodes' primary ranges into densities.
func (r *reader) estimates(answers []answer) {
	sizes, disks := map[string][]measured{}, map[string]usage{}
	whole := true
	for i, a := range answers {
		if a.err != nil {
			whole = false
			r.note("%s does not tell its sizes, its ranges count as the mean: %v", r.peers[i].node.ID, a.err)
		}
		for name, more := range a.sizes {
			sizes[name] = append(sizes[name], more...)
		}
		for name, more := range a.disks {
			disks[name] = usage{disks[name].mib + more.mib, disks[name].tables + more.tables}
		}
	}
	known, scaled := false, true
	for i := range r.ring.Keyspaces {
		k := &r.ring.Keyspaces[i]
		total := r.setDensity(k, sizes[k.Name])
		known = known || total > 0
		if total > 0 {
			r.hot(k, total, answers)
			scaled = whole && scale(k, total, disks[k.Name]) && scaled
		}
	}
	for i := range r.ring.Keyspaces {
		if k := &r.ring.Keyspaces[i]; known && k.PerToken == "" {
			k.PerToken = "0" // no estimate of it while others have some: it is empty
		}
	}
	switch {
	case known && scaled:
		r.note("bytes are what lies on the disks, spread as the nodes estimate their ranges")
	case known:
		r.note("bytes are the nodes' estimates, before compression: compressed tables stream less")
	default:
		r.note("no node has an estimate of its sizes yet (after a flush, nodetool refreshsizeestimates makes them)")
	}
}

// heavy is the largest partition that a node knows of, or the mean of its largest.
type heavy struct {
	table string
	bytes float64
}

func (a *answer) weigh(row Row, bytes float64) {
	if name := text(row["keyspace_name"]); bytes > a.heavy[name].bytes {
		a.heavy[name] = heavy{text(row["table_name"]), bytes}
	}
}

// hot looks for a partition that no ring divides: it weighs more than the ideal
// share of a node. total is one replica's bytes, before compression like those of
// partitions.
func (r *reader) hot(k *balance.Keyspace, total float64, answers []answer) {
	nodes := 0 // that share, in the datacenter where there are most of them
	in := map[string]int{}
	for _, p := range r.peers {
		in[p.node.DC]++
		if k.RF > 0 && k.RF < len(r.peers) {
			nodes = len(r.peers)
		}
	}
	for dc, rf := range k.DCs {
		if rf > 0 && rf < in[dc] {
			nodes = max(nodes, in[dc])
		}
	}
	most, on := heavy{}, ""
	for i, a := range answers {
		if h := a.heavy[k.Name]; h.bytes > most.bytes {
			most, on = h, r.peers[i].node.ID
		}
	}
	if share := total / float64(max(nodes, 1)); nodes > 0 && most.bytes > share {
		r.note("a partition of table %s.%s on %s holds about %.0f bytes, more than the ideal share of a node, %.0f: no ring divides it", k.Name, most.table, on, most.bytes, share)
	}
}

// usage is what a keyspace's tables take on all disks, in whole MiB each.
type usage struct{ mib, tables float64 }

// usageMin is how many MiB tables must take on average for the rounding not to
// matter.
const usageMin = 32

// scale turns estimates, which know nothing of compression and are made of
// coarse histograms, into bytes on disk; false if the disks cannot tell.
func scale(k *balance.Keyspace, total float64, disk usage) bool {
	copies := k.RF
	for _, rf := range k.DCs {
		copies += rf
	}
	if disk.tables == 0 || disk.mib < usageMin*disk.tables || copies == 0 {
		return false
	}
	k.PerToken = Decimal(disk.mib * (1 << 20) / (total * float64(copies)))
	return true
}

// estimates asks one node.
func (a *answer) estimates(ctx context.Context, s Session) error {
	a.sizes, a.disks, a.heavy = map[string][]measured{}, map[string]usage{}, map[string]heavy{}
	rows, err := s.Rows(ctx, "SELECT * FROM system.table_estimates")
	if err != nil {
		if rows, err = s.Rows(ctx, "SELECT * FROM system.size_estimates"); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if kind, ok := row["range_type"]; ok && kind != "primary" {
			continue
		}
		mean, _ := row["mean_partition_size"].(int64)
		count, _ := row["partitions_count"].(int64)
		name := text(row["keyspace_name"])
		if count > 0 {
			a.weigh(row, float64(mean))
		}
		a.sizes[name] = append(a.sizes[name], measured{text(row["range_start"]), text(row["range_end"]), float64(mean) * float64(count)})
	}
	// Cassandra 3 has neither this table nor the next: estimates must do.
	if largest, err := s.Rows(ctx, "SELECT * FROM system_views.max_partition_size"); err == nil {
		for _, row := range largest {
			mib, _ := row["mebibytes"].(int64)
			a.weigh(row, float64(mib-1)*(1<<20)) // it is rounded up
		}
	}
	if usages, err := s.Rows(ctx, "SELECT * FROM system_views.disk_usage"); err == nil {
		for _, row := range usages {
			mib, _ := row["mebibytes"].(int64)
			name := text(row["keyspace_name"])
			if mib > 0 {
				a.disks[name] = usage{a.disks[name].mib + float64(mib), a.disks[name].tables + 1}
			}
		}
	}
	return nil
}

// densityFloor is, in parts of the mean, what an empty range counts: nothing at
// all would leave no room to put a token in.
const densityFloor = 1e-6

// stretch is a range with what all tables of a keyspace hold in it.
type stretch struct {
	start, width *big.Int // from the ring's beginning
	bytes        float64
}

// stretches adds up the tables.
func (r *reader) stretches(keyspace string, sizes []measured) []*stretch {
	byStart := map[string]*stretch{}
	var out []*stretch
	for _, m := range sizes {
		s := byStart[m.start]
		if s == nil {
			start, ok1 := r.place(m.start)
			end, ok2 := r.place(m.end)
			if !ok1 || !ok2 {
				r.note("keyspace %s: estimates of ranges like (%s, %s] are not understood", keyspace, m.start, m.end)
				return nil
			}
			width := end.Sub(end, start)
			if width.Sign() <= 0 {
				width.Add(width, r.ring.Circumference)
			}
			s = &stretch{start, width, 0}
			byStart[m.start] = s
			out = append(out, s)
		}
		s.bytes += m.bytes
	}
	slices.SortFunc(out, func(a, b *stretch) int { return a.start.Cmp(b.start) })
	return out
}

// setDensity writes sizes down as bytes per token, and tells their sum. What
// nobody told of counts as the mean.
func (r *reader) setDensity(k *balance.Keyspace, sizes []measured) float64 {
	all := r.stretches(k.Name, sizes)
	total, width := 0.0, 0.0
	for _, s := range all {
		total += s.bytes
		width += float(s.width)
	}
	if total == 0 {
		return 0
	}
	mean := total / width
	k.PerToken = "1"
	for i, s := range all {
		k.Density = append(k.Density, r.density(s.start, max(s.bytes/float(s.width), mean*densityFloor)))
		toNext := new(big.Int).Sub(all[(i+1)%len(all)].start, s.start)
		if toNext.Sign() <= 0 {
			toNext.Add(toNext, r.ring.Circumference)
		}
		if s.width.Cmp(toNext) < 0 {
			end := new(big.Int).Add(s.start, s.width)
			k.Density = append(k.Density, r.density(end.Mod(end, r.ring.Circumference), mean))
		}
	}
	slices.SortFunc(k.Density, func(a, b balance.Density) int { return compareTokens(r.ring, a.After, b.After) })
	return total
}

// place is a token's distance from the ring's beginning.
func (r *reader) place(token string) (*big.Int, bool) {
	if _, err := r.ring.ParseToken(token); err != nil {
		return nil, false
	}
	n, ok := new(big.Int).SetString(token, 10)
	if !ok {
		return nil, false
	}
	return n.Sub(n, r.ring.Min), true
}

func (r *reader) density(at *big.Int, perToken float64) balance.Density {
	token := new(big.Int).Add(at, r.ring.Min)
	p, _ := r.ring.ParseToken(token.String()) // place took it from there
	return balance.Density{After: p, Factor: Decimal(perToken)}
}

func compareTokens(r *balance.Ring, a, b balance.Position) int {
	x, _ := new(big.Int).SetString(r.FormatToken(a), 10)
	y, _ := new(big.Int).SetString(r.FormatToken(b), 10)
	return x.Cmp(y)
}

func float(n *big.Int) float64 {
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}

// digits of a density: more than any estimate is good for.
const digits = 12

// Decimal writes a positive float without an exponent, with 12 digits.
func Decimal(f float64) balance.Decimal {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', digits, 64), 64)
	return balance.Decimal(strconv.FormatFloat(rounded, 'f', -1, 64))
}

// number reads a load, which gossip holds as a Java double.
func number(s string) *big.Int {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v < 1e18) {
		return nil
	}
	n, _ := big.NewFloat(v).Int(nil)
	return n
}
