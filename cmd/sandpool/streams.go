package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"github.com/sandpool/sandpool/executor"
)

// streams are what the tool reads and writes. err takes whole lines from
// several goroutines.
type streams struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	verbose bool // show stacks and last words below an error
}

// report prints err and returns the exit status that goes with it.
func (s *streams) report(err error) int {
	if e, ok := errors.AsType[*statusError](err); !ok || e.err != nil {
		s.complain(err)
	}
	return exitStatus(err)
}

// complain prints an error as one line, and what else is known of it when that
// was asked for.
func (s *streams) complain(err error) {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return // a reader that has enough is no failure to talk about
	}
	fmt.Fprintf(s.err, "sandpool: %s\n", oneLine(err.Error()))
	if !s.verbose {
		return
	}
	if e, ok := errors.AsType[*executor.GuestError](err); ok {
		s.block("stack", e.Stack)
		s.block("stderr", e.Stderr)
	}
	if e, ok := errors.AsType[*executor.WorkerError](err); ok {
		s.block("worker's stderr", e.Stderr)
	}
	if e, ok := errors.AsType[*executor.StartError](err); ok {
		s.block("worker's stderr", e.Stderr)
	}
}

// block prints untrusted text of several lines, indented below a heading.
func (s *streams) block(heading, text string) {
	if text != "" {
		fmt.Fprintf(s.err, "  %s:\n%s", heading, indentLines(text))
	}
}

// A lockedWriter lets several goroutines write lines.
type lockedWriter struct {
	mu sync.Mutex // held while writing; guards nothing else
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// write writes to standard output.
func (s *streams) write(p []byte) error {
	_, err := s.out.Write(p)
	return outputError(err)
}

// outputError gives a failed write to standard output its exit status; one to a
// reader that is gone keeps its own.
func outputError(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return err
	}
	return &statusError{statusSystem, fmt.Errorf("output: %w", err)}
}
