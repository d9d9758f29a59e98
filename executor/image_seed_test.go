package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// With a seed, what a call draws repeats itself, but not what initialisation drew.
func TestSeed_init(t *testing.T) {
	t.Parallel()
	const i32, at = guesttest.I32, 60_000
	g := guesttest.NewTiny()
	random := g.Import("wasi_snapshot_preview1", "random_get", guesttest.Sig([]guesttest.ValueType{i32, i32}, i32))
	draw := func(at int32) *guesttest.Code { return new(guesttest.Code).I32(at).I32(8).Call(random).Drop() }
	g.Export("_initialize", g.Func(guesttest.Sig(nil), nil, draw(at)))
	body := draw(at + 8).I32(at).I32(16).Call(g.Write).I32(0)
	fn := raw{Module: tiny(t, "draw", g.Finish("draw", [2]uint32{1, 1}, nil, body)), Name: "draw"}
	fn.Grants.Seed = 7
	for _, method := range []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot} {
		ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: method})
		out, err := call(t, ex, fn, nil)
		require.NoError(t, err)
		again, err := call(t, ex, fn, nil)
		require.NoError(t, err)
		require.Equal(t, out, again, method)
		require.NotEqual(t, out[:8], out[8:], method)
	}
}
