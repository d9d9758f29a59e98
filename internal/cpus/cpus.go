// Package cpus counts the CPUs that a process may use.
//
// What the machine says comes in as a [System], so that every shape of it can be
// tested; [Host] is the one at hand. Nothing is kept between calls: quotas and
// masks change while a process runs. No other program is run.
package cpus

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
)

// Variable is the environment variable that lowers the count.
const Variable = "SANDPOOL_MAX_CPU_COUNT"

// A System is what a count is made from. Its zero value has one CPU.
type System struct {
	// Root is the file system from "/" on, for /proc and /sys. Nil has no files,
	// and so neither quotas nor a topology.
	Root fs.FS
	// Affinity is the numbers of the CPUs the process may run on, each once. Nil
	// means that they are not known.
	Affinity []int
	// Logical is the number of the machine's CPUs. It counts where Affinity is nil.
	Logical int
	// Max is the most the user wants, as [ParseMax] returns it. Zero means no limit.
	Max int
}

// Count returns the number of CPUs the process may use, at least 1: those of the
// affinity mask, lowered by the quota of the process's control group or of one
// above it, rounded up, and by Max. A file that is missing or makes no sense
// limits nothing.
func (s System) Count() int {
	n := s.Logical
	if s.Affinity != nil {
		n = len(s.Affinity)
	}
	if quota := s.quota(); quota > 0 {
		n = min(n, quota)
	}
	if s.Max > 0 {
		n = min(n, s.Max)
	}
	return max(n, 1)
}

// Physical returns the number of physical cores among the CPUs of the affinity
// mask, or Count if that is lower or the cores cannot be told.
func (s System) Physical() int {
	n := s.Count()
	if cores, err := s.cores(); err == nil {
		n = min(n, cores)
	}
	return n
}

// ParseMax reads a value of [Variable], a positive integer. The empty value is 0,
// no limit, and so is one that makes no sense, with an error that quotes it.
func ParseMax(value string) (int, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		return 0, errors.New(strconv.Quote(value[:min(len(value), 64)]) + " is not a positive integer")
	}
	return n, nil
}

// Bounds in bytes of what is read of a file. The list of mounts has a line for
// each mount of the machine, and the end may be what counts.
const (
	maxFile   = 64 << 10
	maxMounts = 1 << 20
)

// read returns the text of a file, none if there is no such file. A text over
// the limit ends with the last line that fits.
func (s System) read(name string, limit int64) string {
	if s.Root == nil {
		return ""
	}
	f, err := s.Root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || int64(len(data)) > limit {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	return string(data)
}
