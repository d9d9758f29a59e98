package cpus

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// cores returns the number of physical cores that the CPUs of the affinity mask
// belong to, as Linux has them in /sys/devices/system/cpu, efficiency cores
// included. It is an error if one of the CPUs does not tell.
func (s System) cores() (int, error) {
	if len(s.Affinity) == 0 {
		return 0, errors.New("the affinity mask is not known")
	}
	seen := make(map[string]bool)
	for _, cpu := range s.Affinity {
		core, ok := s.core(cpu)
		if !ok {
			return 0, fmt.Errorf("the core of CPU %d is not known", cpu)
		}
		seen[core] = true
	}
	return len(seen), nil
}

// core returns a name for the core of a CPU that its other threads share.
func (s System) core(cpu int) (string, bool) {
	dir := path.Join("sys/devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology")
	// Two names of one file; the second is the one before Linux 5.3.
	for _, name := range []string{"core_cpus_list", "thread_siblings_list"} {
		list := strings.TrimSpace(s.read(path.Join(dir, name), maxFile))
		if first, ok := firstOf(list, cpu); ok {
			return "first:" + strconv.Itoa(first), true
		}
	}
	// Core numbers are unique in a die, and old kernels have no dies.
	pkg, ok1 := s.number(path.Join(dir, "physical_package_id"))
	die, _ := s.number(path.Join(dir, "die_id"))
	id, ok2 := s.number(path.Join(dir, "core_id"))
	return fmt.Sprintf("id:%d:%d:%d", pkg, die, id), ok1 && ok2
}

// number returns the integer that is the whole text of a file.
func (s System) number(name string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(s.read(name, maxFile)))
	return n, err == nil
}

// firstOf returns the lowest number of a list like "0-1,64-65" that has the CPU
// in it, and false if the list makes no sense.
func firstOf(list string, cpu int) (int, bool) {
	first, found := cpu, false
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 31)
		to, err2 := strconv.ParseUint(high, 10, 31)
		if err1 != nil || err2 != nil || from > to {
			return 0, false
		}
		first = min(first, int(from))
		found = found || int(from) <= cpu && cpu <= int(to)
	}
	return first, found
}
