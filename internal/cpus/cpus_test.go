package cpus_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cpus"
)

// files makes a file system of texts.
func files(texts map[string]string) fstest.MapFS {
	root := make(fstest.MapFS)
	for name, text := range texts {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

// upTo returns the numbers below n.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestCount(t *testing.T) {
	t.Parallel()
	quota := files(map[string]string{
		"proc/self/cgroup":      "0::/\n",
		"proc/self/mountinfo":   "35 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/cpu.max": "300000 100000\n",
	})
	tests := map[string]struct {
		system cpus.System
		want   int
	}{
		"nothing known":         {cpus.System{}, 1},
		"negative":              {cpus.System{Logical: -3}, 1},
		"CPUs of the machine":   {cpus.System{Logical: 8}, 8},
		"mask":                  {cpus.System{Logical: 8, Affinity: []int{1, 5}}, 2},
		"mask wider than start": {cpus.System{Logical: 1, Affinity: upTo(8)}, 8},
		"empty mask":            {cpus.System{Logical: 8, Affinity: []int{}}, 1},
		"quota":                 {cpus.System{Logical: 8, Affinity: upTo(8), Root: quota}, 3},
		"mask below quota":      {cpus.System{Logical: 8, Affinity: upTo(2), Root: quota}, 2},
		"user below quota":      {cpus.System{Logical: 8, Affinity: upTo(8), Root: quota, Max: 1}, 1},
		"user above quota":      {cpus.System{Logical: 8, Affinity: upTo(8), Root: quota, Max: 7}, 3},
		"user above all":        {cpus.System{Logical: 8, Max: math.MaxInt}, 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.system.Count())
		})
	}
}

func TestParseMax(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"": 0, "1": 1, "64": 64, "007": 7} {
		n, err := cpus.ParseMax(value)
		require.NoError(t, err, value)
		require.Equal(t, want, n, value)
	}
	long := strings.Repeat("9", 1<<20)
	for _, value := range []string{"0", "-1", "two", "1.5", " 2", "0x10", "99999999999999999999", "\x1b[31m", long} {
		n, err := cpus.ParseMax(value)
		require.Zero(t, n, value)
		require.ErrorContains(t, err, strconv.Quote(value[:min(len(value), 64)]))
		require.Less(t, len(err.Error()), 200)
	}
}
