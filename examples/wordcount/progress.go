package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// lineEvery is how often progress is told where there is no terminal.
const lineEvery = 5 * time.Second

// A progress shows how far the program is: by a bar on a terminal, elsewhere by
// a line now and then. It is for one goroutine.
type progress struct {
	w          io.Writer
	bar        *progressbar.ProgressBar // nil without a terminal
	total      int
	done       int
	lastReport time.Time
}

// newProgress returns a progress that is told on w, with a bar if one is wanted and
// w is a terminal.
func newProgress(w io.Writer, total int, bar bool) *progress {
	p := &progress{w: w, total: total, lastReport: time.Now()}
	if f, ok := w.(*os.File); bar && ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription("counting words"),
			progressbar.OptionSetItsString("files"),
			progressbar.OptionShowIts(),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// add notes that n more files are done.
func (p *progress) add(n int) {
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add(n) // a terminal that cannot be written to is no reason to stop
		return
	}
	if p.done < p.total && time.Since(p.lastReport) >= lineEvery {
		p.lastReport = time.Now()
		fmt.Fprintf(p.w, "%s of %s files\n", grouped(p.done), grouped(p.total))
	}
}

// printf prints a line above the bar.
func (p *progress) printf(format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.w, format, args...)
	if p.bar != nil {
		_ = p.bar.RenderBlank()
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
