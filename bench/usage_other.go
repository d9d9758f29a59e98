//go:build !linux

package main

import (
	"context"
	"errors"
	"time"
)

// A cpuUse is the processor time that this program and its processes have used.
type cpuUse struct {
	self, reaped time.Duration
	running      map[int]time.Duration
}

// cpuNow knows nothing here.
func cpuNow() (cpuUse, bool) { return cpuUse{}, false }

func awaitBusy(context.Context, int) error { return errors.ErrUnsupported }
