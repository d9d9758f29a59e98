// Package cgroup puts worker processes into control groups of their own, below a
// directory of cgroup v2 that was delegated to the host.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Limits are what a group may have. Zero means no bound.
type Limits struct {
	Memory uint64 // bytes, memory of the kernel's for it and swap included
	Tasks  int    // processes and threads
	CPUs   int    // of CPU time, in whole processors
}

// period of cpu.max in microseconds.
const period = 100_000

// controllers are what the limits need.
var controllers = []string{"memory", "pids", "cpu"}

// A Parent is a delegated directory. It is safe for concurrent use.
type Parent struct {
	dir   string
	mkdir func(path string) error // replaced by tests, where no kernel fills it
	rmdir func(path string) error
}

// Open checks a delegated directory and has its children get the controllers.
func Open(dir string) (*Parent, error) {
	p := &Parent{dir: dir, mkdir: func(path string) error { return os.Mkdir(path, 0o750) }, rmdir: os.Remove}
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("not a directory of cgroup v2: %w", err)
	}
	has := strings.Fields(string(text))
	for _, c := range controllers {
		if !slices.Contains(has, c) {
			return nil, fmt.Errorf("%s has no controller %s, only %q", dir, c, has)
		}
	}
	if err := set(filepath.Join(dir, "cgroup.subtree_control"), "+"+strings.Join(controllers, " +")); err != nil {
		return nil, err
	}
	return p, nil
}

// New makes a group. name must not be in use.
func (p *Parent) New(name string, l Limits) (*Group, error) {
	g := &Group{path: filepath.Join(p.dir, name), parent: p}
	if err := p.mkdir(g.path); err != nil {
		return nil, err
	}
	err := g.limit(l)
	if err == nil {
		g.file, err = os.Open(g.path)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// A Group is the control group of one process. It is for one goroutine at a time.
type Group struct {
	path   string
	parent *Parent
	file   *os.File
}

func (g *Group) limit(l Limits) error {
	var errs []error
	if l.Memory > 0 {
		errs = append(errs, set(g.control("memory.max"), strconv.FormatUint(l.Memory, 10)))
		// Else memory beyond the limit goes to swap. Kernels without swap have no such file.
		if err := set(g.control("memory.swap.max"), "0"); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if l.Tasks > 0 {
		errs = append(errs, set(g.control("pids.max"), strconv.Itoa(l.Tasks)))
	}
	if l.CPUs > 0 {
		errs = append(errs, set(g.control("cpu.max"), fmt.Sprintf("%d %d", l.CPUs*period, period)))
	}
	return errors.Join(errs...)
}

func (g *Group) control(name string) string { return filepath.Join(g.path, name) }

// File returns the directory, for a process to be started in it.
func (g *Group) File() *os.File { return g.file }

// OutOfMemory reports whether the kernel has killed a process of the group because it
// had no memory left.
func (g *Group) OutOfMemory() (bool, error) {
	text, err := os.ReadFile(g.control("memory.events"))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n > 0, err
		}
	}
	return false, errors.New("memory.events does not count kills")
}

// Remove removes the group, whose processes have ended.
func (g *Group) Remove() error {
	if g.file != nil {
		g.file.Close()
		g.file = nil
	}
	return g.parent.rmdir(g.path)
}

// set writes a control file, which is never made: where it is not there the
// controller is not.
func set(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
