//go:build !race && (amd64 || arm64)

package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// The payload is 4 GiB of address space that nothing touches; the race detector
// would touch it.
func TestWriter_oversize(t *testing.T) {
	t.Parallel()
	var out writes
	err := wire.NewWriter(&out).Write(wire.Header{Type: wire.TypeCall}, make([]byte, wire.MaxPayload+1))
	require.Equal(t, &wire.FrameError{Type: wire.TypeCall, Length: wire.MaxPayload, Max: wire.MaxPayload}, err)
	require.Empty(t, out.sizes)
}
