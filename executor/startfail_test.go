package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestStart_failsBesideTraffic lets no worker start any more while one tenant's
// keeps answering: the other tenant's call fails soon, the first's go on.
func TestStart_failsBesideTraffic(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no symbolic links without privileges on Windows")
	}
	program := filepath.Join(t.TempDir(), "worker")
	require.NoError(t, os.Symlink(guesttest.Worker(t), program))
	ex, echo := newExecutor(t, executor.Options{Workers: 2, WorkerPath: program, CallsPerWorker: -1}), echoFunc(t)
	ann, bob := echo, echo
	ann.Tenant, bob.Tenant = "ann", "bob"
	_, err := call(t, ex, ann, nil)
	require.NoError(t, err)
	require.NoError(t, os.Remove(program))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var traffic sync.WaitGroup
	failures := make(chan error, 1)
	traffic.Go(func() {
		for ctx.Err() == nil {
			if _, err := executor.Submit(t.Context(), ex, ann, nil).Wait(t.Context()); err != nil {
				failures <- err
				return
			}
		}
	})
	f := executor.Submit(t.Context(), ex, bob, nil)
	select {
	case <-f.Done():
	case <-time.After(hang):
		t.Fatal("the call waits for a worker that cannot come")
	}
	var se *executor.StartError
	require.ErrorAs(t, f.Err(), &se)
	require.Equal(t, "launch", se.Stage)
	stop()
	traffic.Wait()
	select {
	case err := <-failures:
		t.Fatalf("the tenant that has a worker lost it: %v", err)
	default:
	}
}
