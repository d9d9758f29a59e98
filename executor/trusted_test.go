package executor_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

func keyPair(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return public, private
}

// signedEcho is the echo guest with a signature of the key.
func signedEcho(t *testing.T, private ed25519.PrivateKey) *serialize.Module {
	t.Helper()
	public, ok := private.Public().(ed25519.PublicKey)
	require.True(t, ok)
	wasm := guesttest.TinyEcho()
	m, err := serialize.Trust{Keys: []ed25519.PublicKey{public}, Signature: serialize.Sign(private, wasm)}.New("echo", wasm)
	require.NoError(t, err)
	return m
}

// TestTrustedKeys calls one module, signed or not, in every way there is.
func TestTrustedKeys(t *testing.T) {
	t.Parallel()
	trusted, private := keyPair(t)
	other, foreign := keyPair(t)
	keys := []ed25519.PublicKey{other, append(ed25519.PublicKey(nil), trusted...)}
	ex := newExecutor(t, executor.Options{Workers: 1, TrustedKeys: keys[1:]})
	clear(keys[1]) // the executor has copied it
	good := signedEcho(t, private)
	require.Equal(t, trusted, good.SignedBy())
	untrusted := &serialize.ModuleError{Kind: serialize.Signature}
	h := serialize.NewHandle(good)
	for name, m := range map[string]*serialize.Module{"unsigned": echoFunc(t).Module, "foreign": signedEcho(t, foreign)} {
		for range 2 { // before and after a call of the same bytes
			_, err := call(t, ex, raw{Module: m, Name: "echo"}, []byte("a"))
			require.ErrorIs(t, err, untrusted, name)
			_, err = executor.Describe(t.Context(), ex, m)
			require.ErrorIs(t, err, untrusted, name)
			require.ErrorIs(t, ex.Prewarm(t.Context(), 1, m), untrusted, name)
			require.ErrorIs(t, executor.Swap(t.Context(), ex, h, m), untrusted, name)
			out, err := call(t, ex, raw{Handle: h, Name: "echo"}, []byte("a"))
			require.NoError(t, err)
			require.Equal(t, "a", string(out))
		}
	}
	nobody := newExecutor(t, executor.Options{TrustedKeys: []ed25519.PublicKey{}})
	_, err := call(t, nobody, raw{Module: good, Name: "echo"}, nil)
	require.ErrorIs(t, err, untrusted, "an empty list trusts nobody")
	anybody := newExecutor(t, executor.Options{Workers: 1})
	_, err = call(t, anybody, raw{Module: good, Name: "echo"}, nil)
	require.NoError(t, err)
}

func TestTrustedKeys_malformed(t *testing.T) {
	t.Parallel()
	good, _ := keyPair(t)
	_, err := executor.New(&executor.Options{Workers: -1, TrustedKeys: []ed25519.PublicKey{nil, good, good[:31]}})
	require.ErrorContains(t, err, "Options.TrustedKeys: key 0 has 0 bytes instead of 32")
	require.ErrorContains(t, err, "key 2 has 31 bytes")
	require.ErrorContains(t, err, "Options.Workers")
	require.NotContains(t, err.Error(), "key 1")
}

func TestTrustedKeys_reusable(t *testing.T) {
	t.Parallel()
	a, _ := keyPair(t)
	b, _ := keyPair(t)
	base := reusableOptions(t)
	base.TrustedKeys = []ed25519.PublicKey{a}
	for name, tc := range map[string]struct {
		keys []ed25519.PublicKey
		same bool
	}{
		"equal":     {[]ed25519.PublicKey{append(ed25519.PublicKey(nil), a...)}, true},
		"other":     {[]ed25519.PublicKey{b}, false},
		"more":      {[]ed25519.PublicKey{a, b}, false},
		"any":       {nil, false},
		"nobody":    {[]ed25519.PublicKey{}, false},
		"malformed": {[]ed25519.PublicKey{a[:3]}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReusable(t)
			ex := get(t, r, base)
			o := base
			o.TrustedKeys = tc.keys
			_, err := r.Get(t.Context(), &o)
			require.Equal(t, name == "malformed", err != nil)
			require.Equal(t, tc.same, ex.Stats().ID == 1)
		})
	}
	// Nil and empty are not the same to begin with either.
	r, o := newReusable(t), reusableOptions(t)
	ex := get(t, r, o)
	o.TrustedKeys = []ed25519.PublicKey{}
	get(t, r, o)
	require.EqualValues(t, 2, ex.Stats().ID)
	_, err := call(t, ex, echoFunc(t), nil)
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.Signature})
}
