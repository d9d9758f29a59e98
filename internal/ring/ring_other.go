//go:build !linux

package ring

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A Ring is what only Linux has.
type Ring struct{}

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
func (*Ring) Put(...[]byte)                {}
func (*Ring) Take(int) []byte              { return nil }
func (*Ring) Used() int                    { return 0 }
func (*Ring) Release() error               { return nil }
func (*Ring) Input(int) []byte             { return nil }
func (*Ring) Output() []byte               { return nil }
func (*Ring) Sent()                        {}
