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

// now reads one of the clocks, in nanoseconds.
func (s *System) now(clock uint32) uint64 {
	if clock == clockMonotonic {
		return uint64(s.Nanotime())
	}
	sec, nsec := s.Walltime()
	return uint64(sec)*1e9 + uint64(nsec)
}

// clockResGet is clock_res_get(clock u32, resolution *u64).
func clockResGet(_ *System, m memory, p []uint64) errno {
	clock := uint32(p[0])
	if e := checkClock(clock); e != errnoSuccess {
		return e
	}
	resolution := uint64(monotonicResolution)
	if clock == clockRealtime {
		resolution = realtimeResolution
	}
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
