package snapshot_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
)

func TestMapImage_refusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file func(t *testing.T) *os.File
		size uint64
		want string
	}{
		"uneven":       {func(t *testing.T) *os.File { t.Helper(); return sealed(t, make([]byte, 100)) }, 100, "image of 100 bytes"},
		"too large":    {func(t *testing.T) *os.File { t.Helper(); return sealed(t, nil) }, 1 << 32, "image of 4294967296 bytes"},
		"another size": {func(t *testing.T) *os.File { t.Helper(); return sealed(t, make([]byte, page)) }, 2 * page, "65536 bytes, 131072 announced"},
		"file": {func(t *testing.T) *os.File {
			t.Helper()
			path := filepath.Join(t.TempDir(), "image")
			require.NoError(t, os.WriteFile(path, make([]byte, page), 0o600))
			f, err := os.Open(path)
			require.NoError(t, err)
			return f
		}, page, "not sealed"},
		"unsealed": {func(t *testing.T) *os.File {
			t.Helper()
			fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			require.NoError(t, err)
			f := os.NewFile(uintptr(fd), "test")
			require.NoError(t, f.Truncate(page))
			_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
			require.NoError(t, err)
			return f
		}, page, "not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tc.file(t)
			i, err := snapshot.MapImage(f, tc.size)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, i)
			require.ErrorIs(t, f.Close(), os.ErrClosed, "MapImage has closed it all the same")
		})
	}
}

func TestImage_Close(t *testing.T) {
	t.Parallel()
	for _, size := range []uint64{0, page} {
		f := sealed(t, make([]byte, size))
		i, err := snapshot.MapImage(f, size)
		require.NoError(t, err)
		require.Equal(t, size, i.Size())
		require.NoError(t, i.Close())
		require.ErrorIs(t, f.Close(), os.ErrClosed)
		require.NoError(t, i.Close())
		require.Zero(t, i.Size())
	}
}

// An image that does not fit is refused like growth.
func TestMemory_imageOverLimit(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			image := m.image(t, make([]byte, 3*page))
			mem := snapshot.NewMemory(snapshot.Config{Image: image, Limit: 2 * page, Pages: m.pages})
			mem.Allocate(0, 1<<32)
			require.Nil(t, mem.Reallocate(page))
			require.EqualValues(t, 3*page, mem.Refused())
			require.Zero(t, mem.Opened())
			mem.Free()

			mem = snapshot.NewMemory(snapshot.Config{Image: image, Limit: 9 * page, Max: 4 * page, Pages: m.pages})
			require.EqualValues(t, 4*page, mem.Limit())
			mem.Allocate(0, 1<<32)
			defer mem.Free()
			require.Len(t, mem.Reallocate(page), 3*page)
			require.EqualValues(t, 3*page, mem.Opened())
			require.Len(t, mem.Reallocate(4*page), 4*page)
			require.Nil(t, mem.Reallocate(5*page))
			require.EqualValues(t, 5*page, mem.Refused())
			mem.Lives()
			require.Zero(t, mem.Refused())
			require.Panics(t, func() { mem.Allocate(0, page) })
		})
	}
}

// At the largest maximum and limit there is no page more to declare.
func TestRestore_fullMemory(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 1, guesttest.NoMax, 1<<16-1)
			in := g.clone()
			defer in.close()
			require.EqualValues(t, 1, in.call("grow", 1<<16-2))
			in.call("store", 1<<32-page-1, 1)
			in.restored(&g.state)
			require.EqualValues(t, 1, in.call("grow", 1<<16-2))
			require.Zero(t, in.call("load", 1<<32-page-1))
		})
	}
}

// What was grown into is given back.
func TestRestore_givesBack(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 4, 400, 400)
			in := g.clone()
			defer in.close()
			in.call("grow", 300)
			in.call("fill", 0, 1, 304*page)
			require.Greater(t, in.Memory.Opened(), uint64(300*page))
			in.restored(&g.state)
			require.EqualValues(t, 4*page, in.Memory.Opened())
		})
	}
}

// The image's pages that calls have made private are given back above a limit
// and from time to time.
func TestRestore_dropsPages(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if m.pages == nil || m.name == "slice+scan" {
				t.Skip("all pages are private")
			}
			size := uint64(os.Getpagesize())
			pages := uint64(snapshot.KeepPages) + 100
			g := newGuest(t, m, uint32(pages*size/page+1), guesttest.NoMax, 1000)
			in := g.clone()
			defer in.close()
			dirty := func() uint64 {
				n, err := in.Dirty()
				require.NoError(t, err)
				return n / size
			}
			require.Zero(t, dirty())
			in.call("fill", 0, 1, 3*size)
			require.EqualValues(t, 3, dirty())
			in.restored(&g.state)
			require.EqualValues(t, 3, dirty(), "copied back")
			in.call("fill", 0, 1, snapshot.KeepPages*size)
			in.restored(&g.state)
			require.EqualValues(t, snapshot.KeepPages, dirty())
			in.call("fill", 0, 1, (snapshot.KeepPages+1)*size)
			in.restored(&g.state)
			require.Zero(t, dirty(), "more than that are given back")
			dropped := 0
			for range 2 * snapshot.DropEvery {
				in.call("grow", 1)
				in.call("store", 0, 99)
				in.restored(&g.state)
				if dirty() == 0 {
					dropped++
					require.EqualValues(t, g.state.Size, in.Memory.Opened())
				}
			}
			require.Equal(t, 2, dropped)
		})
	}
}

// Where no page fault was counted the pages of the last scan are copied back. It is not
// parallel: the faults are those of the process.
//
//nolint:paralleltest // see above
func TestRestore_known(t *testing.T) {
	for _, m := range modes(t) {
		if m.pages == nil || m.name == "slice+scan" {
			continue
		}
		g := newGuest(t, m, 40, guesttest.NoMax, 1000)
		in := g.clone()
		store := in.Module.ExportedFunction("store")
		stack := make([]uint64, 2)
		// Without garbage, which would grow the heap into new pages: each is a fault.
		write := func(pages int) {
			for i := range pages {
				stack[0], stack[1] = uint64(2*i*4096), 0xbad
				require.NoError(t, store.CallWithStack(t.Context(), stack))
			}
		}
		// again writes to the same pages until that makes for no more faults. The test
		// has some of its own.
		again := func(pages int) (known bool) {
			for i := 0; i < 500 && !known; i++ {
				write(pages)
				known = in.Memory.StillKnown()
				in.restored(&g.state)
			}
			return known
		}
		require.True(t, again(20), m.name)
		require.True(t, again(21), "a page more, and once more known")
		require.True(t, again(snapshot.MaxKnown))
		require.False(t, again(snapshot.MaxKnown+1), "more ranges than are remembered")
		for range 2 * snapshot.DropEvery {
			write(3)
			in.restored(&g.state)
		}
		require.True(t, again(3), "the others are forgotten")
		in.close()
	}
}

// More ranges than one scan returns, up to the last page.
func TestPages_manyRanges(t *testing.T) {
	t.Parallel()
	size := os.Getpagesize()
	data := make([]byte, 4096*size)
	for _, p := range []*snapshot.Pages{pages(t), pages(t).Reading()} {
		m := mode{"", fileImage, p}
		g := newGuest(t, m, uint32(len(data)/page), guesttest.NoMax, 1<<14)
		in := g.clone()
		for at := size; at < len(data); at += 5 * size {
			in.call("store", uint64(at), 3)
		}
		for at := range 10 {
			in.call("store", uint64(len(data)-1-at*size), 3)
		}
		in.restored(&g.state)
		in.close()
	}
}

func TestPages_closed(t *testing.T) {
	t.Parallel()
	p, err := snapshot.OpenPages()
	require.NoError(t, err)
	require.Equal(t, "/proc/self/pagemap", p.File().Name())
	for _, p := range []*snapshot.Pages{p, p.Reading()} {
		g := newGuest(t, mode{"", fileImage, p}, 20, guesttest.NoMax, 100)
		in := g.clone()
		if p.Scanning() {
			in.restored(&g.state)
			require.NoError(t, p.Close())
		}
		in.call("store", 1, 1)
		require.Error(t, in.Restore(&g.state))
		_, err := in.Dirty()
		require.Error(t, err)
		in.close()
	}
}

// mappings counts the mappings and the descriptors of images in this process.
func mappings(t *testing.T) (all, images, files int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return bytes.Count(maps, []byte("\n")), bytes.Count(maps, []byte("memfd:image")), len(fds)
}

//nolint:paralleltest // counts this process's mappings and descriptors
func TestLeaks(t *testing.T) {
	for _, m := range modes(t)[:3] {
		round := func() {
			data := make([]byte, 10*page)
			i, err := snapshot.MapImage(sealed(t, data), uint64(len(data)))
			require.NoError(t, err)
			for _, limit := range []uint64{20 * page, 5 * page} { // the second refuses
				mem := snapshot.NewMemory(snapshot.Config{Image: i, Limit: limit, Pages: m.pages})
				mem.Allocate(0, limit)
				if b := mem.Reallocate(15 * page); b != nil {
					b[14*page], b[0] = 1, 1
				}
				mem.Free()
				mem.Free()
			}
			require.NoError(t, i.Close())
			g := newGuest(t, mode{m.name, sliceImage, m.pages}, 20, 90, 90)
			in := g.clone()
			in.call("grow", 50)
			in.call("fill", 0, 1, 70*page)
			in.restored(&g.state)
			in.close()
		}
		round()
		all, images, files := mappings(t)
		for range 100 {
			round()
		}
		allAfter, imagesAfter, filesAfter := mappings(t)
		require.Equal(t, images, imagesAfter)
		require.Equal(t, files, filesAfter)
		require.Less(t, allAfter, all+80, "each round makes at least two")
	}
}

// dataRole makes this program TestMemory_data's.
const dataRole = "SNAPSHOT_TEST_DATA"

func TestMain(m *testing.M) {
	if os.Getenv(dataRole) != "" {
		os.Exit(limitedData())
	}
	os.Exit(m.Run())
}

// RLIMIT_DATA refuses clones and growth, and leaves the runtime what is below it.
func TestMemory_data(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), dataRole+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func limitedData() int {
	check := func(ok bool, what string) {
		if !ok {
			_, _ = io.WriteString(os.Stderr, what+"\n")
			os.Exit(1)
		}
	}
	const mib = 1 << 20
	blob, err := shm.NewBlob("image", make([]byte, 64*mib))
	check(err == nil, "blob")
	image, err := snapshot.MapImage(blob.File(), 64*mib)
	check(err == nil, "image")
	status, err := os.ReadFile("/proc/self/status")
	check(err == nil, "status")
	_, rest, _ := strings.Cut(string(status), "VmData:")
	var held uint64
	for _, c := range strings.TrimSpace(rest) {
		if c < '0' || c > '9' {
			break
		}
		held = held*10 + uint64(c-'0')
	}
	limit := held<<10 + 185*mib
	check(unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}) == nil, "setrlimit")

	clone := func() (*snapshot.Memory, []byte) {
		m := snapshot.NewMemory(snapshot.Config{Image: image, Limit: 1024 * mib})
		m.Allocate(0, 1024*mib)
		return m, m.Reallocate(page)
	}
	a, b := clone()
	check(len(b) == 64*mib, "first clone")
	second, b := clone()
	check(len(b) == 64*mib, "second clone")
	check(a.Reallocate(65*mib) != nil, "growth without room to spare")
	check(a.Opened() == 65*mib, "opened")
	third, b := clone()
	check(b == nil && third.Refused() == 64*mib, "third clone")
	check(a.Reallocate(500*mib) == nil && a.Refused() == 500*mib, "growth")
	check(len(make([]byte, 16*mib)) > 0, "the runtime's share")
	second.Free()
	third, b = clone()
	check(b != nil, "third clone after the second was freed")
	third.Free()
	a.Free()
	return 0
}
