//go:build !linux

package snapshot_test

import "testing"

func modes(tb testing.TB) []mode {
	tb.Helper()
	return []mode{{"slice", sliceImage, nil}}
}
