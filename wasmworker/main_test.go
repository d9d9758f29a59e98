package wasmworker_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/wasmworker"
)

var hookedBefore, hookedAfter bool

func TestMain(m *testing.M) {
	hookedBefore = proc.Hooked()
	wasmworker.Main() // returns: this is no worker
	hookedAfter = proc.Hooked()
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}

func TestMain_notMarked(t *testing.T) {
	t.Parallel()
	require.Empty(t, os.Getenv(proc.Marker))
	require.False(t, hookedBefore)
	require.True(t, hookedAfter)
}
