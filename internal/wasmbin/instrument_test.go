package wasmbin_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// meteredModes are those that change code.
var meteredModes = []wasmbin.Mode{wasmbin.Flag, wasmbin.Fuel}

// TestInstrument_corpus instruments every module of the corpus, as it is and as Prepare
// has made it: it must compile if and only if it did before.
func TestInstrument_corpus(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	done, compiled, refused := 0, 0, 0
	for i, file := range corpus(t, ".wasm") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if p, err := wasmbin.Prepare(b); err == nil && i%2 == 0 {
			b = p.Bytes
		}
		_, before := rt.CompileModule(t.Context(), b)
		for _, mode := range meteredModes {
			wasm, err := wasmbin.Instrument(b, mode)
			if err != nil {
				if _, ok := errors.AsType[*wasmbin.UnfitError](err); ok {
					require.Error(t, before, "%s: %v", file, err)
					refused++
				} else {
					_, scanErr := wasmbin.Scan(b)
					require.Equal(t, scanErr, err, file)
				}
				continue
			}
			done++
			_, err = wasmbin.Scan(wasm)
			require.NoError(t, err, file)
			_, after := rt.CompileModule(t.Context(), wasm)
			require.Equal(t, before == nil, after == nil, "%s, %v: %v before, %v after", file, mode, before, after)
			if before == nil {
				compiled++
			}
		}
	}
	t.Logf("%d instrumented, %d compiled, %d refused", done, compiled, refused)
	require.Greater(t, compiled, 5000)
	require.Less(t, compiled, done, "no invalid module among them")
	require.Positive(t, refused)
}

// TestInstrument_mutants checks that an invalid module stays invalid.
func TestInstrument_mutants(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	valid, invalid := 0, 0
	for name, b := range mutants(t) {
		for _, mode := range meteredModes {
			wasm, err := wasmbin.Instrument(b, mode)
			if err != nil {
				continue
			}
			_, before := rt.CompileModule(t.Context(), b)
			_, after := rt.CompileModule(t.Context(), wasm)
			require.Equal(t, before == nil, after == nil, "%s, %v: %v before, %v after", name, mode, before, after)
			if before == nil {
				valid++
			} else {
				invalid++
			}
		}
	}
	t.Logf("%d valid, %d invalid", valid, invalid)
	require.Positive(t, valid)
	require.Positive(t, invalid)
}

// metered instantiates a module in a mode, with what the host would set.
func metered(t *testing.T, b []byte, mode wasmbin.Mode) api.Module {
	t.Helper()
	wasm, err := wasmbin.Instrument(b, mode)
	require.NoError(t, err)
	m, err := newRuntime(t).InstantiateWithConfig(t.Context(), wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	require.NoError(t, err)
	return m
}

func global(t *testing.T, m api.Module, name string) api.MutableGlobal {
	t.Helper()
	g, ok := m.ExportedGlobal(name).(api.MutableGlobal)
	require.True(t, ok, name)
	return g
}

// endless are functions () -> () that never return by themselves.
var endless = map[string][]byte{
	"loop":             raw(0x03, 0x40, 0x0c, 0, 0x0b),
	"loop in a block":  raw(0x02, 0x40, 0x03, 0x40, 0x02, 0x40, 0x0c, 1, 0x0b, 0x0b, 0x0b),
	"memory.grow":      raw(0x03, 0x40, 0x41, 1, 0x40, 0, 0x1a, 0x0c, 0, 0x0b),
	"counted for ever": raw(0x03, 0x40, 0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x0c, 0, 0x0b),
	"calls in a loop":  raw(0x03, 0x40, 0x10, 1, 0x0c, 0, 0x0b),
	"tail call":        raw(0x12, 0),
}

func endlessModule(body []byte) []byte {
	return module(noType, sec(functions, vec(u(0), u(0))), sec(memories, vec(raw(1, 1, 3))),
		sec(globals, vec(i32Global)), sec(exports, vec(exportOf("f", 0, 0))), sec(code, vec(fn(body), fn(nil))))
}

// TestInstrument_stop ends endless code from another goroutine, which is what shows that
// the engine reads the flag anew each time round.
func TestInstrument_stop(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("the engine's interpreter reads the flag in Go while it is set")
	}
	for name, body := range endless {
		for _, mode := range meteredModes {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				m := metered(t, endlessModule(body), mode)
				stop := global(t, m, wasmbin.StopName)
				for range 3 {
					global(t, m, wasmbin.DepthName).Set(100)
					timer := time.AfterFunc(20*time.Millisecond, func() { stop.Set(wasmbin.Stopped) })
					_, err := m.ExportedFunction("f").Call(context.Background())
					require.ErrorContains(t, err, "unreachable")
					require.False(t, timer.Stop(), "it ended by itself")
					stop.Set(0)
				}
			})
		}
	}
}

// TestInstrument_depth goes as deep as it may and one function deeper, also by calls
// through a table; tail calls take no depth.
func TestInstrument_depth(t *testing.T) {
	t.Parallel()
	// f(n) calls f(n-1) until n is 0.
	b := module(sec(types, vec(raw(0x60, 1, 0x7f, 0))), oneFunction, sec(exports, vec(exportOf("f", 0, 0))),
		sec(code, vec(fn(raw(0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x0b)))))
	tail := module(sec(types, vec(raw(0x60, 1, 0x7f, 0))), oneFunction, sec(exports, vec(exportOf("f", 0, 0))),
		sec(code, vec(fn(raw(0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x12, 0, 0x0b)))))
	for _, mode := range meteredModes {
		m := metered(t, b, mode)
		depth := global(t, m, wasmbin.DepthName)
		for range 3 {
			depth.Set(100)
			_, err := m.ExportedFunction("f").Call(t.Context(), 99)
			require.NoError(t, err)
			depth.Set(100)
			_, err = m.ExportedFunction("f").Call(t.Context(), 100)
			require.ErrorContains(t, err, "unreachable")
			require.EqualValues(t, wasmbin.Stopped, uint32(depth.Get()))
		}
		m = metered(t, tail, mode)
		global(t, m, wasmbin.DepthName).Set(3)
		_, err := m.ExportedFunction("f").Call(t.Context(), 100_000)
		require.NoError(t, err)
	}
}

// TestInstrument_fuel counts by hand.
func TestInstrument_fuel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body []byte
		want int64
	}{
		"empty":            {nil, 0},
		"straight":         {raw(0x41, 1, 0x41, 2, 0x6a, 0x1a), 4},
		"if taken":         {raw(0x41, 1, 0x04, 0x40, 0x01, 0x01, 0x05, 0x01, 0x0b, 0x01), 5},
		"if not taken":     {raw(0x41, 0, 0x04, 0x40, 0x01, 0x01, 0x05, 0x01, 0x0b, 0x01), 4},
		"branch":           {raw(0x02, 0x40, 0x0c, 0, 0x01, 0x01, 0x0b, 0x01), 3},
		"memory.grow":      {raw(0x41, 0, 0x40, 0, 0x1a), 66},
		"memory.fill 1600": {raw(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x0c, 0xfc, 0x0b, 0), 104},
		"memory.copy 15":   {raw(0x41, 0, 0x41, 0, 0x41, 15, 0xfc, 0x0a, 0, 0), 4},
		// 1 for loop, 7 for each of 10 rounds
		"loop": {raw(0x03, 0x40, 0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x23, 0, 0x41, 10, 0x48, 0x0d, 0, 0x0b), 1 + 10*8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := metered(t, endlessModule(test.body), wasmbin.Fuel)
			fuel := global(t, m, wasmbin.FuelName)
			for range 2 {
				fuel.Set(1_000_000)
				if g, ok := m.ExportedGlobal("g").(api.MutableGlobal); ok {
					g.Set(0)
				}
				_, err := m.ExportedFunction("f").Call(t.Context())
				require.NoError(t, err)
				require.Equal(t, test.want, 1_000_000-int64(fuel.Get()))
				if name == "loop" {
					return // the global stays
				}
			}
		})
	}
	for name, body := range endless {
		m := metered(t, endlessModule(body), wasmbin.Fuel)
		fuel := global(t, m, wasmbin.FuelName)
		left := []int64{}
		for range 2 {
			fuel.Set(10_000)
			global(t, m, wasmbin.DepthName).Set(100)
			_, err := m.ExportedFunction("f").Call(context.Background())
			require.ErrorContains(t, err, "unreachable", name)
			require.Negative(t, int64(fuel.Get()), name)
			left = append(left, int64(fuel.Get()))
		}
		require.Greater(t, left[0], int64(-100), name)
		require.Equal(t, left[0], left[1], name)
	}
}

// TestInstrument_bulk refuses a fill that fuel does not reach for before it is made.
func TestInstrument_bulk(t *testing.T) {
	t.Parallel()
	m := metered(t, endlessModule(raw(0x41, 0, 0x41, 7, 0x41, 0x80, 0x80, 4, 0xfc, 0x0b, 0)), wasmbin.Fuel)
	global(t, m, wasmbin.FuelName).Set(4000) // it takes 4096 and 4
	_, err := m.ExportedFunction("f").Call(t.Context())
	require.ErrorContains(t, err, "unreachable")
}

// TestInstrument_tables bounds what code may grow.
func TestInstrument_tables(t *testing.T) {
	t.Parallel()
	grow := func(table ...byte) []byte {
		return module(sec(types, vec(raw(0x60, 1, 0x7f, 1, 0x7f))), oneFunction, sec(tables, vec(table)),
			sec(exports, vec(exportOf("f", 0, 0))), sec(code, vec(fn(raw(0xd0, 0x70, 0x20, 0, 0xfc, 0x0f, 0)))))
	}
	for _, mode := range []wasmbin.Mode{wasmbin.Plain, wasmbin.Flag, wasmbin.Fuel} {
		for name, test := range map[string]struct {
			table []byte
			most  uint64
		}{
			"no maximum":    {raw(0x70, 0, 1), 1_000_000},
			"large maximum": {raw(0x70, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f), 1_000_000},
			"small maximum": {raw(0x70, 1, 1, 5), 5},
			"large minimum": {raw(0x70, 0, 0x80, 0x89, 0x7a), 2_000_000},
		} {
			m := metered(t, grow(test.table...), mode)
			f := m.ExportedFunction("f")
			had, err := f.Call(t.Context(), 0)
			require.NoError(t, err)
			got, err := f.Call(t.Context(), test.most-had[0]+1)
			require.NoError(t, err)
			require.EqualValues(t, 0xffffffff, uint32(got[0]), name)
			got, err = f.Call(t.Context(), test.most-had[0])
			require.NoError(t, err)
			require.Equal(t, had[0], got[0], name)
		}
	}
}

// TestInstrument_hides refuses what would become valid by what is added.
func TestInstrument_hides(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"global":         endlessModule(raw(0x23, 1, 0x1a)),
		"global set":     endlessModule(raw(0x41, 0, 0x24, 2)),
		"local":          endlessModule(raw(0x20, 0, 0x1a)),
		"local tee":      endlessModule(raw(0x41, 0, 0x22, 1, 0x1a)),
		"constant":       module(sec(globals, vec(raw(0x7f, 0, 0x23, 1, 0x0b)))),
		"reserved name":  module(sec(globals, vec(i32Global)), sec(exports, vec(exportOf(wasmbin.StopName, 3, 0)))),
		"as many locals": module(noType, oneFunction, sec(code, vec(cat(u(6), u(1), u(50_000), raw(0x7f, 0x0b))))),
	} {
		for _, mode := range meteredModes {
			_, err := wasmbin.Instrument(b, mode)
			require.ErrorAs(t, err, new(*wasmbin.UnfitError), "%s, %v", name, mode)
		}
		same, err := wasmbin.Instrument(b, wasmbin.Plain)
		require.NoError(t, err)
		require.True(t, slices.Equal(b, same))
	}
}

// FuzzInstrument checks that what Instrument makes is good for Scan, not larger than it
// may be and the same each time.
func FuzzInstrument(f *testing.F) {
	f.Add(everything())
	for _, test := range preparations {
		f.Add(test.in)
	}
	for _, body := range endless {
		f.Add(endlessModule(body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		original := slices.Clone(b)
		for _, mode := range []wasmbin.Mode{wasmbin.Plain, wasmbin.Flag, wasmbin.Fuel} {
			wasm, err := wasmbin.Instrument(b, mode)
			require.True(t, slices.Equal(original, b))
			if err != nil {
				if _, ok := errors.AsType[*wasmbin.UnfitError](err); !ok {
					_, scanErr := wasmbin.Scan(b)
					require.Equal(t, scanErr, err)
				}
				continue
			}
			require.Less(t, len(wasm), 1024+32*len(b))
			if _, err := wasmbin.Scan(wasm); err != nil {
				e, ok := errors.AsType[*wasmbin.Error](err)
				require.True(t, ok && e.Kind == wasmbin.Limit, "%v", err)
			}
			again, err := wasmbin.Instrument(b, mode)
			require.NoError(t, err)
			require.True(t, slices.Equal(wasm, again))
		}
	})
}

// BenchmarkInstrument instruments a module of Go.
func BenchmarkInstrument(b *testing.B) {
	wasm, err := guest()
	require.NoError(b, err)
	for _, mode := range meteredModes {
		b.Run(mode.String(), func(b *testing.B) {
			b.SetBytes(int64(len(wasm)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := wasmbin.Instrument(wasm, mode)
				require.NoError(b, err)
			}
		})
	}
}
