package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sampleResults is a run with a contender that is missing, a cell that has failed and
// one that takes no part.
func sampleResults() *results {
	latency := &rowResult{Name: "latency-64", Title: "Echo", Unit: unitTime, Absent: []notice{{"piscina", "why | not"}, {"loky", "why | not"}}, Cells: []*cell{
		{Contender: "pipe", samples: []float64{1000, 1000, 5000}, Calls: 3, CPU: true, hostTime: 6000, workTime: 3000},
		{Contender: sandpoolName, samples: []float64{1900, 2000, 2100}, Calls: 3},
		{Contender: "wazero", Side: "fresh", Error: "broken\nin two lines"},
	}}
	rates := &rowResult{Name: "map-2", Title: "Map", Unit: unitRate, Cells: []*cell{
		{Contender: sandpoolName, samples: []float64{400_000}, Calls: 1},
		{Contender: sandpoolName, Side: "warm", samples: []float64{2e6}, Calls: 1},
		{Contender: "loky", Side: "map", samples: []float64{10_000}, Calls: 1},
	}}
	latency.finish()
	rates.finish()
	r := &results{
		Command: "bench run", Box: 300 * time.Millisecond, Rounds: 3, Versions: map[string]string{"wazero": "v1"},
		Missing: []notice{{"wasmtime", "it is not there: make bench-deps"}}, Rows: []*rowResult{latency, rates},
	}
	r.judge()
	return r
}

func TestRowResult_finish(t *testing.T) {
	t.Parallel()
	r := sampleResults()
	pipe := r.row("latency-64").Cells[0]
	require.InDelta(t, 0.5, pipe.Ratio, 1e-9, "half as long as Sandpool")
	require.InDelta(t, 1, pipe.Floor, 1e-9)
	require.InDelta(t, 2000, pipe.Host, 1e-9)
	require.InDelta(t, 1000, pipe.Workers, 1e-9)
	require.InDelta(t, 2, r.row("latency-64").Cells[1].Floor, 1e-9)
	loky := r.row("map-2").Cells[2]
	require.InDelta(t, 40, loky.Ratio, 1e-9, "a rate of a fortieth")
	require.Zero(t, loky.Floor, "there is no floor")
	require.Zero(t, r.row("latency-64").Cells[2].Ratio)
	require.Nil(t, r.row("nothing").find(sandpoolName, ""))
}

func TestResults_judge(t *testing.T) {
	t.Parallel()
	words := make(map[string]string)
	r := sampleResults()
	for _, v := range r.Targets {
		words[v.What] = v.word()
	}
	require.Equal(t, "PASS", words["no-op call of 64 bytes, one in flight"])
	require.Equal(t, "PASS", words["Map with two workers, guest in C, warm"])
	require.Equal(t, "MISS", words["Map with two workers, guest in C, a clean instance each"])
	require.Equal(t, "????", words["Submit with two workers"], "its row is missing")
	n := len(r.Targets)
	r.judge()
	require.Len(t, r.Targets, n, "it can be judged again")
}

func TestResults_markdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	sampleResults().markdown(&b, "img", map[string]bool{"map-2": true})
	text := b.String()
	for _, want := range []string{
		"Missing in this run: wasmtime (it is not there: make bench-deps).",
		"failed: broken in two lines",
		"Not here: piscina, loky (why | not).",
		"![Map](img/map-2.svg)",
		"| PASS |",
		"400 k/s",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "latency-64.svg")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| pipe ") {
			require.Equal(t, len(sampleResults().Rows[0].columns())+1, strings.Count(line, "|"))
		}
	}
}

func TestResults_save(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := sampleResults()
	require.NoError(t, r.save(dir, "results"))
	again, err := readResults(filepath.Join(dir, "results.json"))
	require.NoError(t, err)
	require.Equal(t, r.row("map-2").Cells[1].figures, again.row("map-2").Cells[1].figures)
	require.Equal(t, r.Targets, again.Targets)
	svg, err := os.ReadFile(filepath.Join(dir, "charts", "latency-64.svg"))
	require.NoError(t, err)
	require.Contains(t, string(svg), "sandpool")
}

func TestPublish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, sampleResults().save(dir, "results"))
	page := filepath.Join(dir, "page.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n"+publishBegin+"old\n"+publishEnd+"after\n"), 0o600))
	for range 2 {
		require.NoError(t, publish(filepath.Join(dir, "results.json"), page))
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), "### map-2"))
		require.NotContains(t, string(text), "old\n")
		require.True(t, strings.HasPrefix(string(text), "before\n") && strings.HasSuffix(string(text), "after\n"))
	}
	require.FileExists(t, filepath.Join(dir, "img", "map-2.svg"))
	require.NoError(t, os.WriteFile(page, []byte("no place\n"), 0o600))
	require.Error(t, publish(filepath.Join(dir, "results.json"), page))
}

func TestChosen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags flags
		want  int
	}{
		"all":         {flags{}, len(rows())},
		"a beginning": {flags{rows: []string{"map"}}, 3},
		"a name":      {flags{rows: []string{"latency-64"}}, 1},
		"two":         {flags{rows: []string{"cold", "crash"}}, 2},
		"not quick":   {flags{rows: []string{"trap"}, quick: true}, 1},
	} {
		some, err := c.flags.chosen(rows())
		require.NoError(t, err, name)
		require.Len(t, some, c.want, name)
	}
	quick := flags{quick: true}
	some, err := quick.chosen(rows())
	require.NoError(t, err)
	require.NotEmpty(t, some)
	require.Less(t, len(some), len(rows()))
	_, err = (&flags{rows: []string{"nonsense"}}).chosen(rows())
	require.ErrorContains(t, err, "nonsense")
}
