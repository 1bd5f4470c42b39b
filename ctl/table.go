package ctl

import (
	"fmt"
	"io"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// writeTable writes what nodetool has no layout for. An error of the table is
// shown in its place: the operator sees it where the table would have been.
func writeTable(w io.Writer, header []string, rows [][]string) {
	plain := tw.Rendition{
		Borders:  tw.BorderNone,
		Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone},
	}
	t := tablewriter.NewTable(w, tablewriter.WithRendition(plain), tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft), tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone), tablewriter.WithPadding(tw.Padding{Right: "  ", Overwrite: true}))
	t.Header(header)
	err := t.Bulk(rows)
	if err == nil {
		err = t.Render()
	}
	if err != nil {
		fmt.Fprintln(w, "error:", err)
	}
}
