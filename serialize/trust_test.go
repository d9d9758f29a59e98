package serialize_test

import (
	"bytes"
	"crypto/ed25519"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// keyPair is a key that is the same at each run.
func keyPair(n byte) (ed25519.PublicKey, ed25519.PrivateKey) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	public, _ := private.Public().(ed25519.PublicKey)
	return public, private
}

// trustedLoaders are the three ways to a Module by a Trust. No signature is no file.
var trustedLoaders = map[string]func(t *testing.T, trust serialize.Trust, wasm, signature []byte) (*serialize.Module, error){
	"Load": func(t *testing.T, trust serialize.Trust, wasm, signature []byte) (*serialize.Module, error) {
		t.Helper()
		path := file(t, wasm)
		if signature != nil {
			require.NoError(t, os.WriteFile(path+serialize.SignatureSuffix, signature, 0o600))
		}
		return trust.Load(path)
	},
	"LoadFS": func(t *testing.T, trust serialize.Trust, wasm, signature []byte) (*serialize.Module, error) {
		t.Helper()
		fsys := fstest.MapFS{"m.wasm": {Data: wasm}}
		if signature != nil {
			fsys["m.wasm.sig"] = &fstest.MapFile{Data: signature}
		}
		return trust.LoadFS(fsys, "m.wasm")
	},
	"New": func(t *testing.T, trust serialize.Trust, wasm, signature []byte) (*serialize.Module, error) {
		t.Helper()
		trust.Signature = signature
		return trust.New("m.wasm", wasm)
	},
	"Load, signature given": func(t *testing.T, trust serialize.Trust, wasm, signature []byte) (*serialize.Module, error) {
		t.Helper()
		trust.Signature = signature
		return trust.Load(file(t, wasm))
	},
}

func TestTrust_signed(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	a, privateA := keyPair(1)
	b, privateB := keyPair(2)
	c, _ := keyPair(3)
	byA, byB := serialize.Sign(privateA, wasm), serialize.Sign(privateB, wasm)
	for name, tc := range map[string]struct {
		keys      []ed25519.PublicKey
		signature []byte
		signer    ed25519.PublicKey
	}{
		"one key":               {[]ed25519.PublicKey{a}, byA, a},
		"the old key":           {[]ed25519.PublicKey{b, a}, byA, a},
		"the new key":           {[]ed25519.PublicKey{b, a}, byB, b},
		"two signatures":        {[]ed25519.PublicKey{b}, append(bytes.Clone(byA), byB...), b},
		"two of each":           {[]ed25519.PublicKey{c, b, a}, append(bytes.Clone(byA), byB...), b},
		"no end of line":        {[]ed25519.PublicKey{a}, bytes.TrimSpace(byA), a},
		"another system's line": {[]ed25519.PublicKey{a}, append(bytes.TrimSpace(byA), "\r\n"...), a},
	} {
		for way, load := range trustedLoaders {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				m, err := load(t, serialize.Trust{Keys: tc.keys, Digest: digest(wasm)}, wasm, tc.signature)
				require.NoError(t, err)
				require.Equal(t, tc.signer, m.SignedBy())
				clear(m.SignedBy())
				require.Equal(t, tc.signer, m.SignedBy(), "it is a copy")
				require.Equal(t, wasm, m.Bytes())
			})
		}
	}
	unsigned, err := serialize.NewModule("m.wasm", wasm)
	require.NoError(t, err)
	require.Nil(t, unsigned.SignedBy())
}

// TestTrust_refused: what is not trusted is refused before it is parsed. The bytes
// are no module, which nothing may notice.
func TestTrust_refused(t *testing.T) {
	t.Parallel()
	garbage := []byte("this is no module")
	a, privateA := keyPair(1)
	b, _ := keyPair(2)
	byA := serialize.Sign(privateA, garbage)
	altered := bytes.Clone(byA)
	altered[len(altered)-10] ^= 1 // still base64, or not: refused
	for name, tc := range map[string]struct {
		trust     serialize.Trust
		signature []byte
		kind      serialize.ModuleErrorKind
		text      string
	}{
		"covered":           {serialize.Trust{Keys: []ed25519.PublicKey{a}, Digest: digest(garbage)}, byA, serialize.NotWasm, ""},
		"other digest":      {serialize.Trust{Digest: digest(nil)}, nil, serialize.Digest, "pinned to"},
		"digest first":      {serialize.Trust{Keys: []ed25519.PublicKey{a}, Digest: digest(nil)}, byA, serialize.Digest, "pinned to"},
		"malformed digest":  {serialize.Trust{Digest: "sha256:"}, nil, serialize.Digest, "pinned to"},
		"missing":           {serialize.Trust{Keys: []ed25519.PublicKey{a}}, nil, serialize.Signature, "signature is missing"},
		"other key":         {serialize.Trust{Keys: []ed25519.PublicKey{b}}, byA, serialize.Signature, "no trusted key matches"},
		"nobody":            {serialize.Trust{Keys: []ed25519.PublicKey{}}, byA, serialize.Signature, "no trusted key matches"},
		"other bytes":       {serialize.Trust{Keys: []ed25519.PublicKey{a}}, serialize.Sign(privateA, []byte("other")), serialize.Signature, "no trusted key matches"},
		"bare signature":    {serialize.Trust{Keys: []ed25519.PublicKey{a}}, ed25519.Sign(privateA, garbage), serialize.Signature, "malformed: line 1"},
		"altered":           {serialize.Trust{Keys: []ed25519.PublicKey{a}}, altered, serialize.Signature, ""},
		"empty":             {serialize.Trust{Keys: []ed25519.PublicKey{a}}, []byte{}, serialize.Signature, "malformed: it is empty"},
		"short":             {serialize.Trust{Keys: []ed25519.PublicKey{a}}, []byte("sandpool-signature-v1 AAAA\n"), serialize.Signature, "malformed: line 1 does not hold 64 bytes"},
		"a good line first": {serialize.Trust{Keys: []ed25519.PublicKey{a}}, append(bytes.Clone(byA), "more\n"...), serialize.Signature, "malformed: line 2"},
		"long":              {serialize.Trust{Keys: []ed25519.PublicKey{a}}, bytes.Repeat(byA, 12), serialize.Signature, "malformed: more than 1024 bytes"},
		"short key":         {serialize.Trust{Keys: []ed25519.PublicKey{a, b[:31]}}, byA, serialize.Signature, "trusted key 1 is malformed"},
	} {
		for way, load := range trustedLoaders {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				m, err := load(t, tc.trust, garbage, tc.signature)
				require.Nil(t, m)
				var me *serialize.ModuleError
				require.ErrorAs(t, err, &me)
				require.Equal(t, tc.kind, me.Kind, "%v", err)
				require.Equal(t, "m.wasm", me.Module)
				require.ErrorContains(t, err, tc.text)
			})
		}
	}
}

// TestTrust_everyByte alters each byte of a signed module in turn.
func TestTrust_everyByte(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	public, private := keyPair(1)
	trust := serialize.Trust{Keys: []ed25519.PublicKey{public}, Signature: serialize.Sign(private, wasm)}
	for i := range wasm {
		wasm[i] ^= 1
		_, err := trust.New("m.wasm", wasm)
		require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.Signature}, "byte %d", i)
		wasm[i] ^= 1
	}
	_, err := trust.New("m.wasm", wasm[:len(wasm)-1])
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.Signature})
	_, err = trust.New("m.wasm", wasm)
	require.NoError(t, err)
}

// TestTrust_noKeys: a signature that nothing is checked with is a mistake of the
// host's, not a module to be trusted.
func TestTrust_noKeys(t *testing.T) {
	t.Parallel()
	_, private := keyPair(1)
	wasm := guesttest.TinyEcho()
	_, err := serialize.Trust{Signature: serialize.Sign(private, wasm)}.New("m.wasm", wasm)
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.Signature})
	require.ErrorContains(t, err, "no key to check it with")
}

// TestTrust_files are errors of the file system.
func TestTrust_files(t *testing.T) {
	t.Parallel()
	public, _ := keyPair(1)
	trust := serialize.Trust{Keys: []ed25519.PublicKey{public}}
	_, err := trust.Load(filepath.Join(t.TempDir(), "missing.wasm"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	path := file(t, guesttest.TinyEcho())
	require.NoError(t, os.Mkdir(path+serialize.SignatureSuffix, 0o700))
	_, err = trust.Load(path)
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
}

// TestSign_format holds the format that docs/signing.md describes.
func TestSign_format(t *testing.T) {
	t.Parallel()
	public, private := keyPair(1)
	text := string(serialize.Sign(private, []byte("module")))
	require.True(t, strings.HasPrefix(text, "sandpool-signature-v1 "))
	require.Equal(t, 1, strings.Count(text, "\n"))
	require.LessOrEqual(t, 9*len(text), serialize.MaxSignatureSize)
	const pinned = "sandpool-signature-v1 DARb0ixUPa82qvPAyK3fJkj/yWfFvn72tM3SmHYMgl6WZgB3WxVhUa3wDTEkUAkiMhQ7aivS3Gaj16hbzpOyCw=="
	require.Equal(t, pinned, strings.TrimSpace(text))
	_, err := serialize.Trust{Keys: []ed25519.PublicKey{public}, Signature: []byte(pinned)}.New("m", []byte("module"))
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.NotWasm}, "trusted, and no module")
}

func TestHandle(t *testing.T) {
	t.Parallel()
	one, err := serialize.NewModule("one", guesttest.TinyEcho())
	require.NoError(t, err)
	two, err := serialize.NewModule("two", guesttest.TinyTrap())
	require.NoError(t, err)
	require.Nil(t, new(serialize.Handle).Module())
	require.Panics(t, func() { serialize.NewHandle(nil) })
	h := serialize.NewHandle(one)
	require.Panics(t, func() { h.Set(nil) })
	require.Same(t, one, h.Module())
	require.Same(t, one, h.Set(two))
	require.Same(t, two, h.Set(two))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Set(one)
				m := h.Module()
				if m != one && m != two {
					t.Error("it points at no module")
				}
				h.Set(two)
			}
		})
	}
	wg.Wait()
	require.Same(t, two, h.Module())
}
