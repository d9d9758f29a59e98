package escape_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sandpool/sandpool/internal/proc"
)

const (
	// wallsEnv makes a worker of this test binary one that has been taken over, behind
	// the walls that it names.
	wallsEnv = "SANDPOOL_ESCAPE_WALLS"
	// escaped as first argument is a program that an attacker has executed.
	escaped = "sandpool-escaped"
	// escapedCode is how that ends. It has none of its worker's ways to speak.
	escapedCode = 42
	// victim as first argument is a process of the same user.
	victim = "sandpool-victim"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == escaped:
		os.Exit(escapedCode)
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
