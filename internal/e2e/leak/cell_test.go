package leak_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// costlyEvery is in how many calls there is one that takes long.
const costlyEvery = 100

// A cell is one method with one guest.
type cell struct {
	method startmethod.Method // asked for
	used   startmethod.Method // of the calls that succeeded

	fallback string // why that is another

	state *guesttest.State
	ex    *executor.Executor
	do    raw
	logs  record

	clean     string // the look at an instance that nobody has touched
	firstLine bool   // only that of a look is compared
	base      kept   // what an instance has seen before its first call
	now       kept   // the same of the instance of the last call, where that is kept

	pids                 map[int]bool // processes that have answered
	ends                 map[string]int
	calls, looks, costly int
}

// kept is what an instance has seen.
type kept struct{ calls, marks, last int }

func newCell(t *testing.T, method startmethod.Method, state *guesttest.State, o executor.Options) *cell {
	t.Helper()
	c := &cell{method: method, state: state, pids: make(map[int]bool), ends: make(map[string]int)}
	o.StartMethod = method
	o.GuestLog = c.logs.logger()
	c.ex = newExecutor(t, o)
	c.do = raw{Module: module(t, state.Wasm), Name: "do"}

	c.clean = cleanLook(t, c, o.Initializer.Name)
	return c
}

// looks are what cleanLook has seen: a Go guest takes seconds to compile.
var looks struct {
	mu  sync.Mutex // guards all; held while a look is taken
	all map[string]string
}

// cleanLook looks at an instance that was made from scratch.
func cleanLook(t *testing.T, c *cell, initializer string) string {
	t.Helper()
	key := c.do.Module.Digest() + initializer
	looks.mu.Lock()
	defer looks.mu.Unlock()
	if looks.all[key] == "" {
		fresh := c.do
		fresh.StartMethod = startmethod.Fresh
		out, err := executor.Submit(t.Context(), c.ex, fresh, guesttest.StateInput("look", 0)).Wait(t.Context())
		require.NoError(t, err)
		if looks.all == nil {
			looks.all = make(map[string]string)
		}
		looks.all[key] = string(out)
	}
	return looks.all[key]
}

// verbs returns those that are costly or those that are not, in order.
func (c *cell) verbs(costly bool) []string {
	verbs := slices.Sorted(maps.Keys(c.state.Verbs))
	return slices.DeleteFunc(verbs, func(verb string) bool { return c.state.Costly(verb) != costly })
}

// script returns the verb of each call: marks, endings in turn, and a look after
// each of these.
func (c *cell) script(n int) []string {
	cheap, costly := c.verbs(false), c.verbs(true)
	script := make([]string, n)
	for i := range script {
		switch {
		case i%5 == 2 || i%5 == 4:
			script[i] = "look"
		case i%costlyEvery == 13:
			script[i] = costly[i/costlyEvery%len(costly)]
		case i%5 == 0:
			script[i] = "mark"
		default:
			script[i] = cheap[i/5*2%len(cheap)]
			if i%5 == 3 {
				script[i] = cheap[(i/5*2+1)%len(cheap)]
			}
		}
	}
	return script
}

// run makes n calls and checks each.
func (c *cell) run(t *testing.T, n int) {
	t.Helper()
	c.now = c.base
	script := c.script(n)
	inWindows(n, func(i int) *future {
		return executor.Submit(t.Context(), c.ex, c.do, guesttest.StateInput(script[i], i))
	}, func(i int, f *future) {
		out, err := f.Wait(t.Context())
		u := f.Usage()
		c.pids[u.PID] = true
		c.calls++
		if err == nil {
			if c.used == "" {
				c.used, c.fallback = u.StartMethod, u.Fallback
			}
			require.Equal(t, c.used, u.StartMethod, "call %d", i)
		}
		if c.used != warm {
			c.now = c.base // every instance is new
		}
		if script[i] == "look" {
			require.NoError(t, err, "call %d", i)
			c.looked(t, i, string(out))
			return
		}
		c.ended(t, i, script[i], err)
	})
	require.Positive(t, c.looks)
}

// looked checks a look.
func (c *cell) looked(t *testing.T, i int, look string) {
	t.Helper()
	c.looks++
	c.now.calls++
	line, rest, _ := strings.Cut(look, "\n")
	require.Equal(t, guesttest.StateLine(c.now.calls, c.now.marks, c.now.last), line+"\n", "call %d", i)
	if c.used != warm && !c.firstLine {
		require.Equal(t, c.clean, look, "call %d", i)
	}
	found, _, _ := strings.Cut(rest, "\n")
	require.Equal(t, c.now.marks == 0, found == "found=00000000", "call %d: %s", i, look)
}

// ended checks that a call has ended as its verb says.
func (c *cell) ended(t *testing.T, i int, verb string, err error) {
	t.Helper()
	ending := c.state.Verbs[verb]
	require.NoError(t, wrongEnd(ending, err), "call %d: %s", i, verb)
	c.ends[verb]++
	if c.state.Costly(verb) {
		c.costly++
	}
	if ending.Kept() {
		c.now = kept{c.now.calls + 1, c.now.marks + 1, i}
	} else {
		c.now = c.base
	}
}

// wrongEnd returns nil if err is what an ending gives.
func wrongEnd(ending guesttest.Ending, err error) error {
	g, _ := errors.AsType[*executor.GuestError](err)
	l, _ := errors.AsType[*executor.LimitError](err)
	if g == nil {
		g = new(executor.GuestError)
	}
	memory := l != nil && l.Limit == "memory"
	stack := l != nil && l.Limit == "stack" // what a recursion without an end comes to
	died := g.Code == executor.CodeTrap || g.Code == executor.CodeExit
	var ok bool
	switch ending {
	case guesttest.EndsWell:
		ok = err == nil
	case guesttest.EndsInError:
		ok = g.Code == executor.CodeError && g.Message == "marked and failed"
	case guesttest.EndsInPanic, guesttest.EndsInGoexit:
		ok = g.Code == executor.CodePanic
	case guesttest.EndsInTrap:
		ok = g.Code == executor.CodeTrap || stack
	case guesttest.EndsInExit:
		ok = g.Code == executor.CodeExit && g.ExitCode == 3
	case guesttest.EndsInAbort, guesttest.EndsInMemory: // a Go guest's stack is in its memory
		ok = died || memory || stack
	case guesttest.EndsInOutput:
		ok = l != nil && l.Limit == "output"
	}
	if ok {
		return nil
	}
	return fmt.Errorf("ended otherwise: %w", cmp.Or(err, errReturned))
}

var errReturned = errors.New("it returned")

// printed is what a mark writes to the standard streams.
var printed = regexp.MustCompile(`(out|err) (\d{8})`)

// logsApart checks that no call has printed what another had left in a buffer.
func (c *cell) logsApart(t *testing.T) {
	t.Helper()
	if c.used == warm || c.state.Name == "tiny" { // which prints nothing
		return
	}
	seen := make(map[string]bool)
	last := map[string]string{}
	for _, m := range printed.FindAllStringSubmatch(c.logs.text(), -1) {
		require.False(t, seen[m[0]], "%q was printed twice", m[0])
		seen[m[0]] = true
		require.Less(t, last[m[1]], m[2], "%s: printed late", m[1])
		last[m[1]] = m[2]
	}
	require.NotEmpty(t, seen)
}

// A report is the table that the matrix prints.
type report struct {
	mu   sync.Mutex // guards rows
	rows []string
}

func (r *report) add(c *cell) {
	ends := make([]string, 0, len(c.ends))
	for _, verb := range slices.Sorted(maps.Keys(c.ends)) {
		ends = append(ends, fmt.Sprintf("%s %d", verb, c.ends[verb]))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%s", c.method, c.state.Name, c.calls, c.looks, len(c.pids), strings.Join(ends, ", ")))
}

func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.rows)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nmethod\tguest\tcalls\tlooks\tprocesses\tmarks and ways of ending")
	for _, row := range r.rows {
		fmt.Fprintln(w, row)
	}
	_ = w.Flush() // to memory
	return b.String()
}
