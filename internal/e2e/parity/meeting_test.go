package parity_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// A meeting is a host function whose calls wait until as many are inside as are
// expected: each has a worker of its own then, all at the same time.
type meeting struct {
	fn   raw
	host *executor.HostModule // for Options.Host

	mu       sync.Mutex // guards the fields below
	expected int
	full     chan struct{} // closed when nobody is missing
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	m := &meeting{fn: hostCallFunc(t, "meet")}
	host, err := executor.NewHostModule(executor.HostFunc("meet", m.join))
	require.NoError(t, err)
	m.host = host
	return m
}

// join waits for the others.
func (m *meeting) join(ctx context.Context, input []byte) ([]byte, error) {
	m.mu.Lock()
	full := m.full
	if m.expected--; m.expected == 0 {
		close(full)
	}
	m.mu.Unlock()
	select {
	case <-full:
		return input, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// of has n calls meet and returns the processes of their workers in order.
func (m *meeting) of(t *testing.T, ex *executor.Executor, n int) []int {
	t.Helper()
	m.mu.Lock()
	m.expected, m.full = n, make(chan struct{})
	m.mu.Unlock()
	var fs []*future
	for i := range n {
		fs = append(fs, executor.Submit(t.Context(), ex, m.fn, []byte(strconv.Itoa(i))))
	}
	var pids []int
	for i, f := range fs {
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(out))
		pids = append(pids, f.Usage().PID)
	}
	require.Len(t, unique(pids), n, "each call had a worker of its own")
	slices.Sort(pids)
	return pids
}
