//go:build amd64 || arm64

package sandbox

// A Call is an allowed system call, with arguments that its conditions accept.
type Call struct {
	Name   string
	Number uintptr
	Args   [6]uintptr
	Checks []int // the arguments that have conditions
}

// AllowedCalls lists what a configuration allows.
func AllowedCalls(c Config) []Call {
	var list []Call
	for _, e := range allowed {
		if e.who&c.set() == 0 {
			continue
		}
		checks := e.on(&c)
		if checks == nil {
			continue
		}
		call := Call{Name: e.name, Number: e.nr, Args: [6]uintptr{^uintptr(0), ^uintptr(0), ^uintptr(0), ^uintptr(0), ^uintptr(0), ^uintptr(0)}}
		for _, check := range checks {
			call.Args[check.arg] = uintptr(check.values[0])
			call.Checks = append(call.Checks, check.arg)
		}
		list = append(list, call)
	}
	return list
}

// KilledCalls lists what kills, by name.
func KilledCalls() map[string]uintptr {
	m := make(map[string]uintptr)
	for _, e := range killed {
		m[e.name] = e.nr
	}
	return m
}

// ForceSignals has calls on all threads made in the handler of a signal, as in a
// program with cgo.
func ForceSignals(nr, a0, a1, a2 uintptr) (int, error) {
	t, err := openThreads()
	if err != nil {
		return 0, err
	}
	defer t.close()
	err = t.callByName(nr, a0, a1, a2)
	return int(answered()), err
}
