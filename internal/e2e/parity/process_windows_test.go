package parity_test

import "os"

// haveSignals is whether a process's end tells which signal ended it.
const haveSignals = false

func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Release() == nil
}

// exists is alive where there are no zombies.
func exists(pid int) bool { return alive(pid) }

// kill ends a process without asking it.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// terminate is kill where there are no signals.
func terminate(pid int) error { return kill(pid) }
