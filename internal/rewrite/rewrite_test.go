package rewrite_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/rewrite"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// hang is how long a test waits for what must happen.
const hang = 2 * time.Minute

// of returns the forms of a module.
func of(wasm []byte) *rewrite.Forms {
	return rewrite.Of(sha256.Sum256(wasm), func() []byte { return wasm })
}

// named is a module unlike those of other tests.
func named(name string, wasm []byte) []byte {
	return slices.Concat(wasm, guesttest.Section(0, append([]byte{byte(len(name))}, name...)))
}

func TestForm(t *testing.T) {
	t.Parallel()
	echo, table := named("form", guesttest.TinyEcho()), named("form", guesttest.TinyStateTable())
	var reserved guesttest.Module
	reserved.Memory(1, 1)
	reserved.Export("\x00sandpool.stop", reserved.Func(guesttest.Sig(nil), nil, new(guesttest.Code)))
	for name, tc := range map[string]struct {
		wasm            []byte
		mode            wasmbin.Mode
		restorable      bool
		same            bool // nothing is rewritten
		unfit, killOnly string
	}{
		"as it is":             {wasm: echo, mode: wasmbin.Plain, same: true},
		"to be ended":          {wasm: echo, mode: wasmbin.Flag},
		"to count":             {wasm: echo, mode: wasmbin.Fuel},
		"to be restored":       {wasm: echo, mode: wasmbin.Flag, restorable: true},
		"not to be restored":   {wasm: table, mode: wasmbin.Flag, restorable: true, unfit: "changes a table"},
		"that is not asked":    {wasm: table, mode: wasmbin.Flag},
		"cannot be ended":      {wasm: reserved.Bytes(), mode: wasmbin.Flag, killOnly: "reserved name", same: true},
		"and need not":         {wasm: reserved.Bytes(), mode: wasmbin.Plain, same: true},
		"neither of the two":   {wasm: reserved.Bytes(), mode: wasmbin.Flag, restorable: true, unfit: "reserved name", killOnly: "reserved name", same: true},
		"restored, not ended":  {wasm: echo, mode: wasmbin.Plain, restorable: true},
		"restored and counted": {wasm: echo, mode: wasmbin.Fuel, restorable: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := of(tc.wasm).Form(tc.mode, tc.restorable)
			require.NoError(t, err)
			require.Equal(t, sha256.Sum256(f.Bytes), f.Sum)
			require.Equal(t, tc.restorable && tc.unfit == "", f.Prepared != nil)
			require.Contains(t, f.Unfit, tc.unfit)
			require.Equal(t, tc.unfit == "", f.Unfit == "")
			require.Contains(t, f.KillOnly, tc.killOnly)
			require.Equal(t, tc.killOnly == "", f.KillOnly == "")

			want := tc.wasm
			if f.Prepared != nil {
				require.Nil(t, f.Prepared.Bytes)
				p, err := wasmbin.Prepare(want)
				require.NoError(t, err)
				want = p.Bytes
			}
			if f.KillOnly == "" {
				want, err = wasmbin.Instrument(want, tc.mode)
				require.NoError(t, err)
			}
			require.Equal(t, want, f.Bytes)
			if tc.same {
				require.Equal(t, tc.wasm, f.Bytes)
			}
		})
	}

	var unfit *wasmbin.UnfitError
	_, err := of(reserved.Bytes()).Form(wasmbin.Fuel, false)
	require.ErrorAs(t, err, &unfit)
	_, err = of([]byte("no module")).Form(wasmbin.Flag, true)
	require.ErrorAs(t, err, new(*wasmbin.Error))
	_, err = of([]byte("no module")).Form(wasmbin.Flag, false)
	require.ErrorAs(t, err, new(*wasmbin.Error))
}

// Many ask for the same at once and get the same, made once.
func TestForm_shared(t *testing.T) {
	t.Parallel()
	wasm := named("shared", guesttest.TinyEcho())
	const n = 8
	var forms [n]*rewrite.Forms
	var flags, restorables [n]*rewrite.Form
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			forms[i] = of(slices.Clone(wasm))
			flags[i], _ = forms[i].Form(wasmbin.Flag, false)
			restorables[i], _ = forms[i].Form(wasmbin.Flag, true)
		})
	}
	wg.Wait()
	for i := range n {
		require.Same(t, forms[0], forms[i])
		require.Same(t, flags[0], flags[i])
		require.Same(t, restorables[0], restorables[i])
	}
	require.NotSame(t, flags[0], restorables[0])
	require.Equal(t, wasm, forms[0].Module())
	other, err := of(named("other", guesttest.TinyEcho())).Form(wasmbin.Flag, false)
	require.NoError(t, err)
	require.NotEqual(t, flags[0].Sum, other.Sum)
	runtime.KeepAlive(forms)
}

// What nobody holds any more is collected, and made again if asked for.
func TestOf_collected(t *testing.T) {
	t.Parallel()
	wasm := named("collected", guesttest.TinyEcho())
	sum := sha256.Sum256(wasm)
	var asked atomic.Int32
	get := func() *rewrite.Forms {
		return rewrite.Of(sum, func() []byte { asked.Add(1); return wasm })
	}
	f := get()
	first, err := f.Form(wasmbin.Flag, true)
	require.NoError(t, err)
	for range 3 {
		runtime.GC()
		require.Same(t, f, get())
	}
	require.EqualValues(t, 1, asked.Load(), "it is held")
	runtime.KeepAlive(f)
	f = nil //nolint:wastedassign // for the collector
	require.Eventually(t, func() bool {
		runtime.GC()
		return !rewrite.Held(sum)
	}, hang, time.Millisecond, "it is not held any more")
	again, err := get().Form(wasmbin.Flag, true)
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
	require.NotSame(t, first, again)
	require.Equal(t, first, again)
}

// Holders come and go while the collector runs.
func TestOf_churn(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				wasm := named(fmt.Sprint("churn", i%3), guesttest.TinyEcho())
				f, err := of(wasm).Form(wasmbin.Flag, i%2 == 0)
				if err != nil || len(f.Bytes) == 0 {
					t.Error(i, err)
				}
				if i%20 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
}
