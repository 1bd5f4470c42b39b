package picture

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Style is what a terminal can show.
type Style struct {
	Width int  // columns; 0 means 80
	ASCII bool // nothing but ASCII
	Color bool
}

// circleTokensMax is up to how many tokens a ring is drawn as a circle.
const circleTokensMax = 64

// rackColors are of the 256-colour palette, far apart for all eyes.
var rackColors = [...]int{33, 214, 36, 175, 117, 166, 227, 246}

// Terminal draws all datacenters.
func (v *View) Terminal(s Style) string {
	if s.Width == 0 {
		s.Width = 80
	}
	var out strings.Builder
	circles, strips := false, false
	for i := range v.DCs {
		d := &v.DCs[i]
		if len(v.DCs) > 1 {
			fmt.Fprintf(&out, "datacenter %s\n", d.Name)
		}
		if d.tokenCount() <= circleTokensMax {
			out.WriteString(v.circle(d, s))
			circles = true
		} else {
			out.WriteString(v.strips(d, s))
			strips = true
		}
	}
	if circles {
		out.WriteString(v.legend(s))
	}
	if strips {
		out.WriteString(heatLegend(s))
	}
	return out.String()
}

// rackLetter names a rack in a label.
func rackLetter(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if i < len(letters) {
		return letters[i : i+1]
	}
	return rackLetter(i/len(letters)-1) + letters[i%len(letters):i%len(letters)+1]
}

func (s Style) paint(color int, bold bool, text string) string {
	if !s.Color {
		return text
	}
	weight := ""
	if bold {
		weight = "1;"
	}
	return fmt.Sprintf("\x1b[%s38;5;%dm%s\x1b[0m", weight, color, text)
}

func (v *View) legend(s Style) string {
	var parts []string
	for i, name := range v.Racks {
		if name == "" {
			name = "(none)"
		}
		parts = append(parts, s.paint(rackColors[i%len(rackColors)], true, rackLetter(i))+" "+name)
	}
	line := "racks: " + strings.Join(parts, "  ") + "\n"
	if v.Plan {
		line += "inner ring: now, outer: after the plan; * has moved; numbers: the table of nodes\n"
	}
	return line
}

// canvas is a grid of cells. In braille a cell has 2 x 4 dots; in ASCII it is
// one dot, and the caller's letter stands in it.
type canvas struct {
	cols, rows int
	dots       []uint8 // braille
	cells      []rune
	color      []int // -1: none
	bold       []bool
	ascii      bool
}

func newCanvas(cols, rows int, ascii bool) *canvas {
	c := &canvas{cols: cols, rows: rows, ascii: ascii, dots: make([]uint8, cols*rows), cells: make([]rune, cols*rows),
		color: make([]int, cols*rows), bold: make([]bool, cols*rows)}
	for i := range c.color {
		c.color[i] = -1
	}
	return c
}

// dotBits is the order of dots in a braille cell, by row and column.
var dotBits = [4][2]uint8{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// dot sets a dot at x, y in dots.
func (c *canvas) dot(x, y float64, color int, letter rune) {
	dx, dy := int(math.Round(x)), int(math.Round(y))
	col, row := dx>>1, dy>>2
	if dx < 0 || dy < 0 || col >= c.cols || row >= c.rows {
		return
	}
	i := row*c.cols + col
	c.dots[i] |= dotBits[dy&3][dx&1]
	c.color[i] = color
	if c.ascii {
		c.cells[i] = letter
	}
}

// text writes at a cell, if all of it is free and inside.
func (c *canvas) text(col, row int, text string, color int, bold, force bool) bool {
	n := utf8.RuneCountInString(text)
	if row < 0 || row >= c.rows || col < 0 || col+n > c.cols {
		return false
	}
	for k := -1; k <= n && !force; k++ {
		if at := col + k; at >= 0 && at < c.cols && (c.cells[row*c.cols+at] != 0 || k >= 0 && k < n && c.dots[row*c.cols+at] != 0) {
			return false
		}
	}
	for k, ch := range []rune(text) {
		i := row*c.cols + col + k
		c.cells[i], c.color[i], c.bold[i] = ch, color, bold
	}
	return true
}

func (c *canvas) String(s Style) string {
	var out strings.Builder
	for row := range c.rows {
		line := brush{style: s}
		for col := range c.cols {
			i := row*c.cols + col
			ch := c.cells[i]
			if ch == 0 && c.dots[i] != 0 && !c.ascii {
				ch = 0x2800 + rune(c.dots[i])
			}
			if ch == 0 {
				ch = ' '
			}
			line.put(ch, c.color[i], c.bold[i])
		}
		out.WriteString(strings.TrimRight(line.done(), " ") + "\n")
	}
	return strings.Trim(out.String(), "\n") + "\n"
}

// brush writes characters, and a colour only where it changes.
type brush struct {
	style Style
	out   strings.Builder
	run   strings.Builder
	color int
	bold  bool
}

func (b *brush) put(ch rune, color int, bold bool) {
	if ch == ' ' {
		color, bold = -1, false
	}
	if color != b.color || bold != b.bold {
		b.flush()
		b.color, b.bold = color, bold
	}
	b.run.WriteRune(ch)
}

func (b *brush) flush() {
	if text := b.run.String(); b.color >= 0 && text != "" {
		b.out.WriteString(b.style.paint(b.color, b.bold, text))
	} else {
		b.out.WriteString(text)
	}
	b.run.Reset()
}

func (b *brush) done() string {
	b.flush()
	return b.out.String()
}

// point is where a place of the ring lies at a radius, in dots; the ring begins
// at the top and runs clockwise.
func point(cx, cy, radius, place float64) (x, y float64) {
	angle := 2 * math.Pi * place
	return cx + radius*math.Sin(angle), cy - radius*math.Cos(angle)
}

// ringRadius is the outer radius in dots for so many tokens.
func ringRadius(tokens, width int) float64 {
	r := 30.0
	switch {
	case tokens > 32:
		r = 62
	case tokens > 12:
		r = 44
	}
	return min(r, float64(width-2*labelWidth)-2)
}

// labelWidth is what a label takes beside the circle.
const labelWidth = 6

// circle draws one datacenter: the ring as it is inside, as it will be outside.
func (v *View) circle(d *DC, s Style) string {
	radius := ringRadius(d.tokenCount(), s.Width)
	cols, rows := int(radius)+2*labelWidth+2, int(radius/2)+5
	c := newCanvas(cols, rows, s.ASCII)
	cx, cy := float64(cols)-0.5, float64(rows)*2-0.5
	outer, inner := radius, radius*0.66
	if v.Plan {
		v.drawRing(c, d, false, cx, cy, inner, 1)
		v.drawRing(c, d, true, cx, cy, outer, 2)
	} else {
		v.drawRing(c, d, false, cx, cy, outer, 2)
	}
	v.labels(c, d, cx, cy, outer)
	v.middle(c, cols, rows)
	return c.String(s)
}

// drawRing draws arcs as thick as said, and a tick at every token.
func (v *View) drawRing(c *canvas, d *DC, after bool, cx, cy, radius float64, thick int) {
	arcs := d.arcs(after, -1)
	for _, a := range arcs {
		n := &d.Nodes[a.node]
		color, letter := rackColors[n.RackIndex%len(rackColors)], []rune(rackLetter(n.RackIndex))[0]
		steps := int(a.width()*2*math.Pi*radius*1.5) + 2
		for k := 1; k <= steps; k++ {
			at := a.left + a.width()*float64(k)/float64(steps)
			for t := range thick {
				x, y := point(cx, cy, radius-float64(t), at)
				c.dot(x, y, color, letter)
			}
		}
	}
	for _, a := range arcs { // over the arcs, for the letter of ASCII
		n := &d.Nodes[a.node]
		for k := -2; k <= 3; k++ {
			if c.ascii && k != 0 {
				continue
			}
			x, y := point(cx, cy, radius+float64(k), a.right)
			c.dot(x, y, rackColors[n.RackIndex%len(rackColors)], '+')
		}
	}
}

// labels writes numbers outside the ring, those who moved first.
func (v *View) labels(c *canvas, d *DC, cx, cy, radius float64) {
	type label struct {
		place float64
		node  *Node
	}
	var all []label
	for i := range d.Nodes {
		n := &d.Nodes[i]
		tokens := n.Before
		if v.Plan {
			tokens = n.After
		}
		for _, t := range tokens {
			all = append(all, label{t, n})
		}
	}
	slices.SortStableFunc(all, func(a, b label) int {
		if a.node.Moved != b.node.Moved {
			if a.node.Moved {
				return -1
			}
			return 1
		}
		return compare(a.place, b.place)
	})
	for _, l := range all {
		text := fmt.Sprint(l.node.Number) + rackLetter(l.node.RackIndex)
		if l.node.Moved {
			text += "*"
		}
		for _, out := range []float64{7, 9, 11} {
			x, y := point(cx, cy, radius+out, l.place)
			col := int(math.Round(x/2 - float64(len(text))*(1-math.Sin(2*math.Pi*l.place))/2))
			if c.text(col, int(math.Round((y-1.5)/4)), text, rackColors[l.node.RackIndex%len(rackColors)], l.node.Moved, false) {
				break
			}
		}
	}
}

// middle writes how even the rings are.
func (v *View) middle(c *canvas, cols, rows int) {
	lines := []string{fmt.Sprintf("max/mean %.2fx", v.Before.MaxOverMean)}
	if v.Plan {
		lines = []string{fmt.Sprintf("max/mean %.2fx", v.Before.MaxOverMean), fmt.Sprintf("      -> %.2fx", v.After.MaxOverMean)}
	}
	for i, line := range lines {
		c.text((cols-len(line)+1)/2, rows/2-len(lines)/2+i, line, -1, false, true)
	}
}

// heat is a load in a colour of the 256-colour palette.
func heat(load float64) int {
	switch {
	case load == 0:
		return 240
	case load < 0.75:
		return 33
	case load < 0.95:
		return 45
	case load <= 1.05:
		return 40
	case load < 1.25:
		return 220
	}
	return 196
}

// bar is a load as a character: an empty node low, twice the ideal high.
func bar(load float64, ascii bool) rune {
	levels := []rune("▁▂▃▄▅▆▇█")
	if ascii {
		levels = []rune("_.-=+*#@")
	}
	if load == 0 {
		return ' '
	}
	return levels[max(0, min(len(levels)-1, int(load*4)))]
}

// strips draws a line for each rack, from the ring's smallest token to its
// largest.
func (v *View) strips(d *DC, s Style) string {
	var racks []int
	name := 0
	for i := range d.Nodes {
		if k := d.Nodes[i].RackIndex; !slices.Contains(racks, k) {
			racks = append(racks, k)
			name = max(name, len(v.Racks[k]))
		}
	}
	slices.Sort(racks)
	width := max(10, s.Width-name-10)
	var out strings.Builder
	for _, rack := range racks {
		for _, after := range []bool{false, true} {
			if after && !v.Plan {
				continue
			}
			when := "now  "
			if after {
				when = "after"
			}
			fmt.Fprintf(&out, "%-*s  %s ", name, v.Racks[rack], when)
			line := brush{style: s}
			for _, l := range d.bins(width, after, rack) {
				line.put(bar(l, s.ASCII), heat(l), false)
			}
			out.WriteString(line.done() + "\n")
		}
	}
	return out.String()
}

func heatLegend(s Style) string {
	var parts []string
	last := ""
	for _, l := range []float64{0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.3, 1.6, 1.8} {
		if look := s.paint(heat(l), false, string(bar(l, s.ASCII))); look != last {
			parts = append(parts, look+fmt.Sprintf(" %.1fx", l))
			last = look
		}
	}
	return "of the ideal share, smallest token to largest: " + strings.Join(parts, "  ") + "\n"
}
