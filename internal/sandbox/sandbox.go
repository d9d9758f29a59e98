// Package sandbox takes rights away from the calling process. A worker applies
// it to itself before it reads the first byte that a guest could have shaped, and
// reports to its host what is in force and what could not be put in force.
package sandbox

import (
	"errors"
	"os"
	"slices"
)

// Names of the mechanisms, as reports and documentation use them.
const (
	Descriptors = "fds"          // every inherited descriptor but the worker's own pipes is closed
	Environment = "env"          // the environment is empty
	Rlimits     = "rlimits"      // no core dumps, no file writes beyond a bound, few descriptors, no locked memory, no message queues
	Memory      = "memory"       // RLIMIT_DATA refuses new private mappings beyond a bound; what a runtime had reserved before is not counted
	NotDumpable = "not_dumpable" // unprivileged processes can neither trace the worker nor read its memory
	NoNewPrivs  = "no_new_privs" // no later exec can gain rights
	ParentDeath = "parent_death" // the kernel kills the worker when its host dies
	Caps        = "capabilities" // no thread has a capability, also where the host is root
	Landlock    = "landlock"     // no file can be opened or made, no TCP port used, and no other process be signalled or traced
	Seccomp     = "seccomp"      // system calls that a worker does not need fail, and those that only an attacker makes kill it
)

// Required returns the mechanisms that a worker reports as missing if they are not in
// force; on some systems all are.
func Required() []string {
	return append([]string{Environment, Descriptors, Rlimits, Memory, NotDumpable, NoNewPrivs, ParentDeath}, Filters()...)
}

// Filters returns the mechanisms that only a Profile puts in force.
func Filters() []string { return []string{Caps, Landlock, Seccomp} }

// A Profile is a set of system calls that a process needs.
type Profile int

// The profiles. NoProfile leaves system calls, capabilities and files as they are.
const (
	NoProfile       Profile = 0
	WorkerProfile   Profile = 1 << iota // serves calls
	TemplateProfile                     // compiles a module or captures an image
	DirsProfile                         // added to another: opens files, which Landlock and the host bound
)

// A Config says what to keep.
type Config struct {
	Keep     []*os.File   // descriptors that stay open besides standard input, output and error
	FileSize uint64       // bytes up to which files can be written; 0 means none at all
	Open     func() []Dir // called when others' descriptors are closed and nothing else is done; what it opens stays open
	Data     uint64       // bytes of private memory that may be added to what the process has now; 0 means no bound
	Threads  uint64       // of this process's user in its user namespace; 0 means no bound

	Profile Profile  // with NoProfile there are no filters: capabilities, Landlock and seccomp
	Blobs   *os.File // the only file that messages can be received from; nil for none
	Pages   *os.File // the only file that pages can be looked up in; nil for none
	Draft   *os.File // the only file that can be resized and sealed; nil for none

	Without []string // mechanisms to leave out, by name: tests look at each wall by itself

	dirs []Dir // what Open returned
}

// A Dir is a directory that stays in reach, with what is below it. Landlock keeps the
// process to those; without it only the caller does.
type Dir struct {
	File     *os.File // Apply closes it
	Writable bool     // files and directories in it can be made, changed and removed
}

// open opens what c.Open does.
func (c *Config) open() {
	if c.Open != nil {
		c.dirs = c.Open()
	}
}

// closeDirs closes the files of the directories.
func (c *Config) closeDirs() {
	for _, d := range c.dirs {
		d.File.Close()
	}
}

func (c *Config) wants(name string) bool { return !slices.Contains(c.Without, name) }

// A Report says what Apply achieved.
type Report struct {
	InForce []string
	Missing []string // "name: reason"
}

// errLeftOut is why a mechanism is missing that nobody wanted.
var errLeftOut = errors.New("switched off")

// try puts a mechanism in force, if it is wanted.
func (r *Report) try(c *Config, name string, do func() error) {
	if !c.wants(name) {
		r.add(name, errLeftOut)
		return
	}
	r.add(name, do())
}

// LeftOut lists mechanisms as switched off.
func (r *Report) LeftOut(names ...string) {
	for _, name := range names {
		r.add(name, errLeftOut)
	}
}

func (r *Report) add(name string, err error) {
	if err != nil {
		r.Missing = append(r.Missing, name+": "+err.Error())
		return
	}
	r.InForce = append(r.InForce, name)
}

// Apply sandboxes this process as far as its system can. It never fails as a
// whole: what the report lists as missing is for the host to judge.
func Apply(c Config) Report {
	var r Report
	os.Clearenv()
	r.add(Environment, nil)
	apply(&c, &r)
	return r
}
