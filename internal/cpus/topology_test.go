package cpus_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cpus"
)

// siblings returns a topology with these lists, one for each CPU.
func siblings(file string, lists ...string) map[string]string {
	texts := make(map[string]string)
	for cpu, list := range lists {
		texts[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/%s", cpu, file)] = list + "\n"
	}
	return texts
}

// numbered returns a topology of numbers only: package, die and core of each CPU.
func numbered(numbers ...[3]string) map[string]string {
	texts := make(map[string]string)
	for cpu, n := range numbers {
		for i, file := range []string{"physical_package_id", "die_id", "core_id"} {
			if n[i] != "" {
				texts[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/%s", cpu, file)] = n[i] + "\n"
			}
		}
	}
	return texts
}

func TestPhysical(t *testing.T) {
	t.Parallel()
	twoThreads := siblings("core_cpus_list", "0,2", "1,3", "0,2", "1,3")
	tests := map[string]struct {
		files    map[string]string
		affinity []int
		want     int
	}{
		"two threads a core":   {twoThreads, upTo(4), 2},
		"ranges":               {siblings("core_cpus_list", "0-1", "0-1", "2-3", "2-3"), upTo(4), 2},
		"mixed lists":          {siblings("core_cpus_list", "0-1,3", "0-1,3", "2", "0-1,3"), upTo(4), 2},
		"one thread a core":    {siblings("core_cpus_list", "0", "1", "2", "3"), upTo(4), 4},
		"old kernel":           {siblings("thread_siblings_list", "0,2", "1,3", "0,2", "1,3"), upTo(4), 2},
		"mask of one core":     {twoThreads, []int{1, 3}, 1},
		"mask of two cores":    {twoThreads, []int{0, 3}, 2},
		"mask of one thread":   {twoThreads, []int{2}, 1},
		"numbers":              {numbered([3]string{"0", "", "0"}, [3]string{"0", "", "0"}, [3]string{"1", "", "0"}, [3]string{"1", "", "4"}), upTo(4), 3},
		"numbers with dies":    {numbered([3]string{"0", "0", "0"}, [3]string{"0", "0", "0"}, [3]string{"0", "1", "0"}, [3]string{"0", "1", "1"}), upTo(4), 3},
		"bad list, numbers":    {merged(siblings("core_cpus_list", "?", "1-0"), numbered([3]string{"0", "", "7"}, [3]string{"0", "", "7"})), upTo(2), 1},
		"list without the CPU": {merged(siblings("core_cpus_list", "1", "0"), siblings("thread_siblings_list", "0-1", "0-1")), upTo(2), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := cpus.System{Root: files(test.files), Affinity: test.affinity, Logical: 4}
			require.Equal(t, test.want, s.Physical())
			require.Equal(t, len(test.affinity), s.Count())
		})
	}
}

func TestC5_coresNotFound(t *testing.T) {
	t.Parallel()
	require.Equal(t, 4, cpus.System{Logical: 4}.Physical(), "no files, no mask")
	require.Equal(t, 4, cpus.System{Logical: 4, Affinity: upTo(4)}.Physical(), "no files")
	require.Equal(t, 1, cpus.System{Logical: 4, Affinity: []int{}}.Physical(), "empty mask")
	for name, texts := range map[string]map[string]string{
		"empty":             nil,
		"one CPU missing":   siblings("core_cpus_list", "0-1", "0-1", "2"),
		"empty lists":       siblings("core_cpus_list", "", "", "", ""),
		"garbage":           siblings("core_cpus_list", "x", "x", "x", "x"),
		"other CPUs":        siblings("core_cpus_list", "8", "8", "8", "8"),
		"huge":              siblings("core_cpus_list", "0-99999999999", "0-99999999999", "0-99999999999", "0-99999999999"),
		"core number only":  numbered([3]string{"", "", "0"}, [3]string{"", "", "0"}, [3]string{"", "", "0"}, [3]string{"", "", "0"}),
		"no core number":    numbered([3]string{"0", "0", ""}, [3]string{"0", "0", ""}, [3]string{"0", "0", ""}, [3]string{"0", "0", ""}),
		"numbers that lack": numbered([3]string{"a", "", "b"}, [3]string{"a", "", "b"}, [3]string{"a", "", "b"}, [3]string{"a", "", "b"}),
	} {
		s := cpus.System{Root: files(texts), Affinity: upTo(4), Logical: 4}
		require.Equal(t, 4, s.Physical(), name)
		s.Max = 3
		require.Equal(t, 3, s.Physical(), name)
	}
}

func TestC6_limitBeatsPhysical(t *testing.T) {
	t.Parallel()
	texts := siblings("core_cpus_list", "0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7")
	s := cpus.System{Root: files(texts), Affinity: upTo(8), Logical: 8}
	require.Equal(t, 4, s.Physical())
	for limit, want := range []int{4, 1, 2, 3, 4, 4, 4} {
		s.Max = limit
		require.Equal(t, want, s.Physical(), "limit %d", limit)
	}
	s.Max = 0
	for quota, want := range map[string]int{"max": 4, "50000": 1, "250000": 3, "600000": 4} {
		withQuota := maps.Clone(texts)
		withQuota["proc/self/cgroup"], withQuota["proc/self/mountinfo"] = "0::/\n", v2Mount
		withQuota["sys/fs/cgroup/cpu.max"] = quota + " 100000\n"
		s.Root = files(withQuota)
		require.Equal(t, want, s.Physical(), quota)
	}
}
