package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var (
	ourColor   = color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}
	theirColor = color.RGBA{R: 0x2c, G: 0x3e, B: 0x50, A: 0xff}
	farColor   = color.RGBA{R: 0x95, G: 0xa5, B: 0xa6, A: 0xff}
)

// charts draws a picture of each row that has one.
func (r *results) charts(dir string, which map[string]bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is to be read
		return err
	}
	for _, row := range r.Rows {
		if !which[row.Name] {
			continue
		}
		if err := row.chart(filepath.Join(dir, row.Name+".svg")); err != nil {
			return fmt.Errorf("chart of %s: %w", row.Name, err)
		}
	}
	return nil
}

// chart draws a line for each cell on a logarithmic axis, from the median, a dot, to
// what one in a hundred exceeds, the least rate, or the worst pause. The best stands above.
func (row *rowResult) chart(path string) error {
	var cells []*cell
	for _, c := range row.Cells {
		if c.Error == "" && c.Median > 0 {
			cells = append(cells, c)
		}
	}
	if len(cells) == 0 {
		return nil
	}
	slices.SortStableFunc(cells, func(a, b *cell) int { // the axis goes up
		c := cmp.Compare(row.key(b), row.key(a))
		if row.Unit.higherIsBetter() {
			return -c
		}
		return c
	})
	p := plot.New()
	p.Title.Text = row.Title
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{row.Unit}
	p.X.Min, p.X.Max = math.Inf(1), math.Inf(-1)
	p.Add(plotter.NewGrid())
	var labels []string
	for i, c := range cells {
		labels = append(labels, c.label())
		if err := row.addCell(p, float64(i), c); err != nil {
			return err
		}
	}
	p.NominalY(labels...)
	p.Y.Min, p.Y.Max = -0.7, float64(len(cells))-0.3
	p.Y.Tick.Label.Font.Size, p.Title.Padding = vg.Points(9), vg.Points(4)
	p.X.Min, p.X.Max = math.Pow(10, math.Floor(math.Log10(p.X.Min))), math.Pow(10, math.Ceil(math.Log10(p.X.Max)))
	return p.Save(8*vg.Inch, vg.Length(len(cells))*0.24*vg.Inch+0.9*vg.Inch, path)
}

func (row *rowResult) addCell(p *plot.Plot, y float64, c *cell) error {
	far := c.P99
	if row.Unit.higherIsBetter() {
		far = c.Min
	} else if row.Worst {
		far = c.Max
	}
	far = max(far, c.Median/1000) // an axis of logarithms has no 0
	line, err := plotter.NewLine(plotter.XYs{{X: c.Median, Y: y}, {X: far, Y: y}})
	if err != nil {
		return err
	}
	line.Color, line.Width = farColor, vg.Points(2)
	dot, err := plotter.NewScatter(plotter.XYs{{X: c.Median, Y: y}})
	if err != nil {
		return err
	}
	dot.GlyphStyle = draw.GlyphStyle{Color: theirColor, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
	if c.Contender == sandpoolName {
		dot.Color = ourColor
	}
	p.Add(line, dot)
	return nil
}

// decades marks the powers of ten, with their unit.
type decades struct{ unit unit }

// Ticks implements plot.Ticker.
func (d decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		v := math.Pow(10, e)
		ticks = append(ticks, plot.Tick{Value: v, Label: d.unit.text(v)})
	}
	return ticks
}
