package chaos_test

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/wasmworker"
)

// How long the test goes on: until both are reached.
var (
	leastCalls = flag.Int64("chaos.calls", 0, "calls to submit; 0 means 10000, or 1500 with -short")
	leastTime  = flag.Duration("chaos.duration", 0, "time to go on for")
	seed       = flag.Uint64("chaos.seed", 0, "seed of the random choices; 0 means another each time")
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}

// hang is how long the test waits for what must happen.
const hang = 2 * time.Minute
