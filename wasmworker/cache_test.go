package wasmworker_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/wasmworker"
)

// compile compiles in a runtime of its own.
func compile(t *testing.T, c *wasmworker.EntryCache, wasm []byte) error {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), c.Config())
	t.Cleanup(func() { require.NoError(t, r.Close(t.Context())) })
	_, err := r.CompileModule(t.Context(), wasm)
	return err
}

// entry compiles a module as a template does.
func entry(t *testing.T, wasm []byte) (key, content []byte) {
	t.Helper()
	c := wasmworker.NewEntryCache()
	require.NotNil(t, c, "this version of the engine has no such cache any more: compiled code cannot be shared")
	require.NoError(t, compile(t, c, wasm))
	key, content = c.Compiled()
	require.Len(t, key, 32)
	require.NotEmpty(t, content, "the engine hands out what it compiled")
	return bytes.Clone(key), content
}

func TestEntryCache(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyNoABI()
	key, content := entry(t, wasm)

	c := wasmworker.NewEntryCache()
	require.NoError(t, c.Offer(key, content))
	r := wazero.NewRuntimeWithConfig(t.Context(), c.Config())
	defer r.Close(t.Context())
	compiled, err := r.CompileModule(t.Context(), wasm)
	require.NoError(t, err)
	_, added := c.Compiled()
	require.Nil(t, added, "nothing was compiled")
	m, err := r.InstantiateModule(t.Context(), compiled, wazero.NewModuleConfig().WithName(""))
	require.NoError(t, err)
	sum, err := m.ExportedFunction("add").Call(t.Context(), 40, 2)
	require.NoError(t, err)
	require.Equal(t, []uint64{42}, sum)

	again, same := entry(t, wasm)
	require.Equal(t, key, again)
	require.Equal(t, content, same, "compiling is deterministic")
}

func TestEntryCache_withdrawn(t *testing.T) {
	t.Parallel()
	key, content := entry(t, guesttest.TinyNoABI())
	c := wasmworker.NewEntryCache()
	require.NoError(t, c.Offer(key, content))
	c.End()
	require.NoError(t, compile(t, c, guesttest.TinyNoABI()))
	_, added := c.Compiled()
	require.Equal(t, content, added, "compiled anew")
	c.End()
	_, added = c.Compiled()
	require.Nil(t, added, "and not kept")
}

func TestEntryCache_refusals(t *testing.T) {
	t.Parallel()
	key, content := entry(t, guesttest.TinyNoABI())
	for _, n := range []int{0, 31, 33} {
		c := wasmworker.NewEntryCache()
		require.ErrorContains(t, c.Offer(make([]byte, n), content), "key has")
	}
	c := wasmworker.NewEntryCache()
	require.NoError(t, c.Offer(key, content))
	require.ErrorContains(t, compile(t, c, guesttest.TinyEcho()), "for another module")
	for name, bad := range map[string][]byte{
		"empty": {}, "garbage": []byte("garbage garbage garbage garbage"),
		"cut": content[:len(content)/2],
	} {
		c := wasmworker.NewEntryCache()
		require.NoError(t, c.Offer(key, bad))
		require.Error(t, compile(t, c, guesttest.TinyNoABI()), name)
	}
}

// A module without its code runs by the entry of the one that it was made of, and not without.
func TestEntryCache_bare(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyNoABI()
	bare, err := wasmbin.Bare(wasm)
	require.NoError(t, err)
	key, content := entry(t, wasm)

	c := wasmworker.NewEntryCache()
	require.NoError(t, c.Offer(key, content))
	require.ErrorContains(t, compile(t, c, bare), "another module")
	c.Insist()
	r := wazero.NewRuntimeWithConfig(t.Context(), c.Config())
	defer r.Close(t.Context())
	compiled, err := r.CompileModule(t.Context(), bare)
	require.NoError(t, err)
	require.False(t, c.CompiledAnew())
	m, err := r.InstantiateModule(t.Context(), compiled, wazero.NewModuleConfig().WithName(""))
	require.NoError(t, err)
	sum, err := m.ExportedFunction("add").Call(t.Context(), 40, 2)
	require.NoError(t, err)
	require.Equal(t, []uint64{42}, sum)

	require.NoError(t, c.Offer(key, nil))
	c.Insist()
	require.NoError(t, compile(t, c, wasm))
	require.True(t, c.CompiledAnew(), "there was nothing to take")
}
