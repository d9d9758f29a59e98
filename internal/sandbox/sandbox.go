// Package sandbox takes rights away from the calling process. A worker applies
// it to itself before it reads the first byte that a guest could have shaped, and
// reports to its host what is in force and what could not be put in force.
package sandbox

import (
	"os"
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
)

// A Config says what to keep.
type Config struct {
	Keep     []*os.File // descriptors that stay open besides standard input, output and error
	FileSize uint64     // bytes up to which files can be written; 0 means none at all
	Open     func()     // called when others' descriptors are closed and nothing else is done; what it opens stays open
	Data     uint64     // bytes of private memory that may be added to what the process has now; 0 means no bound
}

func (c *Config) open() {
	if c.Open != nil {
		c.Open()
	}
}

// A Report says what Apply achieved.
type Report struct {
	InForce []string
	Missing []string // "name: reason"
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
	apply(c, &r)
	return r
}
