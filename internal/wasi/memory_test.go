package wasi_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// pointers are the functions that are given pointers, with arguments that succeed,
// and which of them are pointers to how many bytes.
var pointers = []struct {
	name  string
	args  []uint64
	at    []int    // the parameters that are pointers
	sizes []uint64 // of what they point to
}{
	{"args_get", []uint64{1024, 2048}, []int{0, 1}, []uint64{12, 17}},
	{"args_sizes_get", []uint64{1024, 2048}, []int{0, 1}, []uint64{4, 4}},
	{"environ_get", []uint64{1024, 2048}, []int{0, 1}, []uint64{8, 28}},
	{"environ_sizes_get", []uint64{1024, 2048}, []int{0, 1}, []uint64{4, 4}},
	{"clock_res_get", []uint64{0, 1024}, []int{1}, []uint64{8}},
	{"clock_time_get", []uint64{1, 0, 1024}, []int{2}, []uint64{8}},
	{"random_get", []uint64{1024, 33}, []int{0}, []uint64{33}},
	{"fd_fdstat_get", []uint64{1, 1024}, []int{1}, []uint64{24}},
	{"fd_filestat_get", []uint64{2, 1024}, []int{1}, []uint64{64}},
	{"fd_read", []uint64{0, 1024, 3, 2048}, []int{1, 3}, []uint64{24, 4}},
	{"fd_write", []uint64{1, 1024, 3, 2048}, []int{1, 3}, []uint64{24, 4}},
	{"poll_oneoff", []uint64{1024, 2048, 2, 4096}, []int{0, 1, 3}, []uint64{96, 64, 4}},
}

func TestPointers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	for _, p := range pointers {
		for i, at := range p.at {
			size := p.sizes[i]
			for pointer, want := range map[uint64]uint32{
				memSize - size:     success, // the last that fits
				memSize - size + 1: fault,
				memSize - 1:        fault,
				memSize:            fault,
				1 << 31:            fault,
				1<<32 - size:       fault, // ends where 32 bits end
				1<<32 - size + 1:   fault,
				1<<32 - 1:          fault,
			} {
				clear(g.memory()) // no buffers, and clocks that are due
				args := append([]uint64(nil), p.args...)
				args[at] = pointer
				w.chunks = nil
				require.Equal(t, want, g.call(p.name, args...), "%s%v", p.name, args)
				if want == fault {
					require.Equal(t, make([]byte, memSize), g.memory(), "%s%v", p.name, args)
					require.Empty(t, w.chunks)
				}
			}
		}
	}
	require.Zero(t, w.stdout.Len())
}

// TestPointers_hostile calls everything with extreme arguments: no combination may
// be anything but an error number.
func TestPointers_hostile(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld())
	values := []uint64{0, 1, memSize - 4, memSize, 1<<32/48 + 1, 1 << 29, 1 << 31, 1<<32 - 8, 1<<32 - 1}
	for name, text := range guestabi.Imports[guestabi.WASI] {
		if name == "proc_exit" {
			continue
		}
		args := make([]uint64, min(4, len(signature(text).Params))) // nothing looks at a fifth
		all := make([]uint64, len(signature(text).Params))
		var try func(int)
		try = func(i int) {
			if i == len(args) {
				copy(all, args)
				require.Less(t, g.call(name, all...), uint32(77), "%s%v", name, all)
				return
			}
			for _, args[i] = range values {
				try(i + 1)
			}
		}
		try(0)
	}
}

func TestIovecs(t *testing.T) {
	t.Parallel()
	const at, result = 1024, 512
	for name, tc := range map[string]struct {
		vectors []uint32 // pairs
		want    uint32
		out     string
	}{
		"none":                   {nil, success, ""},
		"one":                    {[]uint32{0, 5}, success, "abcde"},
		"gathered":               {[]uint32{0, 2, 1, 3, 0, 1}, success, "abbcda"},
		"empty ones":             {[]uint32{0, 0, 2, 1, 1 << 31, 0}, success, "c"},
		"all of memory":          {[]uint32{0, memSize}, success, "*"},
		"beyond memory":          {[]uint32{0, memSize + 1}, fault, ""},
		"at the end of memory":   {[]uint32{memSize, 1}, fault, ""},
		"last byte":              {[]uint32{memSize - 1, 1}, success, "\x00"},
		"wraps":                  {[]uint32{16, 1<<32 - 8}, fault, ""},
		"ends where 32 bits end": {[]uint32{1<<32 - 8, 8}, fault, ""},
		"second is wrong":        {[]uint32{0, 5, memSize, 1}, fault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for fd, function := range []string{"fd_read", "fd_write", "fd_write"} {
				w := newWorld()
				g := newGuest(t, w)
				copy(g.memory(), "abcdefgh")
				g.iovecs(at, tc.vectors...)
				g.iovecs(result, 0xeeeeeeee)
				want := tc.out
				if want == "*" {
					want = string(g.memory())
				}
				require.Equal(t, tc.want, g.call(function, uint64(fd), at, uint64(len(tc.vectors)/2), result), function)
				out := [3]string{"", w.stdout.String(), w.stderr.String()}
				wrote := [3]string{}
				if fd > 0 {
					wrote[fd] = want
				}
				require.Equal(t, wrote, out)
				switch {
				case tc.want != success:
					require.EqualValues(t, 0xeeeeeeee, g.u32(result))
				case fd == 0:
					require.Zero(t, g.u32(result), "standard input is at its end")
				default:
					require.EqualValues(t, len(want), g.u32(result))
				}
			}
		})
	}
}

// TestIovecs_total has more to write than a number of bytes written can say.
func TestIovecs_total(t *testing.T) {
	t.Parallel()
	const pages = 256
	w := newWorld()
	w.Stdout = writerFunc(func(p []byte) (int, error) { t.Errorf("%d bytes are written", len(p)); return len(p), nil })
	g := newGuestOf(t, w, pages)
	mem, ok := g.mod.Memory().Read(0, pages*memSize)
	require.True(t, ok)
	const n = 257 // times 16 MiB
	vector := le.AppendUint32(make([]byte, 4), pages*memSize)
	copy(mem[4096:], bytes.Repeat(vector, n))
	require.EqualValues(t, inval, g.call("fd_write", 1, 4096, n, 0))
	require.EqualValues(t, inval, g.call("fd_write", 1, 4096, n-1, 0), "4 GiB exactly")
	require.EqualValues(t, fault, g.call("fd_write", 1, 4096, pages*memSize/8, 0), "the list is too long")
	require.EqualValues(t, fault, g.call("fd_write", 1, 0, 1<<29, 0), "the list is of 4 GiB")
}

func TestFDWrite_overlap(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	copy(g.memory()[64:], "hello")
	for result := range uint64(24) {
		w.stdout.Reset()
		g.iovecs(8, 64, 5)
		require.Zero(t, g.call("fd_write", 1, 8, 1, result), "the result may be where the list is")
		require.Equal(t, "hello", w.stdout.String())
	}
}

func TestFDWrite_error(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.Stderr = writerFunc(func([]byte) (int, error) { return 0, errors.New("no room") })
	g := newGuest(t, w)
	g.iovecs(0, 64, 5)
	require.EqualValues(t, ioError, g.call("fd_write", 2, 0, 1, 16))
	require.Zero(t, g.u32(16))
}
