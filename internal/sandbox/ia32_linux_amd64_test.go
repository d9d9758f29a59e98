package sandbox_test

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/ia32test"
	"github.com/sandpool/sandpool/internal/sandbox"
)

func init() {
	roles["ia32"] = func(profile string) string {
		if p, err := strconv.Atoi(profile); err == nil {
			lock(sandbox.Profile(p))
		}
		return strconv.FormatBool(os.Getpid() == int(ia32test.Call(ia32test.Getpid)))
	}
}

// TestProfile_otherArchitecture makes a call as 32-bit programs do. By their numbers it is
// one that is allowed, by those of 64-bit programs it would fail with ENOSYS: the filter must
// not take one for the other.
func TestProfile_otherArchitecture(t *testing.T) {
	t.Parallel()
	if stdout, stderr, err := calling("").run(t, "ia32"); err != nil {
		t.Skipf("the kernel serves no 32-bit calls to 64-bit programs (CONFIG_IA32_EMULATION, ia32_emulation=): without a sandbox one ends in %v %s %.200s", err, stdout, stderr)
	} else {
		require.Equal(t, "true", stdout)
	}
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, _, err := calling(strconv.Itoa(int(p))).run(t, "ia32")
			require.Error(t, err, stdout)
			requireSignal(t, err, syscall.SIGSYS)
		})
	}
}
