package cpus_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cpus"
)

// Mounts as the kernel lists them.
const (
	rootMount = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
	v2Mount   = "35 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mount   = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
	v1Memory  = "36 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	v1Acct    = "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
	unified   = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)

// v1Quota returns the files of a version 1 group.
func v1Quota(dir, quota, period string) map[string]string {
	return map[string]string{dir + "/cpu.cfs_quota_us": quota, dir + "/cpu.cfs_period_us": period}
}

// merged returns the union of maps of files.
func merged(all ...map[string]string) map[string]string {
	union := make(map[string]string)
	for _, texts := range all {
		maps.Copy(union, texts)
	}
	return union
}

// Every shape of hierarchy, on a machine with 8 CPUs.
func TestQuota_hierarchies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cgroup, mounts string
		files          map[string]string
		want           int
	}{
		"v2, own group": {
			"0::/user.slice/job\n", rootMount + v2Mount,
			map[string]string{"sys/fs/cgroup/user.slice/job/cpu.max": "200000 100000\n"},
			2,
		},
		"v2, tighter parent": {
			"0::/a/b/c\n", v2Mount,
			map[string]string{
				"sys/fs/cgroup/a/b/c/cpu.max": "400000 100000\n",
				"sys/fs/cgroup/a/b/cpu.max":   "max 100000\n",
				"sys/fs/cgroup/a/cpu.max":     "150000 100000\n",
			},
			2,
		},
		"v2, tighter child": {
			"0::/a/b\n", v2Mount,
			map[string]string{"sys/fs/cgroup/a/b/cpu.max": "100000 100000\n", "sys/fs/cgroup/a/cpu.max": "700000 100000\n"},
			1,
		},
		"v2, somebody else's quota": {
			"0::/a\n", v2Mount,
			map[string]string{"sys/fs/cgroup/b/cpu.max": "100000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n"},
			8,
		},
		"v2, namespace": {
			"0::/\n", v2Mount,
			map[string]string{"sys/fs/cgroup/cpu.max": "300000 100000\n"},
			3,
		},
		"v2, outside of the namespace": {
			"0::/../other\n", v2Mount,
			map[string]string{"sys/fs/cgroup/cpu.max": "100000 100000\n", "sys/fs/other/cpu.max": "100000 100000\n"},
			8,
		},
		"v2, outside of the namespace and mounted": {
			"0::/../other/job\n", "35 23 0:28 /../other /mnt rw - cgroup2 none rw\n",
			map[string]string{"mnt/job/cpu.max": "200000 100000\n"},
			2,
		},
		"v2, mount of a part": {
			"0::/docker/1f2e/init\n", "35 23 0:28 /docker/1f2e /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			map[string]string{"sys/fs/cgroup/cpu.max": "200000 100000\n", "sys/fs/cgroup/init/cpu.max": "max 100000\n"},
			2,
		},
		"v2, mount of another part": {
			"0::/docker/1f2e9\n", "35 23 0:28 /docker/1f2e /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			map[string]string{"sys/fs/cgroup/cpu.max": "200000 100000\n"},
			8,
		},
		"v2, two mounts": {
			"0::/a/b\n", "34 23 0:28 /a/b /mnt/part rw - cgroup2 none rw\n" + v2Mount,
			map[string]string{"mnt/part/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"},
			1,
		},
		"v2, mount point with a space": {
			"0::/a\n", `35 23 0:28 / /mnt/c\040g\134x rw - cgroup2 none rw` + "\n",
			map[string]string{`mnt/c g\x/a/cpu.max`: "100000 100000\n"},
			1,
		},
		"v2, group with a colon": {
			"0::/a:b\n", v2Mount,
			map[string]string{"sys/fs/cgroup/a:b/cpu.max": "100000 100000\n"},
			1,
		},
		"v1": {
			"4:memory:/job\n3:cpu,cpuacct:/job\n", v1Memory + v1Mount,
			v1Quota("sys/fs/cgroup/cpu,cpuacct/job", "250000\n", "100000\n"), 3,
		},
		"v1, tighter parent": {
			"3:cpu,cpuacct:/a/b\n", v1Mount,
			merged(
				v1Quota("sys/fs/cgroup/cpu,cpuacct/a/b", "-1\n", "100000\n"),
				v1Quota("sys/fs/cgroup/cpu,cpuacct/a", "50000\n", "50000\n"),
				v1Quota("sys/fs/cgroup/cpu,cpuacct", "-1\n", "100000\n")), 1,
		},
		"v1, container": {
			"3:cpu,cpuacct:/docker/1f2e\n",
			"32 31 0:29 /docker/1f2e /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
			v1Quota("sys/fs/cgroup/cpu,cpuacct", "100000\n", "50000\n"), 2,
		},
		"v1, another controller": {
			"3:cpuacct:/job\n2:cpu:/\n", v1Acct,
			v1Quota("sys/fs/cgroup/cpuacct/job", "100000\n", "100000\n"), 8,
		},
		"hybrid, quota in v1": {
			"2:cpu,cpuacct:/job\n1:name=systemd:/job\n0::/job\n", v1Mount + unified,
			merged(v1Quota("sys/fs/cgroup/cpu,cpuacct/job", "150000\n", "100000\n"), map[string]string{"sys/fs/cgroup/unified/job/cgroup.procs": ""}), 2,
		},
		"hybrid, quota in v2": {
			"5:memory:/x\n0::/job\n", v1Memory + unified,
			map[string]string{"sys/fs/cgroup/unified/job/cpu.max": "400000 100000\n"},
			4,
		},
		"no groups":             {"", v2Mount, map[string]string{"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 8},
		"no mounts":             {"0::/\n", "", map[string]string{"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 8},
		"group has gone":        {"0::/job (deleted)\n", v2Mount, nil, 8},
		"last line without end": {"0::/job", strings.TrimSuffix(v2Mount, "\n"), map[string]string{"sys/fs/cgroup/job/cpu.max": "100000 100000"}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := files(merged(test.files, map[string]string{"proc/self/cgroup": test.cgroup, "proc/self/mountinfo": test.mounts}))
			require.Equal(t, test.want, cpus.System{Root: root, Logical: 8}.Count())
		})
	}
}

// quotaCount counts on a machine with 8 CPUs and a file cpu.max.
func quotaCount(t *testing.T, text string) int {
	t.Helper()
	root := files(map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/cpu.max": text})
	return cpus.System{Root: root, Logical: 8}.Count()
}

// v1Count counts on a machine with 8 CPUs and a version 1 group.
func v1Count(t *testing.T, quota, period string) int {
	t.Helper()
	root := files(merged(
		map[string]string{"proc/self/cgroup": "2:cpu:/\n", "proc/self/mountinfo": v1Mount},
		v1Quota("sys/fs/cgroup/cpu,cpuacct", quota, period)))
	return cpus.System{Root: root, Logical: 8}.Count()
}

func TestC3_quotaRoundsUp(t *testing.T) {
	t.Parallel()
	for quota, want := range map[int]int{1: 1, 1000: 1, 50_000: 1, 100_000: 1, 100_001: 2, 150_000: 2, 200_000: 2, 750_000: 8, 6_400_000: 8} {
		require.Equal(t, want, quotaCount(t, fmt.Sprintf("%d 100000\n", quota)), "%d", quota)
		require.Equal(t, want, v1Count(t, fmt.Sprintf("%d\n", quota), "100000\n"), "%d", quota)
	}
	require.Equal(t, 8, quotaCount(t, "max 100000\n"))
	require.Equal(t, 8, v1Count(t, "-1\n", "100000\n"))
}

func TestC4_noQuota(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "\n", " ", "max", "max\n", "max 100000\n", "max max\n", "100000\n", "100000 0\n", "100000 -5\n", "100000 max\n", "0 100000\n",
		"-1 100000\n", "garbage", "100000 100000 100000\n", "1e5 100000\n", "0x10 16\n", "\x00\xff 1\n", "99999999999999999999 100000\n",
		"100000 99999999999999999999\n", "9223372036854775807 1\n", strings.Repeat("1", 1<<17), "100000 100000" + strings.Repeat(" ", 1<<17),
	} {
		require.Equal(t, 8, quotaCount(t, text), "%.40q", text)
	}
	require.Equal(t, 1, quotaCount(t, "1 9223372036854775807\n"))
	for _, pair := range [][2]string{
		{"", ""},
		{"100000\n", ""},
		{"", "100000\n"},
		{"-1\n", "100000\n"},
		{"0\n", "100000\n"},
		{"100000\n", "0\n"},
		{"100000\n", "-1\n"},
		{"max\n", "100000\n"},
		{"9223372036854775807\n", "1\n"},
		{"99999999999999999999\n", "1\n"},
		{"100000 100000\n", ""},
		{"1\n2\n", "1\n"},
	} {
		require.Equal(t, 8, v1Count(t, pair[0], pair[1]), "%q", pair)
	}
	for _, cgroup := range []string{"garbage\n", "::\n", "0:\n", "0::\n", "0::relative\n", "0::/" + strings.Repeat("a/", 1<<14) + "\n", strings.Repeat("0::/\x00\n", 1<<15)} {
		root := files(map[string]string{"proc/self/cgroup": cgroup, "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/a/cpu.max": "1 1\n"})
		require.Equal(t, 8, cpus.System{Root: root, Logical: 8}.Count(), "%.40q", cgroup)
	}
}

func TestQuota_mounts(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"\n", "garbage\n", " - cgroup2\n", "1 2 3 / /sys/fs/cgroup - cgroup2 none rw\n", "1 2 3 / /sys/fs/cgroup rw - \n", "1 2 3 / /sys/fs/cgroup rw\n",
		"1 2 3 / relative rw - cgroup2 none rw\n", "1 2 3 relative /sys/fs/cgroup rw - cgroup2 none rw\n", "1 2 3 / /sys/../sys/fs/cgroup rw - cgroup2 none rw\n",
		"1 2 3 / /sys/fs/cgroup rw - tmpfs cgroup2 rw\n", `1 2 3 / /sys\9 rw - cgroup2 none rw` + "\n", `1 2 3 / /sys\777 rw - cgroup2 none rw` + "\n",
	} {
		root := fstest.MapFS{}
		maps.Copy(root, files(map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": line, "sys/fs/cgroup/cpu.max": "1 1\n"}))
		require.Equal(t, 8, cpus.System{Root: root, Logical: 8}.Count(), "%q", line)
		root["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(line + v2Mount)}
		require.Equal(t, 1, cpus.System{Root: root, Logical: 8}.Count(), "%q", line)
	}
}

// A machine with many mounts has a long list; past the bound it is cut at a line.
func TestQuota_manyMounts(t *testing.T) {
	t.Parallel()
	count := func(mounts string) int {
		root := files(map[string]string{"proc/self/cgroup": "2:cpu:/\n", "proc/self/mountinfo": mounts, "mnt/cpu.cfs_quota_us": "1\n", "mnt/cpu.cfs_period_us": "1\n"})
		return cpus.System{Root: root, Logical: 8}.Count()
	}
	const last = "9 9 0:9 / /mnt rw - cgroup cgroup rw,cpu"
	filler := strings.Repeat(rootMount, 1<<20/len(rootMount)-1)
	require.Equal(t, 1, count(filler+last+"\n"))
	padding := strings.Repeat("x", 1<<20-len(filler)-len(last)-1) + "\n"
	require.Equal(t, 8, count(filler+padding+last+"acct\n"), "the cut word is another controller")
}

// No text makes it crash, hang or count what is not there.
func FuzzCount(f *testing.F) {
	f.Add("0::/a/b\n", v2Mount, "150000 100000\n")
	f.Add("2:cpu:/a\n0::/\n", v1Mount+unified, "-1")
	f.Add("0::/../x", `1 2 3 /.. /sys\040 rw - cgroup2 none rw`, "max 1")
	f.Fuzz(func(t *testing.T, cgroup, mounts, quota string) {
		texts := merged(siblings("core_cpus_list", quota, quota), map[string]string{
			"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, "sys/fs/cgroup/cpu.max": quota, "sys/fs/cgroup/a/cpu.max": quota,
		})
		s := cpus.System{Root: files(texts), Logical: 8, Affinity: upTo(2)}
		n, cores := s.Count(), s.Physical()
		require.True(t, 1 <= cores && cores <= n && n <= 2, "%d CPUs, %d cores", n, cores)
	})
}
