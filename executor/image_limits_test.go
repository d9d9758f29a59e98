package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// An image is for all calls of its class: the limits of the first one, which other
// calls need not have, do not decide whether there is one.
func TestSnapshot_limitsOfFirst(t *testing.T) {
	t.Parallel()
	g := guesttest.NewTiny()
	g.Export("_initialize", g.Func(guesttest.Sig(nil), nil, new(guesttest.Code).I32(0).Append(g.Text("initialising")).Call(g.Log)))
	body := new(guesttest.Code).Append(g.Text("done")).Call(g.Write).I32(0)
	fn := raw{Module: tiny(t, "logs", g.Finish("f", [2]uint32{1, 1}, nil, body)), Name: "f"}
	ex := snapshots(t, executor.Options{Workers: 1})
	small := fn
	small.Limits.Log = 20
	for _, fn := range []raw{small, fn} {
		f := executor.Submit(t.Context(), ex, fn, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
	}
}
