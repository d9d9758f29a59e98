package cpus_test

import (
	"os"
	"testing"

	"github.com/sandpool/sandpool/internal/census"
)

// roleEnv makes the test binary count for a test; see host_linux_test.go.
const roleEnv = "SANDPOOL_CPUS_ROLE"

// countRole is set where the test binary can play a role.
var countRole func(role string) int

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(countRole(role))
	}
	os.Exit(census.Checked(m).Run())
}
