package hostile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// A class is specimens of one kind.
type class struct {
	name string
	all  func() []specimen
	// dear ones run in the full form alone, but under Precompiled; and never under Fresh,
	// which compiles in the worker: one that takes more memory than a compilation may ends
	// that.
	dear bool
}

var classes = []class{
	{name: "loop", all: loops},
	{name: "recursion", all: recursions},
	{name: "memory", all: bombs},
	{name: "trap", all: traps},
	{name: "start", all: starts},
	{name: "exit", all: exits},
	{name: "fail", all: fails},
	{name: "flood", all: floods},
	{name: "shape", all: shapes},
	{name: "description", all: lies},
	{name: "claim", all: claims},
	{name: "cost", all: costs, dear: true},
}

// images reports whether calls under the method start from an image.
func images(method startmethod.Method) bool {
	return method == startmethod.Snapshot || method == startmethod.Warm
}

// skip reports whether a form of the test leaves a specimen out.
func (c class) skip(s specimen, method startmethod.Method) bool {
	if c.dear && method == startmethod.Fresh {
		return true
	}
	if testing.Short() && c.dear {
		return true // the compiler takes minutes under the race detector
	}
	return !*full && (s.heavy || s.slowImage && images(method) || c.dear && method != startmethod.Precompiled)
}

// formMethods are the start methods that the form of the run tries: all in the full one, and
// under the race detector one alone.
func formMethods() []startmethod.Method {
	switch {
	case *full:
		return startmethod.Methods()
	case testing.Short():
		return []startmethod.Method{startmethod.Precompiled}
	default:
		return []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot}
	}
}

// TestCorpus runs every specimen under the start methods, in one executor each.
func TestCorpus(t *testing.T) {
	bound(t)
	r := newReport(t)
	t.Run("methods", func(t *testing.T) {
		for _, method := range formMethods() {
			t.Run(string(method), func(t *testing.T) {
				t.Parallel()
				p := newPool(t, method)
				for _, c := range classes {
					t.Run(c.name, func(t *testing.T) {
						for _, s := range c.all() {
							if !c.skip(s, method) {
								p.check(t, r, c.name, s)
							}
						}
					})
				}
			})
		}
	})
}

// check runs one specimen, and a good call right after.
func (p *pool) check(t *testing.T, r *report, class string, s specimen) {
	t.Helper()
	t.Run(s.name, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		defer cancel()
		err := p.run(ctx, s.wasm(), s)
		got := outcome(err)
		r.add(class, got)
		require.Contains(t, s.want, got, "%v", err)
		if l, is := errors.AsType[*executor.LimitError](err); is && l.Limit == "wall" {
			require.LessOrEqual(t, l.Max, int64(limits.Wall))
		}
		if s.text != "" {
			require.ErrorContains(t, err, s.text)
		}
		fit(t, err)
		p.good(t)
	})
}

// fit checks that an error can be shown, and keeps to its documented bounds.
func fit(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	require.Empty(t, unfit(err.Error()))
	require.NotContains(t, err.Error(), "goroutine ", "no stack of the worker's")
	g, is := errors.AsType[*executor.GuestError](err)
	if !is {
		return
	}
	require.LessOrEqual(t, len(g.Message), 64<<10)
	require.LessOrEqual(t, len(g.Stack), 256<<10)
	require.LessOrEqual(t, len(g.Stderr), 4<<10)
	for _, s := range []string{g.Message, g.Stack, g.Stderr} {
		require.Equal(t, s, strings.ToValidUTF8(s, "?"))
	}
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
