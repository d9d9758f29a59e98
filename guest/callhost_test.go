package guest_test

import (
	"bytes"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// answering is a host all of whose functions answer the same.
func answering(status uint32, answer string) *guest.FakeHost {
	return &guest.FakeHost{Answer: func(string, []byte) (uint32, []byte) { return status, []byte(answer) }}
}

func TestCallHost(t *testing.T) {
	t.Parallel()
	h := &guest.FakeHost{Answer: func(name string, input []byte) (uint32, []byte) {
		return 0, append([]byte(name+" "), input...)
	}}
	for _, input := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte("y"), 1<<20)} {
		output, err := h.CallHost("lookup", input)
		require.NoError(t, err)
		require.Equal(t, "lookup "+string(input), string(output))
	}
	output, err := answering(0, "").CallHost("f", nil)
	require.NoError(t, err)
	require.Empty(t, output)
}

func TestCallHost_errors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		h    *guest.FakeHost
		want guest.HostError
		text string
	}{
		"failed":        {answering(1, "no such key"), guest.HostError{Name: "f", Message: "no such key"}, `host function "f": no such key`},
		"without text":  {answering(1, ""), guest.HostError{Name: "f"}, `host function "f": `},
		"no text":       {answering(1, "a\xff"), guest.HostError{Name: "f", Message: "a\uFFFD"}, "host function \"f\": a\uFFFD"},
		"missing":       {answering(2, "not granted"), guest.HostError{Name: "f", Message: "not granted", Missing: true}, "not granted"},
		"newer failure": {answering(3, "quota"), guest.HostError{Name: "f", Message: "quota"}, `host function "f": quota`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := tc.h.CallHost("f", []byte("input"))
			require.Nil(t, output)
			var he *guest.HostError
			require.ErrorAs(t, err, &he)
			require.Equal(t, tc.want, *he)
			require.EqualError(t, err, tc.text)
		})
	}
}

func TestCallHost_hostMistakes(t *testing.T) {
	t.Parallel()
	h := answering(0, "answer")
	h.Lost = true
	_, err := h.CallHost("f", nil)
	require.EqualError(t, err, `answer of host function "f": got 0 of 6 bytes`)
	h.Size = 1 << 31
	_, err = h.CallHost("f", nil)
	require.ErrorContains(t, err, "2147483648 bytes are more than a Go guest can hold")
}

// TestCallHost_goroutines: no answer is taken for another one's.
func TestCallHost_goroutines(t *testing.T) {
	t.Parallel()
	h := &guest.FakeHost{Answer: func(_ string, input []byte) (uint32, []byte) { return 0, input }}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				in := bytes.Repeat([]byte{byte(i)}, n)
				out, err := h.CallHost("echo", in)
				if err != nil || !bytes.Equal(in, out) {
					t.Errorf("%x, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCallHost_notAGuest(t *testing.T) {
	t.Parallel()
	_, err := guest.CallHost("f", nil)
	var he *guest.HostError
	require.ErrorAs(t, err, &he)
	require.Equal(t, guest.HostError{Name: "f", Message: "this program is not a guest: it has no host to call", Missing: true}, *he)
}

// TestCallHost_imports: only guests with a use for host functions, or for codecs of
// their own, import them, so
// that the others run on every host of the interface's version.
func TestCallHost_imports(t *testing.T) {
	t.Parallel()
	base := []string{"input_read", "output_write", "fail", "log"}
	for dir, want := range map[string][]string{
		"../internal/guesttest/testdata/fixture": append([]string{"host_call", "host_size", "host_read", "codec_name"}, base...),
		"testdata/plain":                         base,
	} {
		wasm, err := os.ReadFile(guesttest.BuildDir(t, dir))
		require.NoError(t, err)
		m, err := wasmbin.Scan(wasm)
		require.NoError(t, err)
		var got []string
		for _, imp := range m.Imports {
			if imp.Module == "sandpool_v1" {
				got = append(got, imp.Name)
			}
		}
		require.ElementsMatch(t, want, got, dir)
	}
}
