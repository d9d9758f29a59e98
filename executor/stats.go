package executor

import "slices"

// Stats are an executor's figures at one moment.
type Stats struct {
	ID      uint64 // counts the executors that a Reusable has started, from 1; 1 for New's
	Limit   int    // Options.Workers, as resized
	Workers int    // worker processes that serve or start, without Standby
	Idle    int    // of these, waiting for calls
	Running int    // calls that a worker is running
	Parked  int    // of these, waiting for calls that they have submitted themselves
	Queued  int    // calls that wait for a worker or for their module
	Standby int    // spare workers that are ready

	Submitted uint64 // calls taken in
	Succeeded uint64 // calls done with a result
	Failed    uint64 // calls done with an error

	WorkersStarted uint64 // processes that came up
	WorkersKilled  uint64 // of these, killed by the executor: at a deadline, for a call's end, by Close
	WorkersDied    uint64 // of these, lost: they ended by themselves, were killed from outside or broke the protocol
	WorkersRetired uint64 // of these, sent home: idle for long, recycled, too many after Resize, or at Shutdown
	Retried        uint64 // times that an idempotent call was run again after its worker had died
	Compiled       uint64 // modules compiled
	Captured       uint64 // images captured, for startmethod.Snapshot and Warm
	CacheHits      uint64 // modules whose compiled code was on disk
	ResultHits     uint64 // calls of Pure functions whose result was known

	// Sandbox lists the mechanisms in force in the last worker that came up,
	// SandboxMissing those that are not and why ("name: reason").
	Sandbox        []string
	SandboxMissing []string
}

// count notes a call's outcome.
func (s *Stats) count(err error) {
	if err == nil {
		s.Succeeded++
	} else {
		s.Failed++
	}
}

// Stats returns the executor's figures.
func (e *Executor) Stats() Stats {
	x := e.existing()
	if x == nil {
		return Stats{}
	}
	c := x.core
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Sandbox, s.SandboxMissing = slices.Clone(s.Sandbox), slices.Clone(s.SandboxMissing)
	f := &c.fleet
	s.Limit, s.Workers, s.Idle, s.Standby = f.limit, f.alive, len(f.idle), len(f.standbys)
	s.Parked = f.parked
	for w := range f.all {
		if len(w.held) > 0 && w.held[0].state == Running && w.held[0].kind != callPreload {
			s.Running++
		}
	}
	s.Queued = c.pending - s.Running
	for cl := range c.bundles {
		n := cl.weight()
		s.Queued += n - 1
		s.Succeeded += uint64(cl.items.answered)
		if cl.items.isOpen() {
			s.Submitted += uint64(n)
		}
	}
	return s
}
