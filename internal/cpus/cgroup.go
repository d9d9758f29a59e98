package cpus

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A hierarchy is a tree of control groups that can hold a CPU quota.
type hierarchy int

const (
	noQuota hierarchy = iota // another controller's
	v1
	v2
)

// A mount is where a part of a hierarchy can be seen. Paths are as the kernel has
// them, absolute.
type mount struct {
	kind  hierarchy
	root  string // the group that the directory shows
	point string // the directory
}

// maxPath is the most bytes of a path the kernel reports (PATH_MAX).
const maxPath = 4096

// quota returns the number of CPUs that the tightest quota over the process
// amounts to, rounded up, or 0 if there is none.
//
// A quota binds all groups below its own, so each one is read from the process's
// group up to the root of every mount that shows it. What is above a namespace's
// or a mount's root cannot be seen. Both versions count: in a hybrid setup one of
// them has the controller and the other has no such files.
func (s System) quota() int {
	groups := s.groups()
	if len(groups) == 0 {
		return 0
	}
	tightest := 0
	for _, m := range s.mounts() {
		group, ok := groups[m.kind]
		if !ok {
			continue
		}
		below, ok := within(group, m.root)
		if !ok {
			continue
		}
		for {
			n := s.groupQuota(m.kind, path.Join(m.point[1:], below))
			if n > 0 && (tightest == 0 || n < tightest) {
				tightest = n
			}
			if below == "." {
				break
			}
			below = path.Dir(below)
		}
	}
	return tightest
}

// groups returns the process's group in each hierarchy that may have quotas, from
// lines like "4:cpu,cpuacct:/user.slice" and "0::/user.slice".
func (s System) groups() map[hierarchy]string {
	groups := make(map[hierarchy]string)
	for line := range strings.Lines(s.read("proc/self/cgroup", maxFile)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") || len(parts[2]) > maxPath {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			groups[v2] = parts[2]
		case hasController(parts[1]):
			groups[v1] = parts[2]
		}
	}
	return groups
}

// mounts returns the mounts of control groups that may have quotas. A line, as in
// proc_pid_mountinfo(5), has the root and the mount point as its fields 4 and 5,
// and after " - " the type, the source and the options of the file system.
func (s System) mounts() []mount {
	var mounts []mount
	for line := range strings.Lines(s.read("proc/self/mountinfo", maxMounts)) {
		before, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, system := strings.Split(before, " "), strings.Split(after, " ")
		if len(fields) < 6 {
			continue
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
		switch {
		case system[0] == "cgroup2":
			m.kind = v2
		case system[0] == "cgroup" && hasController(system[len(system)-1]):
			m.kind = v1
		}
		if m.kind != noQuota && strings.HasPrefix(m.root, "/") && strings.HasPrefix(m.point, "/") && fs.ValidPath(m.point[1:]) {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// within returns the path from root to group, "." if they are the same, and false
// if the group is not below. A group outside of the namespace, "/../other", is
// only below roots that are outside too.
func within(group, root string) (string, bool) {
	rest, ok := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	below := strings.TrimPrefix(rest, "/")
	if below == "" {
		return ".", true
	}
	return below, fs.ValidPath(below)
}

// groupQuota returns the quota of one group in CPUs, or 0 if it has none.
func (s System) groupQuota(kind hierarchy, dir string) int {
	var fields []string
	if kind == v2 { // "max 100000" or "50000 100000"
		fields = strings.Fields(s.read(path.Join(dir, "cpu.max"), maxFile))
	} else { // -1 is none
		for _, name := range []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"} {
			fields = append(fields, strings.TrimSpace(s.read(path.Join(dir, name), maxFile)))
		}
	}
	if len(fields) != 2 {
		return 0
	}
	quota, err1 := strconv.ParseInt(fields[0], 10, 64)
	period, err2 := strconv.ParseInt(fields[1], 10, 64)
	if err1 != nil || err2 != nil || quota <= 0 || period <= 0 {
		return 0
	}
	return int(min((quota-1)/period, math.MaxInt32-1)) + 1
}

// hasController reports whether a list of controllers, or of mount options, has
// "cpu".
func hasController(list string) bool { return slices.Contains(strings.Split(list, ","), "cpu") }

// unescape undoes what the kernel does to spaces, tabs, line ends and backslashes
// in paths: "\040" for a space. What is no such escape stays.
func unescape(s string) string {
	var b strings.Builder
	for {
		plain, escaped, found := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !found {
			return b.String()
		}
		s = escaped
		if len(s) >= 3 {
			if c, err := strconv.ParseUint(s[:3], 8, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[3:]
				continue
			}
		}
		b.WriteByte('\\')
	}
}
