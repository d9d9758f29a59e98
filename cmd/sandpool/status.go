package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

// Exit statuses. They are part of the tool's interface and never renumbered;
// statusHelp documents them.
const (
	statusOK     = 0
	statusFailed = 1   // the function failed or reached a limit
	statusUsage  = 2   // the command line or an input is wrong
	statusModule = 3   // the module cannot be read or used
	statusSystem = 4   // a worker, or the system around it, failed
	statusSignal = 128 // plus the number of the signal that ended the tool
)

const statusHelp = `Exit status:
  0    every call succeeded
  1    the function failed: an error, panic, trap, exit or a limit of the call
  2    the command line or an input is wrong
  3    the module cannot be read, is no module, or does not have what was asked for
  4    a worker process died or could not be started, or the output not be written
  130  interrupted by Ctrl-C (128 and the signal's number; 143 for SIGTERM)
With several inputs it is the status of the first one that failed. Each error is
one line on standard error that begins with "sandpool: ".`

// A statusError is an error with its exit status. err is nil when the user has
// been told already.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// usagef returns an error of the command line or of an input.
func usagef(format string, args ...any) error {
	return &statusError{statusUsage, fmt.Errorf(format, args...)}
}

// A signalError is the cause of a context that a signal ended.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string {
	if e.signal == os.Interrupt {
		return "interrupted"
	}
	return "ended by signal: " + e.signal.String()
}

// status is what a shell reports for a program that the signal killed.
func (e *signalError) status() int {
	if n, ok := e.signal.(syscall.Signal); ok {
		return statusSignal + int(n)
	}
	return statusSystem
}

// exitStatus returns the status for the error that a command ended with.
func exitStatus(err error) int {
	if err == nil {
		return statusOK
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	if e, ok := errors.AsType[*signalError](err); ok {
		return e.status()
	}
	if errors.Is(err, syscall.EPIPE) {
		return statusSignal + int(syscall.SIGPIPE)
	}
	if _, ok := errors.AsType[*executor.GuestError](err); ok {
		return statusFailed
	}
	if _, ok := errors.AsType[*executor.LimitError](err); ok {
		return statusFailed
	}
	if e, ok := errors.AsType[*serialize.Error](err); ok {
		if e.Op == "encode" {
			return statusUsage
		}
		return statusFailed // the guest's output is at fault
	}
	if _, ok := errors.AsType[*executor.OptionError](err); ok {
		return statusUsage
	}
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		return statusModule
	}
	return statusSystem
}

// hopeless reports whether an error of one call would be that of every other.
func hopeless(err error) bool {
	if _, ok := errors.AsType[*executor.StartError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*executor.OptionError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		return true
	}
	_, mismatch := errors.AsType[*rawError](err)
	return mismatch || errors.Is(err, executor.ErrShutdown)
}
