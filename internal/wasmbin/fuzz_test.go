package wasmbin_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// FuzzScan checks that whatever the bytes, Scan neither panics nor allocates
// more than a small multiple of them, and that what it accepts is consistent, without its
// code too.
func FuzzScan(f *testing.F) {
	f.Add(everything())
	f.Add([]byte(preamble))
	for _, bomb := range bombs() {
		if len(bomb.module) < 4096 {
			f.Add(bomb.module)
		}
	}
	for _, body := range [][]byte{
		raw(0x41, 0, 0x04, 0x7f, 0x41, 1, 0x05, 0x41, 2, 0x0b, 0x1a),
		raw(0x02, 0, 0x0e, 2, 0, 1, 0, 0x0b),
		raw(0x1f, 0x40, 2, 1, 0, 0, 3, 0, 0x0b),
		cat(raw(0xfd, 0x0c), times(16, 1), raw(0xfd, 0x15, 3, 0xfd, 0xe4, 1)),
		raw(0xfc, 0x08, 0, 0, 0xfc, 0x0a, 0, 0, 0xfe, 0x10, 2, 0, 0xfd, 0x54, 0, 0, 1),
		raw(0x1c, 1, 0x63, 0, 0xd0, 0x70, 0xd0, 0, 0xd4, 0xd5, 0),
		raw(0x43, 0, 0, 0, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x42, 0xff, 0),
	} {
		f.Add(oneFunc(body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m *wasmbin.Module
		var err error
		size := allocated(func() { m, err = wasmbin.Scan(b) })
		require.Less(t, size, uint64(64<<10+64*len(b)))
		if err != nil {
			e, ok := errors.AsType[*wasmbin.Error](err)
			require.True(t, ok && m == nil)
			require.True(t, e.Offset >= 0 && e.Offset <= len(b) && e.Kind != 0 && e.Reason != "")
			return
		}
		consistent(t, m)
		bare, err := wasmbin.Bare(b)
		require.NoError(t, err)
		without, err := wasmbin.Scan(bare)
		require.NoError(t, err)
		require.Equal(t, m.Exports, without.Exports)
		require.Equal(t, m.Imports, without.Imports)
	})
}

// FuzzPrepare checks that Prepare refuses as malformed what Scan refuses, and
// that what it makes is good for Scan, not larger than it may be, the same each
// time, and never prepared twice.
func FuzzPrepare(f *testing.F) {
	f.Add(everything())
	for _, test := range preparations {
		f.Add(test.in)
	}
	for _, test := range unfit {
		if len(test.module) < 4096 {
			f.Add(test.module)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		original := bytes.Clone(b)
		var p *wasmbin.Prepared
		var err error
		size := allocated(func() { p, err = wasmbin.Prepare(b) })
		require.Less(t, size, uint64(128<<10+160*len(b)))
		require.Equal(t, original, b)
		if err != nil {
			require.Nil(t, p)
			sameRefusal(t, "", b, err)
			return
		}
		untouched(t, "", b, p)
		again, err := wasmbin.Prepare(b)
		require.NoError(t, err)
		require.Equal(t, p, again)
		for _, d := range p.Data {
			require.LessOrEqual(t, uint64(d.Offset)+uint64(len(d.Bytes)), p.MinPages<<16)
		}
		if p.Globals > 0 || p.Start {
			_, err = wasmbin.Prepare(p.Bytes)
			require.ErrorAs(t, err, new(*wasmbin.UnfitError))
		}
	})
}

// consistent checks that every index of an accepted module leads somewhere.
func consistent(t *testing.T, m *wasmbin.Module) {
	t.Helper()
	counts := map[wasmbin.ExternKind]int{
		wasmbin.KindFunc: m.Functions, wasmbin.KindTable: len(m.Tables),
		wasmbin.KindGlobal: m.Globals, wasmbin.KindTag: m.Tags,
	}
	if m.Memory != nil {
		counts[wasmbin.KindMemory] = 1
		require.True(t, !m.Memory.HasMax || m.Memory.Min <= m.Memory.Max)
	}
	known := map[*wasmbin.FuncType]bool{}
	for i := range m.Types {
		known[&m.Types[i]] = true
		require.NotEmpty(t, m.Types[i].String())
	}
	for _, imp := range m.Imports {
		require.Equal(t, imp.Kind == wasmbin.KindFunc, known[imp.Func])
		if imp.Kind == wasmbin.KindFunc {
			counts[wasmbin.KindFunc]++
		}
	}
	names := map[string]bool{}
	for _, exp := range m.Exports {
		require.Less(t, int64(exp.Index), int64(counts[exp.Kind]))
		require.Equal(t, exp.Kind == wasmbin.KindFunc, known[exp.Func])
		require.False(t, names[exp.Name])
		names[exp.Name] = true
	}
	if m.HasStart {
		require.Less(t, int64(m.Start), int64(counts[wasmbin.KindFunc]))
	}
}
