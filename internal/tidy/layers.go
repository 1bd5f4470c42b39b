package tidy

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// layer is one line of docs/layers.txt.
type layer struct {
	floor   int
	imports map[string]bool
	planned bool // a line "~ ...": where the package will stand once it exists
	line    int
}

// freeFrom names the packages that need no arrow, and the lowest floor that
// may import them so.
func freeFrom(pkg string) (int, bool) {
	switch pkg {
	case Module, "internal/assert":
		return 1, true
	case "internal/metrics":
		return 2, true
	}
	return 0, false
}

// parseLayers reads lines "floor package: imports"; "#" begins a comment.
func parseLayers(text string) (map[string]layer, []Finding) {
	layers := map[string]layer{}
	var findings []Finding
	bad := func(n int, format string, args ...any) {
		findings = append(findings, Finding{"layers", fmt.Sprintf("docs/layers.txt:%d", n), fmt.Sprintf(format, args...)})
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line, planned := strings.CutPrefix(strings.TrimSpace(line), "~ ")
		if line == "" {
			continue
		}
		head, rest, ok := strings.Cut(line, ":")
		floorText, name, ok2 := strings.Cut(head, " ")
		floor, err := strconv.Atoi(floorText)
		if !ok || !ok2 || err != nil {
			bad(i+1, "want \"floor package: imports\", found %q", line)
			continue
		}
		if _, double := layers[name]; double {
			bad(i+1, "%s is listed twice", name)
		}
		l := layer{floor: floor, imports: map[string]bool{}, planned: planned, line: i + 1}
		for _, imp := range strings.Fields(rest) {
			l.imports[imp] = true
		}
		layers[name] = l
	}
	return layers, findings
}

// Layers checks the arrows between our packages against docs/layers.txt.
// Every finding ends in the line to put there.
func Layers(src *Source, text string) []Finding {
	layers, findings := parseLayers(text)
	exists := map[string]bool{}
	for _, p := range src.Packages {
		exists[p.Path] = true
	}
	for _, p := range src.Packages {
		used := arrows(p, false)
		l, listed := layers[p.Path]
		if !listed || l.planned {
			findings = append(findings, Finding{"layers", p.Path,
				"is not listed in docs/layers.txt; put in: " + suggest(p.Path, layers, used)})
			continue
		}
		findings = append(findings, checkArrows(p, l, layers, used)...)
	}
	for _, name := range sortedKeys(layers) {
		if l := layers[name]; !l.planned && !exists[name] {
			findings = append(findings, Finding{"layers", fmt.Sprintf("docs/layers.txt:%d", l.line),
				fmt.Sprintf("package %s does not exist; put in: ~ %s", name, formatLayer(name, l.floor, l.imports))})
		}
	}
	return findings
}

// arrows collects a package's imports of this module, of its tests if asked.
func arrows(p *Package, tests bool) map[string]bool {
	used := map[string]bool{}
	for _, f := range p.Files {
		if f.Test != tests {
			continue
		}
		for imp := range f.imports() {
			if name, ok := own(imp); ok && name != p.Path {
				used[name] = true
			}
		}
	}
	return used
}

func checkArrows(p *Package, l layer, layers map[string]layer, used map[string]bool) []Finding {
	var findings []Finding
	add := func(format string, args ...any) {
		findings = append(findings, Finding{"layers", p.Path, fmt.Sprintf(format, args...)})
	}
	fix := "; put in: " + formatLayer(p.Path, l.floor, needed(l.floor, used))
	for _, imp := range sortedKeys(used) {
		if to, ok := layers[imp]; ok && to.floor >= l.floor {
			add("imports %s of floor %d from floor %d: arrows go down only", imp, to.floor, l.floor)
		} else if from, free := freeFrom(imp); !l.imports[imp] && !(free && l.floor >= from) {
			add("imports %s, which docs/layers.txt does not list%s", imp, fix)
		}
	}
	for _, imp := range sortedKeys(l.imports) {
		if !used[imp] {
			add("no longer imports %s, which docs/layers.txt lists%s", imp, fix)
		}
	}
	for _, imp := range sortedKeys(arrows(p, true)) {
		to, ok := layers[imp]
		anyFloor := imp == "internal/sim" || imp == "internal/peer"
		if ok && to.floor >= l.floor && !anyFloor && !used[imp] {
			add("its tests import %s of floor %d from floor %d: tests may import lower floors, internal/sim and internal/peer", imp, to.floor, l.floor)
		}
	}
	return findings
}

// needed leaves out the arrows that are free at a floor.
func needed(floor int, used map[string]bool) map[string]bool {
	m := map[string]bool{}
	for imp := range used {
		if from, free := freeFrom(imp); !free || floor < from {
			m[imp] = true
		}
	}
	return m
}

// suggest makes the line for a package that is not listed: on its planned
// floor, else one floor above everything it imports.
func suggest(name string, layers map[string]layer, used map[string]bool) string {
	floor := 1
	for imp := range used {
		floor = max(floor, layers[imp].floor+1)
	}
	var unplanned []string
	if plan, ok := layers[name]; ok {
		floor = max(floor, plan.floor)
		for imp := range needed(floor, used) {
			if !plan.imports[imp] {
				unplanned = append(unplanned, imp)
			}
		}
	}
	line := formatLayer(name, floor, needed(floor, used))
	if len(unplanned) > 0 {
		sort.Strings(unplanned)
		line += "   (not in the plan: " + strings.Join(unplanned, ", ") + ")"
	}
	return line
}

func formatLayer(name string, floor int, imports map[string]bool) string {
	line := fmt.Sprintf("%d %s:", floor, name)
	for _, imp := range sortedKeys(imports) {
		line += " " + imp
	}
	return line
}

// Rewrite puts what exists into the text of docs/layers.txt: new packages get
// their suggested line, arrows become the real ones. Floors and comments stay.
func Rewrite(src *Source, text string) string {
	layers, _ := parseLayers(text)
	real := map[string]string{}
	for _, p := range src.Packages {
		used := arrows(p, false)
		l, listed := layers[p.Path]
		if !listed || l.planned {
			line, _, _ := strings.Cut(suggest(p.Path, layers, used), "   (")
			real[p.Path] = line
		} else {
			real[p.Path] = formatLayer(p.Path, l.floor, needed(l.floor, used))
		}
	}
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name := layerName(line)
		switch l, listed := layers[name]; {
		case !listed:
			out = append(out, line)
		case real[name] != "":
			_, why, commented := strings.Cut(line, "#")
			if commented {
				why = " #" + why
			}
			out = append(out, real[name]+why)
			delete(real, name)
		default:
			out = append(out, "~ "+formatLayer(name, l.floor, l.imports))
		}
	}
	for _, name := range sortedKeys(real) {
		out = insertLayer(out, real[name])
	}
	return strings.Join(out, "\n") + "\n"
}

func layerName(line string) string {
	head, _, _ := strings.Cut(line, ":")
	f := strings.Fields(strings.TrimPrefix(head, "~ "))
	if len(f) != 2 {
		return ""
	}
	return f[1]
}

// insertLayer puts a line behind the last one of its floor.
func insertLayer(lines []string, line string) []string {
	floor := func(l string) int {
		n, err := strconv.Atoi(strings.Fields(strings.TrimPrefix(l, "~ ") + " x")[0])
		if err != nil {
			return -1
		}
		return n
	}
	at := len(lines)
	for i := range lines {
		if f := floor(lines[i]); f >= 0 && f <= floor(line) {
			at = i + 1
		}
	}
	return append(lines[:at], append([]string{line}, lines[at:]...)...)
}
