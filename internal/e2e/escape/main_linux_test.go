package escape_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/wire"
)

const (
	// wallsEnv makes a worker of this test binary one that has been taken over, behind
	// the walls that it names.
	wallsEnv = "SANDPOOL_ESCAPE_WALLS"
	// escaped as first argument is a program that an attacker has executed.
	escaped = "sandpool-escaped"
	// victim as first argument is a process of the same user.
	victim = "sandpool-victim"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == escaped:
		// The reply pipe is where a worker's is.
		id, _ := strconv.ParseUint(os.Args[2], 10, 64)
		_ = wire.NewWriter(os.NewFile(4, "replies")).Write(wire.Header{Type: wire.TypeResult, ID: id}, []byte(succeeded))
		os.Exit(0)
	case len(os.Args) > 1 && os.Args[1] == victim:
		fmt.Println("ready")
		time.Sleep(time.Hour)
		os.Exit(0)
	case proc.Marked():
		serve(os.Getenv(wallsEnv))
		os.Exit(0)
	}
	proc.SetHooked()
	os.Exit(m.Run())
}
