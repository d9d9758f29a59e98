package measure

import (
	"context"
	"time"

	"github.com/sandpool/sandpool/bench/internal/kernels"
)

// A Kind is what the cells of a row do.
type Kind string

// The kinds.
const (
	Echo      Kind = "echo"      // one call in flight: how long each takes
	Submit    Kind = "submit"    // as many calls as go in: how many a second
	Map       Kind = "map"       // the same through the contender's own map
	Cold      Kind = "cold"      // a program is started and makes one call
	Crash     Kind = "crash"     // the process that holds a call is killed: until the next good result
	Trap      Kind = "trap"      // the guest traps: until the next good result
	Deadline  Kind = "deadline"  // a call is over its time: from then until the next good result
	Compute   Kind = "compute"   // one call in flight that computes, and could be ended
	Stall     Kind = "stall"     // how late a ticker of 1 ms is while a guest computes
	StallGC   Kind = "stall-gc"  // how long runtime.GC takes then
	Overshoot Kind = "overshoot" // how late a sleep of 1 ms ends while workers answer no-ops
	Idle      Kind = "idle"      // memory of each idle worker
	Live      Kind = "live"      // memory of one more live instance
	SpeedUp   Kind = "speed-up"  // how much faster two workers are than one
	Calls     Kind = "calls"     // start, that many calls and stop: how long
	Modules   Kind = "modules"   // one call of each of that many modules, in turns
)

// Pauses tells the kinds that measure pauses of the host, of which the worst counts.
func (k Kind) Pauses() bool { return k == Stall || k == StallGC || k == Overshoot }

// A Job is what a row asks of a contender.
type Job struct {
	Kind    Kind
	Size    int           // bytes in and out of each call
	Workers int           // workers, or whatever does the work in their place; at least 1
	Count   int           // calls or modules, of the kinds that count
	Task    kernels.Task  // what Compute, Stall and SpeedUp run
	Limit   time.Duration // what Deadline and Compute give each call
	Busy    bool          // every core is taken by other processes
}

// A Box bounds a measurement: it ends with the first call after Time, at the latest
// after Calls. One call is made at least.
type Box struct {
	Time  time.Duration
	Calls int
}

// over reports whether a measurement that began then and has made n calls is over.
func (b Box) over(began time.Time, n int) bool {
	return n > 0 && (n >= b.Calls || time.Since(began) >= b.Time)
}

// Samples are what one Run has measured.
type Samples struct {
	Each  []float64 // in the row's unit; durations are nanoseconds
	Calls int       // how many calls that were, for what each costs
	PIDs  []int     `json:",omitempty"` // processes whose memory the program looks up in their place
}

// A Cell is a contender that is ready for one row. It is used by one goroutine.
type Cell interface {
	// Run measures until the box is over. An error says that an output was wrong or
	// a call that should not has failed.
	Run(ctx context.Context, b Box) (Samples, error)
	// Close releases everything.
	Close() error
}

// An AbsentError says why a contender takes no part in a row.
type AbsentError struct{ Why string }

// Error returns the reason.
func (e *AbsentError) Error() string { return e.Why }
