package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/internal/benchtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// flags are what all commands have.
type flags struct {
	src, out   string
	box        time.Duration
	rounds     int
	quick      bool
	rows, only []string
}

func newRoot(out io.Writer) *cobra.Command {
	f := new(flags)
	root := &cobra.Command{
		Use: "bench", Short: "Measure Sandpool beside what a user would pick instead",
		SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
	}
	root.SetOut(out)
	p := root.PersistentFlags()
	p.StringVar(&f.src, "src", ".", "directory of this program's source")
	p.StringVar(&f.out, "out", "out", "directory for what is built and found")
	p.DurationVar(&f.box, "box", 300*time.Millisecond, "time of a cell in a round; one call is made at least")
	p.IntVar(&f.rounds, "rounds", 3, "rounds, in which all contenders take turns")
	p.StringSliceVar(&f.rows, "rows", nil, "rows to measure, by their names or how those begin (default all)")
	p.StringSliceVar(&f.only, "contenders", nil, "contenders to measure (default all)")
	run := &cobra.Command{Use: "run", Short: "Measure every row", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return f.run(c.Context(), out)
	}}
	run.Flags().BoolVar(&f.quick, "quick", false, "the most telling rows only")
	root.AddCommand(run,
		&cobra.Command{Use: "scale", Short: "Measure the long rows: calls, workers, payloads and modules", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return f.scale(c.Context(), out)
		}},
		&cobra.Command{Use: "list", Short: "List the rows", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			for _, row := range slices.Concat(rows(), scaleRows()) {
				fmt.Fprintf(out, "%-16s  %s\n", row.name, row.title)
			}
			return nil
		}},
		&cobra.Command{Use: "publish RESULTS DOC", Short: "Put the table and the charts of a run into a page", Args: cobra.ExactArgs(2), RunE: func(_ *cobra.Command, args []string) error {
			return publish(args[0], args[1])
		}},
		&cobra.Command{Use: "profile ROW [SIDE]", Short: "Profile the host and a worker of Sandpool's in a row, on its first line or on the one named SIDE", Args: cobra.RangeArgs(1, 2), RunE: func(c *cobra.Command, args []string) error {
			return f.profile(c.Context(), out, args[0], append(args, "")[1])
		}})
	return root
}

// chosen are the rows that the flags name.
func (f *flags) chosen(all []row) (some []row, err error) {
	unused := make(map[string]bool)
	for _, name := range f.rows {
		unused[name] = true
	}
	for _, r := range all {
		if f.quick && !r.quick && len(f.rows) == 0 {
			continue
		}
		take := len(f.rows) == 0
		for _, name := range f.rows {
			if r.name == name || !exact(all, name) && strings.HasPrefix(r.name, name) {
				take = true
				delete(unused, name)
			}
		}
		if take {
			some = append(some, r)
		}
	}
	for name := range unused {
		err = errors.Join(err, fmt.Errorf("there is no row %q: see bench list", name))
	}
	return some, err
}

// exact reports whether a row has that very name.
func exact(all []row, name string) bool {
	return slices.ContainsFunc(all, func(r row) bool { return r.name == name })
}

func (f *flags) run(ctx context.Context, out io.Writer) error {
	all, err := f.chosen(rows())
	if err != nil {
		return err
	}
	name := "results"
	if f.quick {
		name = "quick" // publish is not to take it for all
	}
	return f.measure(ctx, out, all, name, func(contender string) bool {
		return len(f.only) == 0 || slices.Contains(f.only, contender)
	})
}

func (f *flags) scale(ctx context.Context, out io.Writer) error {
	all, err := f.chosen(scaleRows())
	if err != nil {
		return err
	}
	return f.measure(ctx, out, all, "scale", func(contender string) bool {
		return contender == sandpoolName || contender == "go-plugin"
	})
}

// measure runs rows and writes everything down, also what there is when a run is
// interrupted.
func (f *flags) measure(ctx context.Context, out io.Writer, all []row, name string, only func(contender string) bool) error {
	l, err := newLab(ctx, f.src, f.out)
	if err != nil {
		return err
	}
	r := &runner{l: l, out: out, box: f.box, rounds: f.rounds, all: contenders(), first: name == "scale"}
	r.all = slices.DeleteFunc(r.all, func(c contender) bool { return !only(c.name()) })
	res := newResults(r)
	r.setup(ctx, res)
	err = r.run(ctx, all, res)
	res.LoadAfter, res.Took = benchtest.Load(), time.Since(res.Began)
	if name != "scale" {
		res.judge()
		res.printTargets(out)
	}
	fmt.Fprintf(out, "took %v\n", res.Took.Round(time.Second))
	return errors.Join(err, res.save(l.out, name))
}

// save writes the results, the table and the charts.
func (r *results) save(dir, name string) error {
	if err := r.write(filepath.Join(dir, name+".json")); err != nil {
		return err
	}
	charts := chartRows()
	if err := r.charts(filepath.Join(dir, "charts"), charts); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, name+".md"))
	if err != nil {
		return err
	}
	r.markdown(file, "charts", charts)
	return file.Close()
}

// chartRows are the rows that have a chart.
func chartRows() map[string]bool {
	names := make(map[string]bool)
	for _, row := range rows() {
		names[row.name] = row.chart
	}
	return names
}
