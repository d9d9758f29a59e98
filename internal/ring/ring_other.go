//go:build !linux

package ring

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A Ring is what only Linux has.
type Ring struct{ Input, Answer *Window }

// Supported reports whether this system has rings.
func Supported() bool { return false }

// New returns an error.
func New(int) (*Ring, error) { return nil, errors.ErrUnsupported }

// Open returns an error.
func Open(*os.File) (*Ring, error) { return nil, errors.ErrUnsupported }

// The rest is never called, as there is no Ring.

func (*Ring) File() *os.File               { return nil }
func (*Ring) Read([]byte) (int, error)     { return 0, errors.ErrUnsupported }
func (*Ring) Write([]byte) (int, error)    { return 0, errors.ErrUnsupported }
func (*Ring) Buffered() int                { return 0 }
func (*Ring) Sleep(int, *atomic.Bool) bool { return false }
func (*Ring) Interrupt()                   {}
func (*Ring) LookEvery(time.Duration)      {}
func (*Ring) Quiet(bool)                   {}
func (*Ring) Room() int                    { return 0 }
func (*Ring) Await(int) bool               { return false }
func (*Ring) Hangup()                      {}
func (*Ring) Close() error                 { return nil }
func (*Ring) Used() int                    { return 0 }
func (*Ring) Release() error               { return nil }
func (*Ring) Suspect()                     {}
func (*Ring) Stage([]byte) bool            { return false }
func (*Ring) Staged() int                  { return 0 }
func (*Ring) Drop()                        {}
func (*Ring) Send([][]byte, []byte) error  { return errors.ErrUnsupported }
func (*Ring) Output() Output               { return Output{} }

// A Window is a part of a Ring.
type Window struct{}

func (*Window) Put([]byte) int           { return 0 }
func (*Window) Add([]byte)               {}
func (*Window) View(int) ([]byte, error) { return nil, errors.ErrUnsupported }
func (*Window) ReadAt([]byte, int) error { return errors.ErrUnsupported }

// An Output is a part of a Ring.
type Output struct{}

func (Output) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (Output) Buffered() int            { return 0 }
func (Output) Copy(int) []byte          { return nil }
func (Output) End()                     {}
