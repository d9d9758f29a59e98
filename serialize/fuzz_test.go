package serialize_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/serialize"
)

// FuzzNewModule reads any bytes as a module: what is refused is so with an error of this
// package's type, whose text is one short line that a terminal shows as it is.
func FuzzNewModule(f *testing.F) {
	f.Add(guesttest.TinyEcho())
	f.Add(guesttest.TinyBadImport())
	f.Add(guesttest.TinyNoABI())
	f.Add(guesttest.TinyEcho()[:100])
	evil := new(guesttest.Module)
	evil.Import("\x1b[2J", "\u202e", guesttest.Sig(nil))
	f.Add(evil.Bytes())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := serialize.NewModule("\x1b]0;name\a", wasm)
		if err == nil {
			err = m.Check()
			_ = m.CheckSnapshot()
		}
		if err == nil {
			return
		}
		_, ok := errors.AsType[*serialize.ModuleError](err)
		require.True(t, ok, "%T", err)
		require.Less(t, len(err.Error()), 16<<10)
		for _, r := range err.Error() {
			require.False(t, quote.Risky(r), "%q", err)
		}
	})
}
