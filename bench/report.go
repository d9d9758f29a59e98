package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/sandpool/sandpool/internal/benchtest"
)

// columns are the head of a row's table. CPU is for each call.
func (row *rowResult) columns() []string {
	worst, other := "p99", "best"
	if row.Unit.higherIsBetter() {
		worst = "least"
	}
	if row.Worst {
		other = "worst"
	}
	return []string{"", "median", worst, other, "of Sandpool", "of the floor", "CPU host", "workers", "samples"}
}

// fields are a cell in these columns.
func (row *rowResult) fields(c *cell) []string {
	u := row.Unit
	if c.Error != "" {
		return []string{c.label(), "failed: " + c.Error}
	}
	worst := c.P99
	if u.higherIsBetter() {
		worst = c.Min
	}
	other := c.best(u)
	if row.Worst {
		other = c.Max
	}
	host, workers := "", ""
	if c.CPU && c.Calls > 0 {
		host, workers = benchtest.Time(time.Duration(c.Host)), benchtest.Time(time.Duration(c.Workers))
	}
	return []string{c.label(), u.text(c.Median), u.text(worst), u.text(other), ratio(c.Ratio), ratio(c.Floor), host, workers, strconv.Itoa(c.Samples)}
}

func ratio(x float64) string {
	if x == 0 {
		return ""
	}
	return benchtest.Ratio(x)
}

// printRow writes a row for a terminal.
func printRow(w io.Writer, r *rowResult) {
	fmt.Fprintf(w, "%s: %s\n", r.Name, r.Title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  "+strings.Join(r.columns(), "\t"))
	for _, c := range r.Cells {
		fmt.Fprintln(t, "  "+strings.Join(r.fields(c), "\t"))
	}
	_ = t.Flush() // nothing is to be done about a terminal
}

// markdown writes all of a run.
func (r *results) markdown(w io.Writer, chartDir string, charts map[string]bool) {
	fmt.Fprintf(w, "`%s`, %s, %s: %s, %d cores, %s, %s. Load %s before, %s after. Boxes of %v, %d rounds; took %v.\n\n",
		r.Command, r.Began.UTC().Format(time.DateOnly), r.Commit, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go,
		r.LoadBefore, r.LoadAfter, r.Box, r.Rounds, r.Took.Round(time.Second))
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	fmt.Fprintf(w, "Versions: %s.\n", strings.Join(versions, ", "))
	for _, n := range r.Missing {
		fmt.Fprintf(w, "\nMissing in this run: %s (%s).\n", n.Who, oneLine(n.Why))
	}
	r.markdownTargets(w)
	for _, row := range r.Rows {
		row.markdown(w)
		if charts[row.Name] {
			fmt.Fprintf(w, "\n![%s](%s/%s.svg)\n", row.Title, chartDir, row.Name)
		}
	}
}

func (r *results) markdownTargets(w io.Writer) {
	if len(r.Targets) == 0 {
		return
	}
	fmt.Fprint(w, "\n### Targets\n\n")
	table := [][]string{{"", "target", "found", "at least or most"}}
	for _, v := range r.Targets {
		table = append(table, []string{v.word(), v.What, v.Found, v.Want})
	}
	writeTable(w, table)
}

func (row *rowResult) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n%s.\n\n", row.Name, row.Title)
	table := [][]string{row.columns()}
	for _, c := range row.Cells {
		table = append(table, row.fields(c))
	}
	writeTable(w, table)
	if len(row.Absent) == 0 {
		return
	}
	// Contenders with the same reason stand together.
	var order []string
	who := make(map[string][]string)
	for _, n := range row.Absent {
		if who[n.Why] == nil {
			order = append(order, n.Why)
		}
		who[n.Why] = append(who[n.Why], n.Who)
	}
	var parts []string
	for _, why := range order {
		parts = append(parts, strings.Join(who[why], ", ")+" ("+oneLine(why)+")")
	}
	fmt.Fprintf(w, "\nNot here: %s.\n", strings.Join(parts, "; "))
}

// writeTable writes a table whose first line is its head. Short lines are filled up.
func writeTable(w io.Writer, table [][]string) {
	width := make([]int, len(table[0]))
	for _, line := range table {
		for i, f := range line {
			width[i] = max(width[i], min(40, utf8.RuneCountInString(f)))
		}
	}
	for n, line := range table {
		for i := range table[0] {
			f := ""
			if i < len(line) {
				f = strings.ReplaceAll(oneLine(line[i]), "|", "\\|")
			}
			fmt.Fprintf(w, "| %s%s ", f, strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(f))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			fmt.Fprintln(w, strings.Repeat("| --- ", len(table[0]))+"|")
		}
	}
}

// oneLine makes one of several, of bounded length.
func oneLine(s string) string {
	const most = 300
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}
