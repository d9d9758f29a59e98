package hostile_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// A report counts what became of modules. Its methods are safe for concurrent use.
type report struct {
	mu     sync.Mutex // guards counts
	counts map[string]map[string]int
}

// newReport returns a report that is printed when the test is over.
func newReport(t *testing.T) *report {
	t.Helper()
	r := &report{counts: make(map[string]map[string]int)}
	t.Cleanup(func() { t.Log(r.table()) })
	return r
}

func (r *report) add(class, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts[class] == nil {
		r.counts[class] = make(map[string]int)
	}
	r.counts[class][outcome]++
}

func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nclass\tcalls\toutcomes")
	for _, class := range sorted(r.counts) {
		var parts []string
		calls := 0
		for _, o := range sorted(r.counts[class]) {
			n := r.counts[class][o]
			calls += n
			parts = append(parts, fmt.Sprintf("%s %d", o, n))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", class, calls, strings.Join(parts, ", "))
	}
	_ = w.Flush() // to memory
	return b.String()
}
