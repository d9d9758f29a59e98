package wasi

import "math"

// Sizes of WASI's structures, in bytes.
const (
	subscriptionSize = 48
	eventSize        = 32
)

// What a subscription waits for.
const (
	eventClock   = 0
	eventFDRead  = 1
	eventFDWrite = 2
)

// flagAbsolute makes a clock's timeout a time instead of a duration.
const flagAbsolute = 1

// writable is the room that an event of writing names. Any amount can be written;
// a guest may take 0 for none.
const writable = 64 << 10

// pollOneoff is poll_oneoff(in *subscription, out *event, count u32, events *u32). It
// sleeps until the first clock is due, unless something else is subscribed to:
// streams are always ready, and what is wrong with a subscription is known at once.
func pollOneoff(s *System, m memory, p []uint64) errno {
	count := uint64(uint32(p[2]))
	if count == 0 {
		return errnoInval
	}
	in, ok := m.bytes(uint32(p[0]), count*subscriptionSize)
	out, ok2 := m.bytes(uint32(p[1]), count*eventSize)
	if !ok || !ok2 {
		return errnoFault
	}
	if e := m.put32(uint32(p[3]), 0); e != errnoSuccess {
		return e
	}
	l := poller{System: s}
	first := int64(math.MaxInt64)
	for rest := in; len(rest) > 0; rest = rest[subscriptionSize:] {
		_, due := l.due(subscription(rest))
		first = min(first, due)
	}
	if first > 0 {
		s.wait(first)
	}
	// Clocks are not read again: those due at the same time are reported together
	// and the first one always is, however exact Sleep may be.
	events := uint32(0)
	for rest := in; len(rest) > 0; rest = rest[subscriptionSize:] {
		sub := subscription(rest) // a copy: out may be in
		if e, due := l.due(sub); due <= first {
			sub.putEvent(out[events*eventSize:], e)
			events++
		}
	}
	return m.put32(uint32(p[3]), events)
}

// A subscription is one of poll_oneoff's, as it stands in memory.
type subscription [subscriptionSize]byte

// putEvent writes the event of sub to the beginning of b.
func (sub *subscription) putEvent(b []byte, e errno) {
	b = b[:eventSize]
	clear(b)
	copy(b, sub[:8]) // the guest's own data
	le.PutUint16(b[8:], uint16(e))
	b[10] = sub[8]
	if sub[8] == eventFDWrite && e == errnoSuccess {
		le.PutUint64(b[16:], writable)
	}
}

// A poller knows when subscriptions are due. It reads each clock once, so that it
// says the same twice.
type poller struct {
	*System

	read  [clocks]bool
	times [clocks]uint64
}

// due returns in how many nanoseconds sub has an event, and the event's error. An
// error is due at once.
func (l *poller) due(sub subscription) (e errno, ns int64) {
	fd := le.Uint32(sub[16:])
	if l.Files != nil && fd >= streams && (sub[8] == eventFDRead || sub[8] == eventFDWrite) {
		return errnoSuccess, 0 // files are always ready
	}
	switch sub[8] {
	case eventClock:
		return l.clockDue(sub)
	case eventFDRead:
		if fd != stdin || !l.State.open(fd) {
			return errnoBadf, 0
		}
	case eventFDWrite:
		if fd == stdin || !l.State.open(fd) {
			return errnoBadf, 0
		}
	default:
		return errnoInval, 0
	}
	return errnoSuccess, 0
}

func (l *poller) clockDue(sub subscription) (e errno, ns int64) {
	clock, timeout, flags := le.Uint32(sub[16:]), le.Uint64(sub[24:]), le.Uint16(sub[40:])
	if flags&^flagAbsolute != 0 {
		return errnoInval, 0
	}
	if e = checkClock(clock); e != errnoSuccess {
		return e, 0
	}
	if flags&flagAbsolute != 0 {
		if !l.read[clock] {
			l.times[clock], l.read[clock] = l.now(clock), true
		}
		timeout -= min(timeout, l.times[clock])
	}
	return errnoSuccess, int64(min(timeout, math.MaxInt64))
}
