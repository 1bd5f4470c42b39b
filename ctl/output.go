package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"helenus/internal/yaml"
)

// show writes a value as the operator wants it: in its layout, as JSON or YAML.
func (c *command) show(v any, layout func(w io.Writer)) error {
	switch c.output {
	case "json":
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		_, err = fmt.Fprintf(c.env.Out, "%s\n", text)
		return err
	case "yaml":
		text, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		_, err = c.env.Out.Write(text)
		return err
	}
	layout(c.env.Out)
	return nil
}

// columns lines texts up as nodetool does: to the left, as wide as the widest,
// and the last column is padded too.
type columns struct {
	rows [][]string
}

func (t *columns) add(cells ...string) { t.rows = append(t.rows, cells) }

// widths are the widest cells of tables that share their columns.
func widths(tables ...*columns) []int {
	var w []int
	for _, t := range tables {
		for _, row := range t.rows {
			for i, cell := range row {
				if i == len(w) {
					w = append(w, 0)
				}
				w[i] = max(w[i], len(cell))
			}
		}
	}
	return w
}

func (t *columns) write(w io.Writer, widths []int, delimiter string) {
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = fmt.Sprintf("%-*s", widths[i], cell)
		}
		fmt.Fprintln(w, strings.Join(cells, delimiter))
	}
}

// fileSize writes bytes as nodetool does: at most two decimals, none if zero.
func fileSize(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	value := float64(n)
	unit := ""
	for _, u := range units {
		if value < 1<<10 {
			break
		}
		value, unit = value/(1<<10), u
	}
	text := strings.TrimRight(strconv.FormatFloat(value, 'f', 2, 64), "0")
	return strings.TrimSuffix(text, ".") + " " + unit
}

func optionalSize(n *int64) string {
	if n == nil {
		return "?"
	}
	return fileSize(*n)
}

// percent writes a share with so many decimals, "?" if it is not known.
func percent(share *float64, decimals int) string {
	if share == nil {
		return "?"
	}
	return strconv.FormatFloat(*share*100, 'f', decimals, 64) + "%"
}
