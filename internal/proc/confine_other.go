//go:build !linux

package proc

import "os/exec"

func userNamespace() bool { return false }

// confine has nothing to do: Options that ask for it are refused here.
func confine(*exec.Cmd, *Confine) {}

func explain(err error, _ *Confine) error { return err }
