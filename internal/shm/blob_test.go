package shm_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/shm"
)

func TestBlob(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 4096, 3<<20 + 1} {
		data := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		b, err := shm.NewBlob("test", data)
		require.NoError(t, err)
		require.EqualValues(t, size, b.Size())
		want := bytes.Clone(data)
		clear(data)
		got, err := b.Bytes()
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "the blob has a copy")
		require.NoError(t, b.Close())
	}
}

func TestBlob_concurrent(t *testing.T) {
	t.Parallel()
	b, err := shm.NewBlob("test", []byte("shared"))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				got, err := b.Bytes()
				if err != nil || string(got) != "shared" {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close())
}
