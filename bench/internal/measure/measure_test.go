package measure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/bench/internal/kernels"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

var hour = measure.Box{Time: time.Hour, Calls: 10}

func TestPayload(t *testing.T) {
	t.Parallel()
	require.Equal(t, measure.Payload(100), measure.Payload(100))
	require.NotEqual(t, measure.Payload(100), measure.Payload(101)[:100])
	require.Len(t, measure.Payload(1<<20), 1<<20)
}

func TestEchoLoop(t *testing.T) {
	t.Parallel()
	input := measure.Payload(64)
	echo := func(_ context.Context, b []byte) ([]byte, error) { return bytes.Clone(b), nil }
	s, err := measure.EchoLoop(t.Context(), hour, input, input, echo)
	require.NoError(t, err)
	require.Equal(t, 10, s.Calls)
	require.Len(t, s.Each, 10)

	s, err = measure.EchoLoop(t.Context(), measure.Box{Calls: 10}, input, input, echo)
	require.NoError(t, err)
	require.Equal(t, 1, s.Calls, "one is made at least")

	_, err = measure.EchoLoop(t.Context(), hour, input, input, func(_ context.Context, b []byte) ([]byte, error) {
		b = bytes.Clone(b)
		b[63]++
		return b, nil
	})
	require.Error(t, err, "every output is compared")
}

func TestParallel(t *testing.T) {
	t.Parallel()
	var workers [3]atomic.Int64
	s, err := measure.Parallel(t.Context(), measure.Box{Time: time.Hour, Calls: 300}, 3, func(_ context.Context, worker int) error {
		workers[worker].Add(1)
		return nil
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, s.Calls, 300)
	require.Positive(t, s.Each[0])

	broken := errors.New("broken")
	_, err = measure.Parallel(t.Context(), measure.Box{Time: time.Hour, Calls: 1 << 40}, 3, func(ctx context.Context, worker int) error {
		if worker == 1 {
			return broken
		}
		<-ctx.Done()
		return nil
	})
	require.ErrorIs(t, err, broken)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	require.NoError(t, measure.Batch(t.Context(), 4, 101, func(context.Context, int) error {
		calls.Add(1)
		return nil
	}))
	require.EqualValues(t, 101, calls.Load())
}

func TestSpeedUpOf(t *testing.T) {
	t.Parallel()
	var made []int
	s, err := measure.SpeedUpOf(t.Context(), measure.Box{Time: time.Nanosecond}, func(_ context.Context, workers, calls int) error {
		made = append(made, workers, calls)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 1, 4, 2, 4}, made)
	require.Equal(t, 8, s.Calls)
}

func TestPauses(t *testing.T) {
	t.Parallel()
	for _, kind := range []measure.Kind{measure.Stall, measure.StallGC, measure.Overshoot} {
		s, err := measure.Pauses(t.Context(), measure.Box{Time: 200 * time.Millisecond}, kind, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 7, nil
		})
		require.NoError(t, err, kind)
		require.Equal(t, 7, s.Calls, kind)
		require.NotEmpty(t, s.Each, kind)
	}
}

func TestWorking(t *testing.T) {
	t.Parallel()
	j := measure.Job{Kind: measure.Stall, Task: kernels.Task{Kernel: kernels.Sieve, N: 1000}, Limit: 20 * time.Millisecond}
	s, err := measure.Working(t.Context(), j, func(_ context.Context, input []byte) ([]byte, error) { return kernels.Run(input) })
	require.NoError(t, err)
	require.Equal(t, 1, s.Calls)
	_, err = measure.Working(t.Context(), j, func(context.Context, []byte) ([]byte, error) { return []byte("none"), nil })
	require.Error(t, err, "what it computes is compared")
}

// A fakeCell counts what is done to it.
type fakeCell struct{ closed *int }

func (fakeCell) Run(_ context.Context, b measure.Box) (measure.Samples, error) {
	if b.Calls == 0 {
		return measure.Samples{}, errors.New("no calls")
	}
	return measure.Samples{Each: []float64{1, 2}, Calls: b.Calls}, nil
}

func (c fakeCell) Close() error {
	*c.closed++
	return nil
}

func TestServe(t *testing.T) {
	t.Parallel()
	requests := []string{
		`{"Op":"hello"}`,
		`{"Op":"run","Box":{"Time":1,"Calls":5}}`,
		`{"Op":"open","Side":"absent","Job":{"Kind":"echo"}}`,
		`{"Op":"open","Job":{"Kind":"echo"}}`,
		`{"Op":"run","Box":{"Time":1,"Calls":5}}`,
		`{"Op":"run","Box":{"Time":1,"Calls":0}}`,
		`{"Op":"close"}`,
		`{"Op":"open","Job":{"Kind":"echo"}}`,
		`{"Op":"nonsense"}`,
	}
	var closed int
	var out bytes.Buffer
	err := measure.Serve(strings.NewReader(strings.Join(requests, "\n")), &out, map[string]string{"it": "v1"}, func(_ context.Context, r measure.Request) (measure.Cell, error) {
		if r.Side == "absent" {
			return nil, &measure.AbsentError{Why: "so"}
		}
		return fakeCell{&closed}, nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, closed, "the end of the input closes what is open")
	var replies []measure.Reply
	for d := json.NewDecoder(&out); d.More(); {
		var r measure.Reply
		require.NoError(t, d.Decode(&r))
		replies = append(replies, r)
	}
	require.Equal(t, []measure.Reply{
		{Version: map[string]string{"it": "v1"}},
		{Error: "nothing is open"},
		{Absent: "so"},
		{},
		{Samples: measure.Samples{Each: []float64{1, 2}, Calls: 5}},
		{Error: "no calls"},
		{},
		{},
		{Error: `unknown operation "nonsense"`},
	}, replies)
	require.Error(t, measure.Serve(strings.NewReader("no JSON"), &out, nil, nil))
}
