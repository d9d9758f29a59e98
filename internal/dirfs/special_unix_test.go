//go:build unix

package dirfs_test

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	esys "github.com/tetratelabs/wazero/experimental/sys"
)

// A pipe that nobody has opened would block its reader for ever.
func TestSpecial(t *testing.T) {
	t.Parallel()
	d, path := open(t, session(), true)
	require.NoError(t, syscall.Mkfifo(filepath.Join(path, "fifo"), 0o600))
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(path, "s"))
	require.NoError(t, err)
	defer l.Close()
	for _, name := range []string{"fifo", "s"} {
		for _, flag := range []esys.Oflag{esys.O_RDONLY, esys.O_WRONLY, esys.O_RDWR, esys.O_RDWR | esys.O_CREAT} {
			_, errno := d.OpenFile(name, flag, 0o600)
			require.Equal(t, esys.EACCES, errno, name)
		}
	}
}
