package snapshot_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/snapshot"
)

const page = 64 << 10

func TestMemory(t *testing.T) {
	t.Parallel()
	m := snapshot.NewMemory(snapshot.Config{Limit: 10<<20 + 5})
	require.EqualValues(t, 10<<20, m.Limit(), "whole pages")
	require.Same(t, m, m.Allocate(0, 1<<32))
	defer m.Free()
	b := m.Reallocate(page)
	require.Len(t, b, page)
	require.Equal(t, page, cap(b), "what is open beyond is not reachable")
	require.EqualValues(t, 1<<20, m.Opened())
	b[page-1] = 7
	first := &b[0]

	for _, tc := range []struct{ size, opened uint64 }{
		{1 << 20, 1 << 20},
		{1<<20 + page, 2 << 20},  // twice as much
		{5 << 20, 5 << 20},       // more than that
		{5<<20 + page, 10 << 20}, // twice as much is all there is
		{10 << 20, 10 << 20},
	} {
		b = m.Reallocate(tc.size)
		require.Len(t, b, int(tc.size))
		require.Same(t, first, &b[0], "it never moves")
		require.EqualValues(t, 7, b[page-1])
		require.Zero(t, b[tc.size-1])
		b[tc.size-1] = 1
		require.Equal(t, tc.size, m.Peak())
		if runtime.GOOS != "windows" {
			require.Equal(t, tc.opened, m.Opened())
		}
	}
	require.Zero(t, m.Refused())
	require.Nil(t, m.Reallocate(10<<20+page))
	require.EqualValues(t, 10<<20+page, m.Refused())
	require.Nil(t, m.Reallocate(1<<32))
	require.Nil(t, m.Reallocate(11<<20))
	require.EqualValues(t, 11<<20, m.Refused(), "the last")
	require.EqualValues(t, 10<<20, m.Peak())
	require.EqualValues(t, 7, b[page-1], "a refusal changes nothing")
	require.NotNil(t, m.Reallocate(10<<20))
	require.Zero(t, m.Refused(), "the guest went on")
}

func TestMemory_bounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ limit, want uint64 }{
		{0, 0},
		{1, 0},
		{page - 1, 0},
		{page, page},
		{page + 1, page},
		{1 << 32, snapshot.MaxMemory},
		{1<<64 - 1, snapshot.MaxMemory},
	} {
		require.Equal(t, tc.want, snapshot.NewMemory(snapshot.Config{Limit: tc.limit}).Limit(), "%d", tc.limit)
	}
}

func TestMemory_declaredMaximum(t *testing.T) {
	t.Parallel()
	m := snapshot.NewMemory(snapshot.Config{Limit: 1 << 30})
	m.Allocate(page, 2*page)
	defer m.Free()
	require.Len(t, m.Reallocate(2*page), 2*page)
	require.Nil(t, m.Reallocate(3*page), "the module's own maximum")
}

func TestMemory_empty(t *testing.T) {
	t.Parallel()
	for _, limit := range []uint64{0, 1 << 20} {
		for _, most := range []uint64{0, 1 << 20} {
			m := snapshot.NewMemory(snapshot.Config{Limit: limit})
			m.Allocate(0, most)
			b := m.Reallocate(0)
			require.NotNil(t, b, "nil would be a refusal")
			require.Empty(t, b)
			if min(limit, most) == 0 {
				require.Nil(t, m.Reallocate(page))
				require.EqualValues(t, page, m.Refused())
			}
			m.Free()
			m.Free()
		}
	}
}

func TestMemory_free(t *testing.T) {
	t.Parallel()
	m := snapshot.NewMemory(snapshot.Config{Limit: 1 << 20})
	m.Free() // before there is any
	m.Allocate(0, 1<<20)
	require.NotNil(t, m.Reallocate(page))
	m.Free()
	require.Nil(t, m.Reallocate(page))
	require.Zero(t, m.Opened())
	require.EqualValues(t, page, m.Peak(), "is still to be told")
	m.Free()
}
