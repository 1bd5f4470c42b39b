package picture

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// svgTokensMax is up to how many tokens a datacenter's arcs are drawn each.
const svgTokensMax = 500

// The measures of one datacenter's panel.
const (
	panel       = 720.0
	center      = panel / 2
	outerRadius = 262.0 // after, or the only ring
	innerRadius = 172.0 // before
	ringWidth   = 18.0
	chordRadius = innerRadius - ringWidth/2 - 4
	titleWidth  = 92 // letters in a line of the title
	legendRow   = 22.0
	binCount    = 360
	chordsMax   = 400
	badgesMax   = 60
	labelsMax   = 120
	tagMax      = 20 // letters; longer names give way to numbers
)

var svgColors = [...]string{"#3a7fd5", "#e69f00", "#1fa37a", "#cc79a7", "#56b4e9", "#d55e00", "#b8a512", "#8a8f98"}

const svgStyle = `<style>
.bg{fill:#ffffff}.t{fill:#24292f;font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}.s{fill:#6b7280}.h{font-size:14px;font-weight:600}.v{fill:#ffffff;fill-opacity:0.82}
.b{fill:#24292f}.bt{fill:#ffffff;font-weight:700;font-size:11px}.m{stroke:#24292f;fill:none;stroke-width:1.8}.f{stroke-width:0.7;stroke-opacity:0.55}.mh{fill:#24292f}.a{stroke:#ffffff;stroke-width:1}
@media (prefers-color-scheme:dark){.bg{fill:#0f1419}.t{fill:#d7dde4}.s{fill:#9aa4af}.b{fill:#d7dde4}.bt{fill:#0f1419}.m{stroke:#d7dde4}.mh{fill:#d7dde4}.a{stroke:#0f1419}.v{fill:#0f1419}}
</style>
`

// drawing collects SVG.
type drawing struct {
	strings.Builder
	v *View
}

func (w *drawing) put(format string, args ...any) { fmt.Fprintf(&w.Builder, format, args...) }

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// num writes a coordinate with as few digits as serve.
func num(f float64) string {
	s := fmt.Sprintf("%.1f", f)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

func at(radius, place float64) string {
	x, y := point(center, center, radius, place)
	return num(x) + " " + num(y)
}

// SVG draws all datacenters side by side, in one file that needs no other.
func (v *View) SVG(title string) string {
	w := &drawing{v: v}
	perRow := min(len(v.DCs), 3)
	rows := (len(v.DCs) + perRow - 1) / perRow
	legendRows := (len(v.Racks) + 3) / 4
	width := panel * float64(perRow)
	height := 70 + panel*float64(rows) + legendRow*float64(legendRows+2)
	w.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img">`+"\n", num(width), num(height), num(width), num(height))
	w.put("<title>%s</title>\n%s", escapes.Replace(title), svgStyle)
	w.put(`<rect class="bg" width="%s" height="%s"/>`+"\n", num(width), num(height))
	for i, line := range wrap(title, titleWidth*perRow) {
		w.put(`<text class="t h" x="24" y="%d">%s</text>`+"\n", 30+20*i, escapes.Replace(line))
	}
	binned := false
	for i := range v.DCs {
		d := &v.DCs[i]
		w.put(`<g transform="translate(%s %s)">`+"\n", num(panel*float64(i%perRow)), num(50+panel*float64(i/perRow)))
		if d.tokenCount() > svgTokensMax {
			binned = true
			w.heatRings(d)
		} else {
			w.rings(d)
		}
		w.middle(d)
		w.put("</g>\n")
	}
	w.legend(60+panel*float64(rows), binned)
	w.put("</svg>\n")
	return w.String()
}

// band draws an arc of a ring with a tooltip.
func (w *drawing) band(radius, thick float64, a arc, class, fill, title string) {
	width := a.width()
	outer, inner := radius+thick/2, radius-thick/2
	if width > 0.9999 { // an arc cannot end where it begins
		w.put(`<circle cx="%s" cy="%s" r="%s" fill="none" stroke="%s" stroke-width="%s"><title>%s</title></circle>`+"\n",
			num(center), num(center), num(radius), fill, num(thick), escapes.Replace(title))
		return
	}
	// Ends of half a circle, written with one digit, do not tell its middle: an
	// arc goes in pieces.
	pieces := int(math.Ceil(width * 4))
	var there, back strings.Builder
	for i := range pieces {
		fmt.Fprintf(&there, " A%s %s 0 0 1 %s", num(outer), num(outer), at(outer, a.left+width*float64(i+1)/float64(pieces)))
		fmt.Fprintf(&back, " A%s %s 0 0 0 %s", num(inner), num(inner), at(inner, a.left+width*float64(pieces-1-i)/float64(pieces)))
	}
	w.put(`<path%s fill="%s" d="M%s%s L%s%sz"><title>%s</title></path>`+"\n", class, fill, at(outer, a.left), &there, at(inner, a.left+width), &back, escapes.Replace(title))
}

// rings draws a datacenter arc by arc.
func (w *drawing) rings(d *DC) {
	ring := func(after bool, radius float64, when string) {
		layers := w.v.layers(d)
		thick := ringWidth / float64(len(layers))
		for i, rack := range layers {
			for _, a := range d.arcs(after, rack) {
				n := &d.Nodes[a.node]
				w.band(radius-ringWidth/2+thick*(float64(i)+0.5), thick, a, ` class="a"`, svgColors[n.RackIndex%len(svgColors)],
					fmt.Sprintf("%s (%s)%s: %.2f %% of the tokens in this range, holds %.2f times its ideal share", n.ID, w.v.Racks[n.RackIndex], when, 100*a.width(), d.loadOf(a.node, after)))
			}
		}
	}
	if !w.v.Plan {
		ring(false, outerRadius, "")
		w.names(d, false, w.v.ByRack)
		return
	}
	w.chords(d)
	ring(false, innerRadius, " before")
	ring(true, outerRadius, " after")
	w.moves(d)
	w.names(d, true, w.v.ByRack)
}

// chords draw what is streamed: as wide as its part of the most.
func (w *drawing) chords(d *DC) {
	chords := slices.Clone(d.Chords)
	slices.SortStableFunc(chords, func(a, b Chord) int { return compare(b.Bytes, a.Bytes) })
	chords = chords[:min(len(chords), chordsMax)]
	for _, c := range chords {
		from, ok1 := d.spot(c.From)
		to, ok2 := d.spot(c.To)
		if !ok1 || !ok2 || chords[0].Bytes == 0 {
			continue
		}
		bend := chordRadius * 0.2 // towards the middle, so that chords of neighbours stay short
		if apart := math.Abs(math.Mod(from-to+1.5, 1) - 0.5); apart < 0.25 {
			bend = chordRadius * (0.75 - 2.2*apart)
		}
		mx, my := point(center, center, bend, halfway(from, to))
		w.put(`<path fill="none" stroke="%s" stroke-opacity="0.4" stroke-width="%s" d="M%s Q%s %s %s"><title>%s</title></path>`+"\n",
			svgColors[d.Nodes[c.From].RackIndex%len(svgColors)], num(1+13*c.Bytes/chords[0].Bytes), at(chordRadius, from), num(mx), num(my), at(chordRadius, to), escapes.Replace(c.Title))
	}
}

// spot is where a node's chords end: the middle of its first range as it is, or
// as it will be.
func (d *DC) spot(node int) (float64, bool) {
	for _, after := range []bool{false, true} {
		for _, a := range d.arcs(after, -1) {
			if a.node == node {
				return a.left + a.width()/2, true
			}
		}
	}
	return 0, false
}

// halfway lies between two places, on the shorter side.
func halfway(a, b float64) float64 {
	way := b - a
	way -= math.Round(way)
	return a + way/2
}

// flight is an arrow: from a place to another, in a lane between the rings.
type flight struct {
	Move
	from, way float64 // the shorter way around, against the clock below zero
	leaves    bool
	lane      int
}

// flights gives arrows that pass the same place lanes of their own.
func flights(d *DC) (out []flight, lanes int) {
	const margin = 0.012 // for the numbers
	for _, m := range d.Moves {
		f := flight{Move: m, from: m.From}
		switch {
		case m.From < 0 && m.To < 0:
			before := d.Nodes[m.Node].Before
			if len(before) == 0 {
				continue
			}
			f.from, f.leaves = before[0], true
		case m.From < 0:
			f.from = m.To
		default:
			f.way = m.To - m.From
			f.way -= math.Round(f.way)
		}
		out = append(out, f)
	}
	order := make([]int, len(out))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(math.Abs(out[b].way), math.Abs(out[a].way)) })
	overlap := func(a, b *flight) bool {
		apart := math.Abs(math.Mod(a.from+a.way/2-b.from-b.way/2+3.5, 1) - 0.5)
		return apart < (math.Abs(a.way)+math.Abs(b.way))/2+margin
	}
	for k, i := range order {
		f := &out[i]
		for taken := true; taken; {
			taken = false
			for _, j := range order[:k] {
				if out[j].lane == f.lane && overlap(f, &out[j]) {
					taken = true
					f.lane++
					break
				}
			}
		}
		lanes = max(lanes, f.lane+1)
	}
	return out, lanes
}

// moves draws an arrow from the inner ring to the outer for every movement.
func (w *drawing) moves(d *DC) {
	const start, end = innerRadius + ringWidth/2 + 1, outerRadius - ringWidth/2 - 2
	const low, high = start + 13, end - 15
	all, lanes := flights(d)
	var badges strings.Builder
	var placed [][2]float64 // numbers
	for _, f := range all {
		radius := (low + high) / 2
		if lanes > 1 {
			radius = low + (high-low)*float64(f.lane)/float64(lanes-1)
		}
		to := f.from + f.way
		turn := min(math.Abs(f.way)/3, 0.015)
		if f.way < 0 {
			turn = -turn
		}
		path := fmt.Sprintf("M%s Q%s %s", at(start, f.from), at(radius, f.from), at(radius, f.from+turn))
		large, sweep := 0, 1
		if math.Abs(f.way) > 0.5 {
			large = 1
		}
		if f.way < 0 {
			sweep = 0
		}
		switch {
		case f.leaves:
			path = fmt.Sprintf("M%s L%s", at(start, f.from), at(radius+12, f.from))
		case f.way == 0:
			path = fmt.Sprintf("M%s L%s", at(start, f.from), at(end, f.from))
		default:
			path += fmt.Sprintf(" A%s %s 0 %d %d %s Q%s %s", num(radius), num(radius), large, sweep, at(radius, to-turn), at(radius, to), at(end, to))
		}
		class, few := "m f", len(all) <= badgesMax
		if few {
			class = "m"
		}
		w.put(`<path class="%s" d="%s"><title>%d. %s</title></path>`+"\n", class, path, f.N, escapes.Replace(f.Title))
		if !few {
			continue
		}
		tip := end
		if f.leaves {
			tip = radius + 12
		}
		w.head(tip+1, to)
		spots := [][2]float64{{radius, 0.5}, {radius, 0.35}, {radius, 0.65}, {radius, 0.2}, {radius, 0.8}, {(radius + end) / 2, 1}, {(radius + start) / 2, 0}, {end - 9, 1}}
		x, y := free(spots, &f, placed)
		placed = append(placed, [2]float64{x, y})
		fmt.Fprintf(&badges, `<circle class="b" cx="%s" cy="%s" r="%s"/><text class="t bt" x="%s" y="%s" text-anchor="middle">%d</text>`+"\n", num(x), num(y), num(badgeRadius), num(x), num(y+4), f.N)
	}
	w.put("%s", badges.String())
}

// head is an arrow's, outwards.
func (w *drawing) head(radius, place float64) {
	const long, wide = 10.0, 4.5
	side := math.Atan(wide/(radius-long)) / (2 * math.Pi)
	w.put(`<path class="mh" d="M%s L%s L%sz"/>`+"\n", at(radius, place), at(radius-long, place-side), at(radius-long, place+side))
}

const badgeRadius = 8.5

// free is the first of the spots on an arrow, by radius and part of its way, where
// a number covers none of those there; else the farthest from them.
func free(spots [][2]float64, f *flight, placed [][2]float64) (x, y float64) {
	most := -1.0
	for _, s := range spots {
		px, py := point(center, center, s[0], f.from+f.way*s[1])
		nearest := math.Inf(1)
		for _, p := range placed {
			nearest = min(nearest, math.Hypot(px-p[0], py-p[1]))
		}
		if nearest > 2*badgeRadius+1 {
			return px, py
		}
		if nearest > most {
			x, y, most = px, py, nearest
		}
	}
	return x, y
}

// tag is a name beside the ring.
type tag struct {
	place float64
	text  string
	bold  bool
}

// tags are the names of a datacenter's nodes in the middle of their ranges, or
// their numbers where nodes have several or long names. Ranges of racks lie over each other:
// then the names stand at the tokens.
func (d *DC) tags(after, byRack bool) []tag {
	arcs := d.arcs(after, -1)
	if len(arcs) > labelsMax {
		return nil
	}
	var out []tag
	for _, a := range arcs {
		n := &d.Nodes[a.node]
		t := tag{a.left + a.width()/2, n.ID, n.Moved}
		if byRack {
			t.place = a.right
		}
		if len(arcs) > len(d.Nodes) || len(n.ID) > tagMax {
			t.text = fmt.Sprint(n.Number)
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b tag) int { return compare(a.place, b.place) })
	return out
}

// tagGap is how far apart names are that lie along rays, as a part of the way
// around.
const tagGap = 13 / (2 * math.Pi * (outerRadius + ringWidth))

// apart pushes names away from each other until they can be read; levels tells
// whether they can lie level.
func apart(tags []tag) (levels bool) {
	levels = true
	for i := 1; i < len(tags); i++ {
		need := 1.8 * tagGap
		if math.Abs(math.Sin(2*math.Pi*tags[i].place)) < 0.35 { // above and below they lie side by side
			need = 5 * tagGap
		}
		levels = levels && tags[i].place-tags[i-1].place > need
	}
	if levels {
		return true
	}
	for range 200 {
		moved := false
		for i := 1; i < len(tags); i++ {
			if short := tagGap - (tags[i].place - tags[i-1].place); short > 1e-6 {
				tags[i-1].place -= short / 2
				tags[i].place += short / 2
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	return false
}

// names writes nodes' names around the ring.
func (w *drawing) names(d *DC, after, byRack bool) {
	tags := d.tags(after, byRack)
	level := apart(tags)
	for _, t := range tags {
		place := math.Mod(t.place+1, 1)
		x, y := point(center, center, outerRadius+ringWidth/2+8, place)
		more := ""
		switch sin := math.Sin(2 * math.Pi * place); {
		case !level && place <= 0.5:
			more = fmt.Sprintf(` text-anchor="start" transform="rotate(%s %s %s)"`, num(place*360-90), num(x), num(y))
		case !level:
			more = fmt.Sprintf(` text-anchor="end" transform="rotate(%s %s %s)"`, num(place*360+90), num(x), num(y))
		case math.Abs(sin) < 0.12:
			more = ` text-anchor="middle"`
			if place > 0.25 && place < 0.75 {
				y += 6
			} else {
				y -= 4
			}
		case sin > 0:
			more = ` text-anchor="start"`
		default:
			more = ` text-anchor="end"`
		}
		if t.bold {
			more += ` font-weight="700"`
		}
		w.put(`<text class="t" x="%s" y="%s" dy="4"%s>%s</text>`+"\n", num(x), num(y), more, escapes.Replace(t.text))
	}
}

// wrap breaks a text at commas.
func wrap(s string, width int) []string {
	var lines []string
	for len(s) > width {
		at := strings.LastIndex(s[:width], ", ")
		if at < 0 {
			break
		}
		lines = append(lines, s[:at+1])
		s = s[at+2:]
	}
	return append(lines, s)
}

// heatRings draws so many tokens that arcs would be hairs: loads in bins.
func (w *drawing) heatRings(d *DC) {
	ring := func(after bool, radius float64, when string) {
		for i, l := range w.v.extremes(d, binCount, after) {
			if l == 0 {
				continue
			}
			a := arc{float64(i) / binCount, float64(i+1) / binCount, 0}
			w.band(radius, ringWidth, a, "", heatColor(l), fmt.Sprintf("%.0f to %.0f degrees%s: up to %.2f times the ideal share", 360*a.left, 360*a.right, when, l))
		}
	}
	if w.v.Plan {
		ring(false, innerRadius, " before")
		ring(true, outerRadius, " after")
		return
	}
	ring(false, outerRadius, "")
}

// heatColor goes from blue (nothing) over green (ideal) to red (twice as much).
func heatColor(load float64) string {
	mix := func(a, b [3]float64, t float64) string {
		t = max(0, min(1, t))
		return fmt.Sprintf("#%02x%02x%02x", int(a[0]+(b[0]-a[0])*t), int(a[1]+(b[1]-a[1])*t), int(a[2]+(b[2]-a[2])*t))
	}
	blue, green, yellow, red := [3]float64{58, 127, 213}, [3]float64{60, 179, 113}, [3]float64{240, 200, 60}, [3]float64{214, 48, 49}
	switch {
	case load < 1:
		return mix(blue, green, load)
	case load < 1.4:
		return mix(green, yellow, (load-1)/0.4)
	}
	return mix(yellow, red, (load-1.4)/0.6)
}

// middle writes what the panel shows.
func (w *drawing) middle(d *DC) {
	lines := []string{fmt.Sprintf("%d nodes", len(d.Nodes))}
	if d.Name != "" {
		lines = append([]string{d.Name}, lines...)
	}
	if w.v.Plan {
		lines = append(lines, fmt.Sprintf("max/mean %.2fx to %.2fx", w.v.Before.MaxOverMean, w.v.After.MaxOverMean), "inside: now, outside: after")
	} else {
		lines = append(lines, fmt.Sprintf("max/mean %.2fx", w.v.Before.MaxOverMean))
	}
	w.put(`<rect class="v" x="%s" y="%s" width="170" height="%d" rx="10"/>`+"\n", num(center-85), num(center-float64(len(lines))*10-8), len(lines)*20+8)
	for i, line := range lines {
		w.put(`<text class="t%s" x="%s" y="%s" text-anchor="middle">%s</text>`+"\n", []string{" h", "", " s", " s"}[min(i, 3)], num(center), num(center-float64(len(lines)-1)*10+float64(i)*20+1), escapes.Replace(line))
	}
}

func (w *drawing) legend(y float64, binned bool) {
	text := func(x, row float64, fill, name string) {
		w.put(`<rect x="%s" y="%s" width="12" height="12" rx="2" fill="%s"/><text class="t" x="%s" y="%s">%s</text>`+"\n", num(x), num(row), fill, num(x+18), num(row+11), escapes.Replace(name))
	}
	if binned {
		w.put(`<text class="t s" x="24" y="%s">What nodes hold, of their ideal share; in each direction the one farthest from it.</text>`+"\n", num(y+11))
		for i, l := range []float64{0.2, 0.6, 1, 1.2, 1.4, 1.7, 2} {
			text(24+float64(i)*80, y+legendRow, heatColor(l), fmt.Sprintf("%.1fx", l))
		}
		return
	}
	for i, name := range w.v.Racks {
		text(24+float64(i%4)*170, y+legendRow*float64(i/4), svgColors[i%len(svgColors)], name)
	}
	if w.v.Plan {
		row := y + legendRow*float64((len(w.v.Racks)+3)/4)
		w.put(`<text class="t s" x="24" y="%s">Arrows: moves in their order. Lines inside: what is streamed, wider for more.</text>`+"\n", num(row+11))
	}
}
