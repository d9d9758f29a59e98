package hostile_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/wasmworker"
)

// What a run does: the short form by default.
var (
	full      = flag.Bool("hostile.full", false, "run all modules, those that take a minute to compile too")
	mutations = flag.Int("hostile.mutations", 0, "how many damaged modules to run; 0 means 300, or 10000 with -hostile.full")
	seedFlag  = flag.Uint64("hostile.seed", 0, "seed of the random choices; 0 means another each time")
)

const (
	// hang is how long a call may take, with the compilation of its module.
	hang = 3 * time.Minute
	// mostResident is how large the host may get, in bytes: the corpus itself is some
	// 100 MB, of which the larger modules are in several hands at a time.
	mostResident = 1 << 30
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	goleak.VerifyTestMain(&bounded{census.Checked(m)})
}

// bounded fails a run in which this process has become too large.
type bounded struct{ m census.Runner }

// Run implements census.Runner.
func (b *bounded) Run() int {
	code := b.m.Run()
	peak, ok := status("VmHWM")
	if !ok || raceEnabled {
		return code
	}
	if testing.Verbose() {
		fmt.Printf("the host had %d MiB resident at most, %d MiB allowed\n", peak>>20, mostResident>>20)
	}
	if peak > mostResident {
		fmt.Fprintf(os.Stderr, "hostile modules made the host as large as %d bytes\n", peak)
		return max(code, 1)
	}
	return code
}

// seeded returns the source of a test's random choices, which its name has a part in.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the choices follow from -hostile.seed=%d (make hostile SEED=%d)", seed, seed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name())) // never fails
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}
