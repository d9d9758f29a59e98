package executor_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestBatch_cancelMany cancels every third of many short calls, running, handed
// ahead and queued ones: nothing happens to the others.
func TestBatch_cancelMany(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	for range 20 {
		var futures []*executor.Future[[]byte]
		for range 300 {
			futures = append(futures, executor.Submit(t.Context(), ex, echo, make([]byte, 100)))
		}
		for i := 0; i < len(futures); i += 3 {
			futures[i].Cancel()
		}
		for i, f := range futures {
			out, err := wait(t, f)
			if i%3 == 0 && err != nil {
				continue // it was in time
			}
			require.NoError(t, err)
			require.Len(t, out, 100)
		}
	}
	require.Zero(t, ex.Stats().WorkersDied, "the workers that were killed were killed on purpose")
}

// A batchTest is an executor whose workers are made to be handed calls ahead: many
// short ones behind one that does what the test says.
type batchTest struct {
	journal

	ex      *executor.Executor
	fn      raw
	first   func(ctx context.Context) error // what the call in front does
	blocker *gate
}

func newBatchTest(t *testing.T, o executor.Options) *batchTest {
	t.Helper()
	b := &batchTest{fn: viaHost(t), blocker: newGate()}
	m, err := executor.NewHostModule(
		executor.HostFunc("block", b.blocker.call),
		executor.HostFunc("host", func(ctx context.Context, in []byte) ([]byte, error) {
			b.add(string(in))
			if string(in) == "first" {
				return in, b.first(ctx)
			}
			return in, nil
		}),
	)
	require.NoError(t, err)
	o.Host = m
	b.ex = newExecutor(t, o)
	return b
}

// submit returns the future of the call in front and of n behind it, which were
// queued together while all workers were busy. The workers know the function as short.
func (b *batchTest) submit(t *testing.T, n int) (first *executor.Future[[]byte], behind []*executor.Future[[]byte]) {
	t.Helper()
	for range 50 {
		_, err := call(t, b.ex, b.fn, []byte("short"))
		require.NoError(t, err)
	}
	block := raw{Module: tiny(t, "block", guesttest.TinyHostCall("block")), Name: "hostcall", Grants: executor.Grants{Host: []string{"block"}}}
	workers, before := b.ex.Stats().Limit, len(b.blocker.all())
	var blocking []*executor.Future[[]byte]
	for range workers {
		blocking = append(blocking, executor.Submit(t.Context(), b.ex, block, nil))
	}
	b.blocker.entered(t, before+workers)
	first = executor.Submit(t.Context(), b.ex, b.fn, []byte("first"))
	for i := range n {
		behind = append(behind, executor.Submit(t.Context(), b.ex, b.fn, []byte(strconv.Itoa(i))))
	}
	executor.SetPace(b.ex, b.fn.Module, b.fn.Name, time.Microsecond) // however slow the machine is
	b.blocker.open(t, workers)
	for _, f := range blocking {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	return first, behind
}

// TestBatch_givenBack has a call take long that others were handed ahead behind:
// they run in the other worker meanwhile.
func TestBatch_givenBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		batch int
		ahead bool
	}{"batches": {0, true}, "none": {-1, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBatchTest(t, executor.Options{Workers: 2, Batch: tc.batch})
			ahead := 0
			for range 20 { // the one in front may have begun before the others were handed ahead
				leave, entered := make(chan struct{}), make(chan struct{})
				b.first = func(ctx context.Context) error {
					ahead = max(ahead, executor.Ahead(b.ex))
					close(entered)
					select {
					case <-leave:
					case <-ctx.Done():
					}
					return ctx.Err()
				}
				first, behind := b.submit(t, 30)
				<-entered
				for i, f := range behind {
					out, err := wait(t, f)
					require.NoError(t, err)
					require.Equal(t, strconv.Itoa(i), string(out))
					require.Equal(t, 1, f.Usage().Attempts)
					require.NotEqual(t, first.Usage().PID, f.Usage().PID)
				}
				require.Equal(t, executor.Running, first.State())
				close(leave)
				_, err := wait(t, first)
				require.NoError(t, err)
				if ahead > 0 {
					break
				}
			}
			require.Equal(t, tc.ahead, ahead > 0)
			s := b.ex.Stats()
			require.EqualValues(t, 2, s.WorkersStarted)
			require.Zero(t, s.WorkersDied+s.WorkersKilled)
		})
	}
}

// TestBatch_cancel cancels calls behind the one that runs.
func TestBatch_cancel(t *testing.T) {
	t.Parallel()
	b := newBatchTest(t, executor.Options{Workers: 1})
	for range 10 {
		entered, leave := make(chan struct{}), make(chan struct{})
		b.first = func(context.Context) error {
			close(entered)
			<-leave
			return nil
		}
		first, behind := b.submit(t, 20)
		<-entered
		for i := 0; i < len(behind); i += 2 {
			require.Equal(t, executor.Queued, behind[i].Cancel())
		}
		close(leave)
		_, err := wait(t, first)
		require.NoError(t, err)
		for i, f := range behind {
			_, err := wait(t, f)
			if i%2 == 0 {
				require.ErrorIs(t, err, context.Canceled)
				require.Zero(t, f.Usage().Attempts)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, first.Usage().PID, f.Usage().PID, "the worker goes on")
		}
	}
	for _, line := range b.all() {
		if n, err := strconv.Atoi(line); err == nil {
			require.Equal(t, 1, n%2, "call %d was cancelled before it began", n)
		}
	}
	s := b.ex.Stats()
	require.EqualValues(t, 1, s.WorkersStarted)
}

// TestBatch_workerKilled kills a worker that has been handed calls ahead.
func TestBatch_workerKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	b := newBatchTest(t, executor.Options{Workers: 1})
	for range 5 {
		b.first = func(ctx context.Context) error {
			for pid := range executor.PIDs(b.ex) {
				if err := kill(pid); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}
		first, behind := b.submit(t, 20)
		_, err := wait(t, first)
		var we *executor.WorkerError
		require.ErrorAs(t, err, &we)
		for _, f := range behind {
			_, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, 1, f.Usage().Attempts)
		}
	}
	require.EqualValues(t, 5, b.ex.Stats().WorkersDied)
	seen := make(map[string]int)
	for _, line := range b.all() {
		seen[line]++
	}
	require.Equal(t, 5, seen["0"], "each ran once")
	require.Equal(t, 5, seen["19"])
}

// keepPace has an executor believe that the calls of a function are short, however slow the
// machine is, until stop.
func keepPace(ex *executor.Executor, fn raw) (stop func()) {
	over := make(chan struct{})
	var keeper sync.WaitGroup
	keeper.Go(func() {
		for {
			executor.SetPace(ex, fn.Module, fn.Name, time.Microsecond)
			select {
			case <-over:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	})
	return sync.OnceFunc(func() { close(over); keeper.Wait() })
}

// TestBatch_hostile has workers serve three calls and then break the protocol.
func TestBatch_hostile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the hostile workers are shell scripts")
	}
	for role, text := range map[string]string{
		"revokes":      "which it was not asked to",
		"wrongrange":   "which it was not asked to",
		"answersahead": "answers call 5, it was given 4",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			const n = 12 // a worker's first three and some behind its fourth
			ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, role), StartMethod: "fresh"})
			echo := echoFunc(t)
			failed := 0
			stop := keepPace(ex, echo)
			defer stop()
			for round := 0; failed == 0 && round < 30; round++ { // an owner may have been too slow to hand calls ahead
				var futures []*executor.Future[[]byte]
				for range n {
					futures = append(futures, executor.Submit(t.Context(), ex, echo, nil))
				}
				for _, f := range futures {
					if _, err := wait(t, f); err != nil {
						var we *executor.WorkerError
						require.ErrorAs(t, err, &we)
						require.ErrorContains(t, err, text)
						failed++
					}
				}
			}
			require.EqualValues(t, failed, ex.Stats().WorkersDied, "one call for each")
			require.Positive(t, failed)
			require.LessOrEqual(t, failed, n/4)
		})
	}
}

// TestBatch_cancelThenGivenBack cancels a call that was handed ahead while the one
// in front is in a host function for long: the others still go elsewhere.
func TestBatch_cancelThenGivenBack(t *testing.T) {
	t.Parallel()
	b := newBatchTest(t, executor.Options{Workers: 2})
	for range 10 {
		futures, cancelled, leave := make(chan []*executor.Future[[]byte], 1), make(chan struct{}), make(chan struct{})
		b.first = func(ctx context.Context) error {
			(<-futures)[0].Cancel()
			close(cancelled)
			select {
			case <-leave:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		first, behind := b.submit(t, 30)
		futures <- behind
		<-cancelled
		for i, f := range behind[1:] {
			_, err := wait(t, f)
			require.NoError(t, err, "%d", i)
			require.Equal(t, executor.Running, first.State(), "it did not wait for the one in front")
		}
		close(leave)
		_, err := wait(t, first)
		require.NoError(t, err)
	}
}

// TestBatch_stoppedThenDropped cancels a call that the worker has not begun, and drops: the
// worker has not been told to end the one after it.
func TestBatch_stoppedThenDropped(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the worker is a shell script")
	}
	ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, "dropsfirst"), StartMethod: "fresh"})
	echo := echoFunc(t)
	accused := false
	for round := 0; !accused; round++ { // the machine may be too slow to hand calls ahead
		require.Less(t, round, 1000, "the worker has never said what it should not")
		executor.SetPace(ex, echo.Module, echo.Name, time.Microsecond)
		var futures []*executor.Future[[]byte]
		for i := range 4 {
			futures = append(futures, executor.Submit(t.Context(), ex, echo, make([]byte, max(2-i, 0)))) // without an input for the last two
		}
		running(t, futures[0])
		for _, f := range futures[:2] {
			f.Cancel()
		}
		for _, f := range futures[2:] {
			_, err := wait(t, f)
			if err == nil {
				continue
			}
			var we *executor.WorkerError
			require.ErrorAs(t, err, &we)
			require.ErrorContains(t, err, "ended a call that it was not told to")
			accused = true
		}
	}
}
