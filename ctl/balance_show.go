package ctl

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"helenus/balance"
	"helenus/ctl/picture"
)

// unit writes an amount for people.
type unit func(balance.Amount) string

// bytes chooses the unit: bytes where sizes are known, tokens on a small ring,
// else parts of all that is stored.
func (b *balancing) bytes(r *balance.Ring, p *balance.Plan) unit {
	total := 0.0
	for _, s := range p.Ownership.Before {
		total += s.Bytes.Float()
	}
	return unitOf(r, total)
}

// smallRing is up to where a ring's tokens are numbers that people count.
const smallRing = 1_000_000

func unitOf(r *balance.Ring, total float64) unit {
	switch {
	case r.Measured():
		return func(a balance.Amount) string { return fileSize(int64(min(a.Float(), math.MaxInt64/2))) }
	case r.Circumference.IsInt64() && r.Circumference.Int64() <= smallRing:
		return func(a balance.Amount) string {
			if a == "" {
				a = "0"
			}
			return string(a) + " tokens"
		}
	}
	return func(a balance.Amount) string {
		if total == 0 {
			return "?"
		}
		return strconv.FormatFloat(100*a.Float()/total, 'f', 2, 64) + "% of the data"
	}
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// joinsAndLeaves counts the steps that are no moves.
func joinsAndLeaves(p *balance.Plan) string {
	joins, leaves := 0, 0
	for i := range p.Steps {
		switch p.Steps[i].Op {
		case balance.OpJoin, "join":
			joins++
		case balance.OpLeave, "leave":
			leaves++
		}
	}
	var parts []string
	if joins > 0 {
		parts = append(parts, plural(joins, "join"))
	}
	if leaves > 0 {
		parts = append(parts, plural(leaves, "leave"))
	}
	return strings.Join(parts, ", ")
}

// headline is a plan in a line.
func (b *balancing) headline(r *balance.Ring, p *balance.Plan) string {
	before, after := p.Ownership.Stats.Before, p.Ownership.Stats.After
	racks := ""
	if n := p.Summary.RackScore; n > 0 && p.Goal.Racks != balance.RacksIgnore && !vnodes(r) {
		racks = fmt.Sprintf(", racks repeated %d", n)
	}
	if len(p.Steps) == 0 {
		return fmt.Sprintf("balanced, no moves needed: max/mean %.2fx, worst %.2f%% from ideal%s", before.MaxOverMean, 100*before.Worst, racks)
	}
	show := b.bytes(r, p)
	s := &p.Summary
	var parts []string
	parts = append(parts, plural(s.Moves, "move"))
	if others := len(p.Steps) - s.Moves; others > 0 {
		parts = append(parts, joinsAndLeaves(p))
	}
	bound := ""
	switch {
	case s.Proof == balance.ProofExhaustive, s.Proof == balance.ProofBound:
		bound = " (the least there is, by " + map[string]string{balance.ProofExhaustive: "exhaustive search", balance.ProofBound: "a bound"}[s.Proof] + ")"
	case s.Gap < 0:
		bound = " (no bound known)"
	case s.Proof != "":
		bound = fmt.Sprintf(" (bound %s, %.1f%% above)", show(s.LowerBound), 100*s.Gap)
	}
	parts = append(parts, show(s.Bytes)+" streamed"+bound, fmt.Sprintf("max/mean %.2fx -> %.2fx%s", before.MaxOverMean, after.MaxOverMean, racks))
	if s.ETA > 0 {
		parts = append(parts, "about "+duration(s.ETA))
	}
	return strings.Join(parts, ", ")
}

// vnodes tells whether nodes have several tokens: which racks these alternate
// between says little then.
func vnodes(r *balance.Ring) bool {
	return slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return len(n.Tokens) > 1 })
}

// duration is for people: two units at the most.
func duration(seconds float64) string {
	d := time.Duration(min(seconds, 1e9)) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// style is what the output can show.
func (b *balancing) style() picture.Style {
	env := func(name string) string {
		if b.c.env.Getenv == nil {
			return ""
		}
		return b.c.env.Getenv(name)
	}
	s := picture.Style{ASCII: b.ascii}
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = strings.ToLower(env(name))
		}
	}
	if !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8") {
		s.ASCII = true
	}
	switch b.color {
	case "always":
		s.Color = true
	case "auto":
		s.Color = b.c.env.Terminal && env("NO_COLOR") == "" && env("TERM") != "dumb"
	}
	if n, err := strconv.Atoi(env("COLUMNS")); err == nil && n >= 40 && n <= 400 {
		s.Width = n
	}
	return s
}

// showPlan writes a plan as the operator wants it.
func (b *balancing) showPlan(r *balance.Ring, p *balance.Plan) error {
	switch b.c.output {
	case "commands":
		text, err := b.script(r, p)
		if err == nil {
			_, err = io.WriteString(b.c.env.Out, text)
		}
		return err
	case "svg":
		v := picture.New(r, withSteps(p), p.Ownership, p.Goal.Mode, b.bytes(r, p))
		_, err := io.WriteString(b.c.env.Out, v.SVG(b.headline(r, p)))
		return err
	}
	return b.c.show(p, func(w io.Writer) {
		fmt.Fprintln(w, b.headline(r, p))
		if len(p.Steps) > 0 {
			fmt.Fprintln(w)
			b.stepsTable(w, r, p)
		}
		if len(p.Frontier) > 0 {
			fmt.Fprintln(w)
			b.frontierTable(w, r, p)
		}
		v := picture.New(r, withSteps(p), p.Ownership, p.Goal.Mode, b.bytes(r, p))
		fmt.Fprintln(w)
		b.ownershipTable(w, v, p.Ownership)
		fmt.Fprintln(w)
		io.WriteString(w, v.Terminal(b.style())) //nolint:errcheck // as Fprintln
		notes(w, p.Warnings)
	})
}

// withSteps is the plan if it does anything.
func withSteps(p *balance.Plan) *balance.Plan {
	if len(p.Steps) == 0 {
		return nil
	}
	return p
}

func notes(w io.Writer, warnings []string) {
	for _, n := range warnings {
		fmt.Fprintln(w, "note:", n)
	}
}

// namesMax is how many nodes a cell of a table names.
const namesMax = 6

func names(ids []string) string {
	if len(ids) <= namesMax {
		return strings.Join(ids, " ")
	}
	return strings.Join(ids[:namesMax-1], " ") + fmt.Sprintf(" and %d more", len(ids)-namesMax+1)
}

func (b *balancing) stepsTable(w io.Writer, r *balance.Ring, p *balance.Plan) {
	racks := map[string]string{}
	for i := range r.Nodes {
		racks[r.Nodes[i].ID] = r.Nodes[i].Rack
	}
	for _, j := range p.Goal.Join {
		racks[j.ID] = j.Rack
	}
	show := b.bytes(r, p)
	header := []string{"#", "what", "node", "rack", "from", "to", "streams", "streamed"}
	eta := p.Goal.Throughput.Float()
	if eta > 0 {
		header = append(header, "time")
	}
	header = append(header, "then clean up")
	var rows [][]string
	for i := range p.Steps {
		s := &p.Steps[i]
		to := s.To
		if len(s.Tokens) > 0 {
			to = s.Tokens[0] + fmt.Sprintf(" and %d more", len(s.Tokens)-1)
		}
		row := []string{strconv.Itoa(s.N), s.Op, s.Node, racks[s.Node], s.From, to, strconv.Itoa(len(s.Streams)), show(s.Bytes)}
		if eta > 0 {
			row = append(row, duration(s.Bytes.Float()/eta))
		}
		rows = append(rows, append(row, names(s.Cleanup)))
	}
	writeTable(w, header, rows)
}

func (b *balancing) frontierTable(w io.Writer, r *balance.Ring, p *balance.Plan) {
	show := b.bytes(r, p)
	var rows [][]string
	for _, pt := range p.Frontier {
		knee := ""
		if pt.Knee {
			knee = "<- the most for its moves"
		}
		rows = append(rows, []string{strconv.Itoa(pt.Moves), show(pt.Bytes), fmt.Sprintf("%.2f%%", 100*pt.Worst), strconv.Itoa(pt.RackScore), knee})
	}
	writeTable(w, []string{"moves", "streamed", "worst from ideal", "racks repeated", ""}, rows)
}

// barWidth is how wide twice the ideal share is.
const barWidth = 16

// gauge draws a load as a bar: the ideal share fills half of it.
func gauge(load float64, ascii bool) string {
	eighths := int(math.Round(max(0, min(load, 2)) / 2 * barWidth * 8))
	if ascii {
		full := (eighths + 4) / 8
		return strings.Repeat("#", full) + strings.Repeat(".", barWidth-full)
	}
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return text + strings.Repeat("·", barWidth-len([]rune(text)))
}

func times(load float64) string {
	if load == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", load)
}

func (b *balancing) ownershipTable(w io.Writer, v *picture.View, own balance.Ownership) {
	ascii := b.style().ASCII
	ideal := "of ideal"
	if v.Arcs {
		ideal = "arc of ideal"
	}
	header := []string{"#", "node", "rack", "stores", ideal, ""}
	if v.Plan {
		header = []string{"#", "node", "rack", "stores now", ideal, "", "after", ideal, ""}
	}
	share := func(shares map[string]balance.Share, id string) string {
		if s, ok := shares[id]; ok {
			return fmt.Sprintf("%.1f%%", 100*s.Effective)
		}
		return "-"
	}
	var rows [][]string
	for i := range v.DCs {
		for k := range v.DCs[i].Nodes {
			n := &v.DCs[i].Nodes[k]
			row := []string{strconv.Itoa(n.Number), n.ID, v.Racks[n.RackIndex], share(own.Before, n.ID), times(n.LoadBefore), gauge(n.LoadBefore, ascii)}
			if v.Plan {
				row = append(row, share(own.After, n.ID), times(n.LoadAfter), gauge(n.LoadAfter, ascii))
			}
			rows = append(rows, row)
		}
	}
	writeTable(w, header, rows)
}

// showRing shows the ring as it is.
func (b *balancing) showRing(r *balance.Ring) error {
	verdict, err := balance.Verify(&balance.Plan{Goal: balance.Goal{Mode: b.goal.Mode, NodesDown: true}, RingHash: r.Hash()}, r)
	if err != nil {
		return err
	}
	total := 0.0
	for _, s := range verdict.Ownership.Before {
		total += s.Bytes.Float()
	}
	st := verdict.Ownership.Stats.Before
	line := fmt.Sprintf("%s, max/mean %.2fx, min/mean %.2fx, worst %.2f%% from ideal (%s)", plural(len(r.Nodes), "node"), st.MaxOverMean, st.MinOverMean, 100*st.Worst, verdict.Mode)
	v := picture.New(r, nil, verdict.Ownership, verdict.Mode, unitOf(r, total))
	if b.c.output == "svg" {
		_, err := io.WriteString(b.c.env.Out, v.SVG(line))
		return err
	}
	return b.c.show(r, func(w io.Writer) {
		fmt.Fprintf(w, "%s\n\n", line)
		b.ownershipTable(w, v, verdict.Ownership)
		fmt.Fprintln(w)
		io.WriteString(w, v.Terminal(b.style())) //nolint:errcheck // as Fprintln
		notes(w, slices.Concat(r.Notes, verdict.Warnings))
	})
}

// showVerdict writes what Verify says.
func (b *balancing) showVerdict(r *balance.Ring, p *balance.Plan, verdict *balance.Verdict) error {
	p.Ownership = verdict.Ownership
	show := b.bytes(r, p)
	return b.c.show(verdict, func(w io.Writer) {
		word := "valid"
		if !verdict.Valid {
			word = "not valid: " + reason(verdict)
		}
		fmt.Fprintf(w, "%s\n%s, %s streamed, %s, racks repeated %d, max/mean %.2fx -> %.2fx\n", word, plural(verdict.Moves, "move"), show(verdict.Bytes),
			plural(verdict.Cleanups, "cleanup"), verdict.RackScore, verdict.Ownership.Stats.Before.MaxOverMean, verdict.Ownership.Stats.After.MaxOverMean)
		if len(verdict.Steps) > 0 {
			var rows [][]string
			for i, s := range verdict.Steps {
				rows = append(rows, []string{strconv.Itoa(s.N), p.Steps[i].Op, p.Steps[i].Node, show(s.Bytes), names(s.Cleanup), names(s.CleanupNeeded)})
			}
			fmt.Fprintln(w)
			writeTable(w, []string{"#", "what", "node", "streamed", "ranges changed, clean up", "lost something"}, rows)
		}
		fmt.Fprintln(w)
		b.ownershipTable(w, picture.New(r, withSteps(p), verdict.Ownership, verdict.Mode, show), verdict.Ownership)
		notes(w, slices.Concat(r.Notes, verdict.Warnings))
	})
}

// growth is the answer of simulate.
type growth struct {
	Schema string           `json:"schema"`
	Stages []balance.Growth `json:"stages"`
}

func (b *balancing) showGrowth(r *balance.Ring, stages []balance.Growth) error {
	return b.c.show(growth{"helenus.balance.growth/1", stages}, func(w io.Writer) {
		total := 0.0
		if v := asIs(r, b.goal.Mode); v != nil {
			for _, s := range v.Ownership.Before {
				total += s.Bytes.Float()
			}
		}
		var warnings []string
		if v := asIs(stages[len(stages)-1].Ring, b.goal.Mode); v != nil {
			warnings = v.Warnings
		}
		show := unitOf(r, total)
		var rows [][]string
		for _, s := range stages {
			rows = append(rows, []string{strconv.Itoa(s.Nodes), strconv.Itoa(s.Joined), strconv.Itoa(s.Moves), show(s.Bytes), fmt.Sprintf("%.2fx", s.MaxOverMean), fmt.Sprintf("%.2f%%", 100*s.Worst), s.Proof})
		}
		writeTable(w, []string{"nodes", "joined", "moves", "streamed", "max/mean", "worst from ideal", "proof"}, rows)
		notes(w, slices.Concat(r.Notes, warnings))
	})
}

// asIs judges a ring without any step; nil if it cannot be understood.
func asIs(r *balance.Ring, mode string) *balance.Verdict {
	v, err := balance.Verify(&balance.Plan{Goal: balance.Goal{Mode: mode}, RingHash: r.Hash()}, r)
	if err != nil {
		return nil
	}
	return v
}
