package wasmbin_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// goGuests are modules that Go's own compiler and linker made.
func goGuests(t *testing.T) map[string][]byte {
	t.Helper()
	b, err := guest()
	require.NoError(t, err)
	return map[string][]byte{"guest": b, "fixture": guesttest.Bytes(t, "fixture")}
}

// allModules are those, and every file of the corpus, by name.
func allModules(t *testing.T) map[string][]byte {
	t.Helper()
	files := goGuests(t)
	for _, file := range corpus(t, ".wasm") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		files[file] = b
	}
	return files
}

// TestSplit_identity cuts every file of the corpus apart and puts it together.
// What cannot be cut is no module for Scan either.
func TestSplit_identity(t *testing.T) {
	t.Parallel()
	files := allModules(t)
	whole := 0
	for name, b := range files {
		same, err := wasmbin.SplitJoin(b)
		if err != nil {
			_, scanErr := wasmbin.Scan(b)
			require.Error(t, scanErr, name)
			continue
		}
		whole++
		require.True(t, slices.Equal(b, same), name)
	}
	t.Logf("%d files, %d of them cut", len(files), whole)
	require.Greater(t, whole, 3000)
}

// TestPrepare_corpus rewrites every module of the corpus that the runtime
// compiles. It must compile the result too, whose other bytes must be the same;
// and it must compile nothing that it did not compile before.
func TestPrepare_corpus(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	prepared, compiled, changed := 0, 0, 0
	reasons := map[string]int{}
	for _, file := range corpus(t, ".wasm") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		p, err := wasmbin.Prepare(b)
		if err != nil {
			sameRefusal(t, file, b, err)
			if e, ok := errors.AsType[*wasmbin.UnfitError](err); ok {
				reasons[kindOf(e.Reason)]++
			}
			continue
		}
		prepared++
		untouched(t, file, b, p)
		if !slices.Equal(b, p.Bytes) {
			changed++
		}
		_, before := rt.CompileModule(t.Context(), b)
		_, after := rt.CompileModule(t.Context(), p.Bytes)
		if before == nil {
			compiled++
			require.NoError(t, after, file)
		} else {
			require.Error(t, after, "%s: %v", file, before)
		}
	}
	t.Logf("%d prepared, %d of them changed, %d compiled; unfit: %v", prepared, changed, compiled, reasons)
	require.Greater(t, compiled, 2500)
	require.Greater(t, changed, 300)
	require.Less(t, compiled, prepared, "no invalid module among them")
	for _, reason := range refusals {
		require.Positive(t, reasons[reason], reason)
	}
}

// TestPrepare_mutants checks that what is rewritten is valid if and only if the
// original is: the compiler must see what is wrong with a module.
func TestPrepare_mutants(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	valid, invalid := 0, 0
	for name, b := range mutants(t) {
		p, err := wasmbin.Prepare(b)
		if err != nil {
			sameRefusal(t, name, b, err)
			continue
		}
		untouched(t, name, b, p)
		if slices.Equal(b, p.Bytes) {
			continue
		}
		_, before := rt.CompileModule(t.Context(), b)
		_, after := rt.CompileModule(t.Context(), p.Bytes)
		require.Equal(t, before == nil, after == nil, "%s: %v before, %v after", name, before, after)
		if before == nil {
			valid++
		} else {
			invalid++
		}
	}
	t.Logf("%d valid modules, %d invalid ones", valid, invalid)
	require.Greater(t, valid, 300)
	require.Greater(t, invalid, 300)
}

// refusals are how the reasons start that modules of the corpus meet.
var refusals = []string{
	"the module imports a memory", "the module imports a table", "the module imports a mutable global",
	"the module uses threads", "code changes a table", "code drops a segment", "code sets a global",
	"data segment", "the start function has the type",
}

// kindOf is the one of refusals that a reason starts with.
func kindOf(reason string) string {
	i := slices.IndexFunc(refusals, func(start string) bool { return strings.HasPrefix(reason, start) })
	if i < 0 {
		return reason
	}
	return refusals[i]
}

// sameRefusal checks that Prepare refuses as malformed what Scan refuses.
func sameRefusal(t *testing.T, file string, b []byte, err error) {
	t.Helper()
	_, scanErr := wasmbin.Scan(b)
	if _, ok := errors.AsType[*wasmbin.UnfitError](err); ok {
		require.NoError(t, scanErr, file)
	} else {
		require.Equal(t, scanErr, err, file)
	}
}

// untouched compares the sections of a module and its rewritten form: all but
// those that had to change must be the same, in the same order.
func untouched(t *testing.T, file string, b []byte, p *wasmbin.Prepared) {
	t.Helper()
	changed := map[byte]bool{
		memories: p.Memory && p.MaxPages < wasmbin.MaxMemoryPages,
		exports:  p.Globals > 0 || p.Start,
		start:    p.Start,
		data:     len(p.Data) > 0,
	}
	others := func(b []byte) (bodies [][]byte) {
		parts, err := wasmbin.Sections(b)
		require.NoError(t, err, file)
		for _, part := range parts {
			if !changed[part.ID] {
				bodies = append(bodies, raw(part.ID), part.Body)
			}
		}
		return bodies
	}
	require.Equal(t, others(b), others(p.Bytes), file)

	before, err := wasmbin.Scan(b)
	require.NoError(t, err, file)
	after, err := wasmbin.Scan(p.Bytes)
	require.NoError(t, err, file)
	require.Equal(t, append([]wasmbin.Export{}, before.Exports...), append([]wasmbin.Export{}, after.Exports[:len(before.Exports)]...), file)
	added := after.Exports[len(before.Exports):]
	for i, e := range added[:p.Globals] {
		require.Equal(t, wasmbin.GlobalName(i), e.Name, file)
		require.Equal(t, wasmbin.KindGlobal, e.Kind, file)
	}
	added = added[p.Globals:]
	require.Equal(t, before.HasStart, p.Start, file)
	require.False(t, after.HasStart, file)
	if p.Start {
		require.Equal(t, []string{wasmbin.StartName}, []string{added[0].Name}, file)
		require.Equal(t, before.Start, added[0].Index, file)
		added = added[1:]
	}
	require.Empty(t, added, file)
	require.LessOrEqual(t, len(p.Bytes), len(b)+64*(len(after.Exports)-len(before.Exports)+1), file)
}

// TestPrepare_instances instantiates both forms of every module of the corpus
// that needs no imports and has no start function. The memory of the original
// must be the data applied to zeros, that of the other zeros only, and the
// globals to restore must be there and the same.
func TestPrepare_instances(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	compared, withData, withGlobals := 0, 0, 0
	for _, file := range corpus(t, ".wasm") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		m, err := wasmbin.Scan(b)
		if err != nil || len(m.Imports) > 0 || m.HasStart {
			continue
		}
		p, err := wasmbin.Prepare(b)
		if err != nil {
			continue
		}
		original, err := rt.InstantiateWithConfig(t.Context(), b, config)
		if err != nil {
			_, err = rt.InstantiateWithConfig(t.Context(), p.Bytes, config)
			require.Error(t, err, file)
			continue
		}
		rewritten, err := rt.InstantiateWithConfig(t.Context(), p.Bytes, config)
		require.NoError(t, err, file)
		compared++
		withData += min(1, len(p.Data))
		withGlobals += min(1, p.Globals)
		sameState(t, file, p, m, original, rewritten)
		require.NoError(t, original.Close(t.Context()))
		require.NoError(t, rewritten.Close(t.Context()))
	}
	t.Logf("%d instances compared, %d with data, %d with globals", compared, withData, withGlobals)
	require.Greater(t, compared, 1000)
	require.Greater(t, withData, 50)
	require.Greater(t, withGlobals, 20)
}

// sameState compares an instance of each form.
func sameState(t *testing.T, file string, p *wasmbin.Prepared, m *wasmbin.Module, original, rewritten api.Module) {
	t.Helper()
	require.Equal(t, m.Memory != nil, p.Memory, file)
	if p.Memory {
		require.EqualValues(t, p.MinPages<<16, original.Memory().Size(), file)
		require.EqualValues(t, p.MinPages<<16, rewritten.Memory().Size(), file)
		got, ok := rewritten.Memory().Read(0, uint32(p.MinPages<<16))
		require.True(t, ok, file)
		require.Equal(t, len(got), zeros(got), file)
		for _, d := range p.Data {
			require.True(t, rewritten.Memory().Write(d.Offset, d.Bytes), file)
		}
		want, ok := original.Memory().Read(0, uint32(p.MinPages<<16))
		require.True(t, ok, file)
		require.True(t, slices.Equal(want, got), file)
	}
	for i := range p.Globals {
		require.Implements(t, (*api.MutableGlobal)(nil), rewritten.ExportedGlobal(wasmbin.GlobalName(i)), file)
	}
	for _, e := range m.Exports {
		// References are addresses, different in each instance.
		if e.Kind == wasmbin.KindGlobal && wasmbin.ValType(original.ExportedGlobal(e.Name).Type()).IsNumber() {
			require.Equal(t, original.ExportedGlobal(e.Name).Get(), rewritten.ExportedGlobal(e.Name).Get(), file)
		}
	}
}

// zeros counts the zero bytes that b starts with.
func zeros(b []byte) int {
	i := slices.IndexFunc(b, func(c byte) bool { return c != 0 })
	if i < 0 {
		return len(b)
	}
	return i
}

// TestPrepare_goGuest looks at what is moved out of Go's modules.
func TestPrepare_goGuest(t *testing.T) {
	t.Parallel()
	for name, b := range goGuests(t) {
		p, err := wasmbin.Prepare(b)
		require.NoError(t, err, name)
		m, err := wasmbin.Scan(b)
		require.NoError(t, err, name)
		untouched(t, filepath.Base(name), b, p)
		require.Len(t, p.Data, m.DataSegments)
		after, err := wasmbin.Scan(p.Bytes)
		require.NoError(t, err)
		require.Zero(t, after.DataSegments)
		require.True(t, p.Memory)
		require.False(t, p.Start)
		require.Equal(t, m.Memory.Min, p.MinPages)
		require.Positive(t, p.Globals)
		t.Logf("%s: %d bytes, %d rewritten, %d data segments, %d globals", name, len(b), len(p.Bytes), len(p.Data), p.Globals)
	}
}

// TestPrepare_start runs a start function by its exported name, one of the
// module's own and one that it imports.
func TestPrepare_start(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	calls := 0
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() { calls++ }).Export("it").Instantiate(t.Context())
	require.NoError(t, err)
	imports := sec(imports, vec(cat(str("env"), str("it"), raw(0, 0))))
	for index, want := range []int{1, 2} {
		p, err := wasmbin.Prepare(module(noType, imports, oneFunction, sec(globals, vec(i32Global)), sec(start, u(uint64(index))),
			sec(code, vec(fn(raw(0x41, 7, 0x24, 0, 0x10, 0))))))
		require.NoError(t, err)
		instance, err := rt.Instantiate(t.Context(), p.Bytes)
		require.NoError(t, err)
		require.Equal(t, want-1, calls)
		_, err = instance.ExportedFunction(wasmbin.StartName).Call(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, calls)
		global, ok := instance.ExportedGlobal(wasmbin.GlobalName(0)).(api.MutableGlobal)
		require.True(t, ok)
		require.EqualValues(t, 7*index, global.Get())
		global.Set(3)
		require.EqualValues(t, 3, global.Get())
	}
}

// TestPrepare_memoryInit copies from a passive segment behind one that is taken
// out, in both forms of a module.
func TestPrepare_memoryInit(t *testing.T) {
	t.Parallel()
	b := module(sec(types, vec(raw(0x60, 1, 0x7f, 0))), oneFunction, onePage, sec(exports, vec(exportOf("f", 0, 0))),
		sec(dataCount, u(2)), sec(code, vec(fn(raw(0x41, 0xc0, 0, 0x41, 1, 0x20, 0, 0xfc, 0x08, 1, 0)))),
		sec(data, vec(active(u(0), "active"), cat(raw(1), str("passive")))))
	p, err := wasmbin.Prepare(b)
	require.NoError(t, err)
	rt := newRuntime(t)
	for form, b := range map[string][]byte{"original": b, "rewritten": p.Bytes} {
		instance, err := rt.InstantiateWithConfig(t.Context(), b, wazero.NewModuleConfig().WithName(form))
		require.NoError(t, err)
		f := instance.ExportedFunction("f")
		_, err = f.Call(t.Context(), 7)
		require.ErrorContains(t, err, "out of bounds", form)
		_, err = f.Call(t.Context(), 6)
		require.NoError(t, err, form)
		got, ok := instance.Memory().Read(64, 8)
		require.True(t, ok)
		require.Equal(t, "assive\x00\x00", string(got), form)
	}
}

// BenchmarkPrepare rewrites a module of Go.
func BenchmarkPrepare(b *testing.B) {
	module, err := guest()
	require.NoError(b, err)
	b.SetBytes(int64(len(module)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := wasmbin.Prepare(module)
		require.NoError(b, err)
	}
}
