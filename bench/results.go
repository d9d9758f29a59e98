package main

import (
	"encoding/json"
	"os"
	"slices"
	"time"

	"github.com/sandpool/sandpool/internal/benchtest"
)

// sandpoolName is what ratios are about.
const sandpoolName = "sandpool"

// Results are all that a run has found, as results.json has it.
type results struct {
	Command    string            `json:"command"`
	Began      time.Time         `json:"began"`
	Took       time.Duration     `json:"took_ns"`
	Machine    benchtest.Machine `json:"machine"`
	Commit     string            `json:"commit,omitempty"`
	LoadBefore string            `json:"load_before"`
	LoadAfter  string            `json:"load_after"`
	Box        time.Duration     `json:"box_ns"`
	Rounds     int               `json:"rounds"`
	Versions   map[string]string `json:"versions"`
	Missing    []notice          `json:"missing"`
	Rows       []*rowResult      `json:"rows"`
	Targets    []verdict         `json:"targets"`
}

// A notice says what is not there and why.
type notice struct {
	Who string `json:"who"`
	Why string `json:"why"`
}

// A rowResult is one row.
type rowResult struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Unit   unit     `json:"unit"`
	Worst  bool     `json:"worst,omitempty"` // it is the worst sample that counts, and not the median
	Cells  []*cell  `json:"cells"`
	Absent []notice `json:"absent"` // who takes no part, and why
}

// A cell is a contender in a row.
type cell struct {
	Contender string `json:"contender"`
	Side      string `json:"side,omitempty"`
	figures
	Calls   int     `json:"calls"`
	Ratio   float64 `json:"ratio_to_sandpool"` // how many times worse it is than Sandpool's first; 0 if unknown
	Floor   float64 `json:"ratio_to_floor"`    // than the floor's
	Host    float64 `json:"host_cpu_ns_per_call"`
	Workers float64 `json:"workers_cpu_ns_per_call"`
	CPU     bool    `json:"cpu_known"`
	Error   string  `json:"error,omitempty"` // what went wrong, in the place of figures

	absent             bool
	samples            []float64
	hostTime, workTime time.Duration
}

// label is how tables and charts call it.
func (c *cell) label() string {
	if c.Side == "" {
		return c.Contender
	}
	return c.Contender + ", " + c.Side
}

// finish turns the samples of a row into figures.
func (row *rowResult) finish() {
	for _, c := range row.Cells {
		c.figures = figuresOf(c.samples)
		if c.Calls > 0 {
			c.Host, c.Workers = float64(c.hostTime)/float64(c.Calls), float64(c.workTime)/float64(c.Calls)
		}
	}
	ours, floor := row.find(sandpoolName, ""), row.floor()
	if ours == nil {
		ours = row.find(sandpoolName, "Go guest") // where that is all there is
	}
	for _, c := range row.Cells {
		if ours != nil {
			c.Ratio = worse(row.Unit, row.key(c), row.key(ours))
		}
		if floor != nil {
			c.Floor = worse(row.Unit, row.key(c), row.key(floor))
		}
	}
}

// key is the figure of a cell that the row is about.
func (row *rowResult) key(c *cell) float64 {
	if row.Worst {
		return c.Max
	}
	return c.Median
}

// drop removes the cells of those that take no part.
func (row *rowResult) drop() {
	row.Cells = slices.DeleteFunc(row.Cells, func(c *cell) bool { return c.absent })
}

// find returns a cell that has figures, or nil.
func (row *rowResult) find(contender, side string) *cell {
	if row == nil {
		return nil
	}
	for _, c := range row.Cells {
		if c.Contender == contender && c.Side == side && c.Error == "" {
			return c
		}
	}
	return nil
}

// floor is the cell of what cannot be beaten in the same way: pipes where bytes are
// moved between processes, else native code.
func (row *rowResult) floor() *cell {
	for _, name := range []string{"pipe", "native"} {
		for _, c := range row.Cells {
			if c.Contender == name && c.Error == "" {
				return c
			}
		}
	}
	return nil
}

// row returns a row by its name, or nil.
func (r *results) row(name string) *rowResult {
	for _, row := range r.Rows {
		if row.Name == name {
			return row
		}
	}
	return nil
}

// write writes a file of JSON.
func (r *results) write(path string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644) //nolint:gosec // it is to be read
}

// readResults reads one.
func readResults(path string) (*results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(results)
	return r, json.Unmarshal(b, r)
}
