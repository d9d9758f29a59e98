package wasmworker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// Of one method and guest in a round of measureLatency.
const (
	latencyBlocks = 8   // that take turns with those of other methods
	latencyCalls  = 100 // in a block
)

// measureLatency measures calls as those who make them see it, one in flight, on one
// worker that serves all methods.
func measureLatency(b *testing.B, r *startReport, cases []startCase) {
	b.Helper()
	for _, guest := range cases {
		if guest.name == startHeavy || guest.name == startPage {
			continue
		}
		m, err := serialize.NewModule("guest", guest.wasm)
		require.NoError(b, err)
		ex, err := executor.New(&executor.Options{Workers: 1, CallsPerWorker: -1, CacheDir: guesttest.CodeCache(b)})
		require.NoError(b, err)
		l := &startLatency{Guest: guest.name, Methods: make(map[startmethod.Method]*benchtest.Series)}
		r.Latency = append(r.Latency, l)
		for round := range *startRounds {
			for range latencyBlocks {
				for _, method := range []startmethod.Method{startmethod.Snapshot, startmethod.Warm, startmethod.Precompiled} {
					l.block(b, ex, m, method, round == 0)
				}
			}
		}
		require.NoError(b, ex.Close())
	}
}

// block makes some calls by one method. The first are for what the method needs to
// get going, and do not count.
func (l *startLatency) block(b *testing.B, ex *executor.Executor, m *serialize.Module, method startmethod.Method, warmUp bool) {
	b.Helper()
	const settle = 5
	fn := executor.Func[[]byte, []byte]{Module: m, Name: "echo", StartMethod: method}
	s := l.Methods[method]
	if s == nil {
		s = new(benchtest.Series)
		l.Methods[method] = s
	}
	end := time.Now().Add(*startBox / latencyBlocks)
	for i := range latencyCalls {
		began := time.Now()
		f := executor.Submit(b.Context(), ex, fn, startInput)
		output, err := f.Wait(b.Context())
		took := time.Since(began)
		require.NoError(b, err)
		require.NoError(b, checkEcho(output))
		require.Equal(b, method, f.Usage().StartMethod, f.Usage().Fallback)
		if !warmUp && i >= settle {
			s.Add(took)
		}
		if method == startmethod.Precompiled && began.After(end) && i > settle {
			return
		}
	}
}
