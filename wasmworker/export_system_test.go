package wasmworker

// What guests see of the clocks.
var (
	Nanotime    = nanotime
	SharedClock = sharedClock
	Walltime    = walltime
)
