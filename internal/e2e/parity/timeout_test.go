package parity_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// TestO1_idleTimeoutWithSlowResults has results come in slowly while the workers
// that have none to give are sent home.
func TestO1_idleTimeoutWithSlowResults(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		const rounds = 10
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: 3, IdleTimeout: time.Millisecond})
		for round := range rounds {
			// One call takes its time, for all that the others see.
			slow := executor.Submit(t.Context(), ex, g.fn, fmt.Append(nil, round))
			g.begun(t)
			pid := running(t, slow)
			var fs []*future
			for i := range 10 {
				fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), fmt.Append(nil, i)))
			}
			for i, f := range fs {
				out, err := wait(t, f)
				require.NoError(t, err)
				require.Equal(t, strconv.Itoa(i), string(out))
			}
			eventually(t, func() bool { return ex.Stats().Workers == 1 }, "the idle workers have been sent home")
			require.Equal(t, executor.Running, slow.State(), "the busy one has not")
			g.open(strconv.Itoa(round))
			out, err := wait(t, slow)
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(round), string(out))
			require.Equal(t, pid, slow.Usage().PID)
		}
		s := ex.Stats()
		require.Zero(t, s.WorkersDied)
		require.Zero(t, s.Failed)
	})
}

// A slow value takes its time to be encoded, into its text.
type slow struct {
	text string
	time time.Duration
}

func (s slow) MarshalCBOR() ([]byte, error) {
	time.Sleep(s.time)
	return serialize.CBOR.Encode(s.text)
}

// TestO2_idleTimeoutWithSlowEncoding submits just when idle workers are sent home.
func TestO2_idleTimeoutWithSlowEncoding(t *testing.T) {
	t.Parallel()
	g := guesttest.NewTiny()
	body := readInput(g).I32(0).Get(inputSize).Call(g.Write).I32(0) // whatever the codec
	wasm := g.Finish("same", onePage, []guesttest.ValueType{guesttest.I32}, body)
	same := executor.Func[slow, string]{Module: tiny(t, "same", wasm), Name: "same"}
	for timeout, calls := range map[time.Duration]int{time.Millisecond: 20, 10 * time.Millisecond: 10, 100 * time.Millisecond: 5} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{IdleTimeout: timeout})
			for i := range calls {
				out, err := call(t, ex, same, slow{"call " + strconv.Itoa(i), timeout})
				require.NoError(t, err)
				require.Equal(t, "call "+strconv.Itoa(i), out)
			}
			s := ex.Stats()
			require.Zero(t, s.WorkersDied)
			require.EqualValues(t, calls, s.Succeeded)
		})
	}
}

// TestO3_stopAtIdleTimeout stops executors at about the moment at which their
// workers have been idle for long enough.
func TestO3_stopAtIdleTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		for i := range 20 {
			const timeout = 2 * time.Millisecond
			ex := newExecutor(t, executor.Options{StartMethod: method, IdleTimeout: timeout})
			f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
			_, err := wait(t, f)
			require.NoError(t, err)
			time.Sleep(timeout / 10 * time.Duration(i)) // none to twice the timeout
			returns(t, "Shutdown or Close", func() {
				if i%2 == 0 {
					require.NoError(t, ex.Shutdown(t.Context()))
				}
				require.NoError(t, ex.Close())
			})
			requireReaped(t, []int{f.Usage().PID})
			require.Zero(t, ex.Stats().WorkersDied)
		}
	})
}
