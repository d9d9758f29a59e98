package wasi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// maxErrno is the largest of WASI's error numbers.
const maxErrno = 76

// FuzzCall calls any function with any arguments, over a memory with any contents: it
// returns an error number, and one that says the arguments are outside the memory leaves
// that as it was.
func FuzzCall(f *testing.F) {
	names := slices.Sorted(maps.Keys(guestabi.Imports[guestabi.WASI]))
	for i := range names {
		f.Add(byte(i), []byte{}, []byte{})
		f.Add(byte(i), bytes.Repeat([]byte{0xff}, 72), []byte{1})
	}
	iovec := binary.LittleEndian.AppendUint32(nil, memSize-8)
	iovec = binary.LittleEndian.AppendUint32(iovec, 16)
	f.Add(byte(slices.Index(names, "fd_write")), args(1, 0, 1, 64), iovec)
	f.Add(byte(slices.Index(names, "fd_read")), args(0, 0, 1<<29, 64), iovec)
	f.Add(byte(slices.Index(names, "random_get")), args(memSize-1, 2), iovec)
	w := newWorld()
	g := newGuest(f, w)
	f.Fuzz(func(t *testing.T, number byte, list, content []byte) {
		g.t = t
		name := names[int(number)%len(names)]
		fn := g.mod.ExportedFunction(name)
		params := make([]uint64, len(fn.Definition().ParamTypes()))
		for i := range params {
			var b [8]byte
			copy(b[:], list[min(8*i, len(list)):])
			params[i] = binary.LittleEndian.Uint64(b[:])
		}
		clear(g.memory())
		copy(g.memory(), content[:min(len(content), memSize)])
		before := bytes.Clone(g.memory())
		w.stdout.Reset()
		w.stderr.Reset()
		results, err := fn.Call(context.Background(), params...)
		if _, ok := errors.AsType[*sys.ExitError](err); ok && name == "proc_exit" {
			return
		}
		require.NoError(t, err, "%s%v", name, params)
		number32 := uint32(results[0])
		require.LessOrEqual(t, number32, uint32(maxErrno), "%s%v", name, params)
		if number32 == fault {
			require.Equal(t, before, g.memory(), "%s%v", name, params)
			require.Zero(t, w.stdout.Len()+w.stderr.Len(), "%s%v", name, params)
		}
	})
}

// args writes arguments as FuzzCall reads them.
func args(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
