//go:build !amd64 && !arm64

package sandbox

import (
	"fmt"
	"runtime"
)

func installSeccomp(*Config) error {
	return fmt.Errorf("there is no table of system calls for %s", runtime.GOARCH)
}
