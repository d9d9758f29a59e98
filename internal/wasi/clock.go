package wasi

// WASI's clocks.
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clocks         = 2 // that are offered
	clockThread    = 3 // with 2, of CPU time
)

// The resolutions of the clocks, in nanoseconds.
const (
	realtimeResolution  = 1000
	monotonicResolution = 1
)

// checkClock says why a clock cannot be read.
func checkClock(clock uint32) errno {
	switch {
	case clock < clocks:
		return errnoSuccess
	case clock <= clockThread:
		return errnoNotsup
	default:
		return errnoInval
	}
}

// fixedMonotonic is what the monotonic clock shows at the start when it is fixed, in
// nanoseconds. Go's runtime gives up over one that shows 0.
const fixedMonotonic = 1e9

// maxElapsed bounds [System.Elapsed]: some 146 years, so that no sum overflows.
const maxElapsed = 1 << 62

// now reads one of the clocks, in nanoseconds.
func (s *System) now(clock uint32) uint64 {
	t := s.exact(clock)
	r := s.Clock.Resolution
	if r <= 1 {
		return t
	}
	t -= t % r
	if clock == clockMonotonic {
		t += r // it is never 0
	}
	return t
}

// exact is now before rounding.
func (s *System) exact(clock uint32) uint64 {
	switch {
	case s.Clock.Fixed && clock == clockMonotonic:
		return fixedMonotonic + s.Elapsed
	case s.Clock.Fixed:
		return s.Clock.Start + s.Elapsed
	case clock == clockMonotonic:
		return uint64(s.Nanotime())
	default:
		sec, nsec := s.Walltime()
		return uint64(sec)*1e9 + uint64(nsec)
	}
}

// wait lets ns nanoseconds pass, which are more than 0.
func (s *System) wait(ns int64) {
	if !s.Clock.Fixed {
		s.Sleep(ns)
		return
	}
	s.Elapsed = min(s.Elapsed+uint64(ns), maxElapsed)
}

// clockResGet is clock_res_get(clock u32, resolution *u64).
func clockResGet(s *System, m memory, p []uint64) errno {
	clock := uint32(p[0])
	if e := checkClock(clock); e != errnoSuccess {
		return e
	}
	resolution := uint64(monotonicResolution)
	if clock == clockRealtime {
		resolution = realtimeResolution
	}
	resolution = max(resolution, s.Clock.Resolution)
	return m.put64(uint32(p[1]), resolution)
}

// clockTimeGet is clock_time_get(clock u32, precision u64, time *u64).
func clockTimeGet(s *System, m memory, p []uint64) errno {
	clock := uint32(p[0])
	if e := checkClock(clock); e != errnoSuccess {
		return e
	}
	return m.put64(uint32(p[2]), s.now(clock))
}
