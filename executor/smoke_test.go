package executor_test

import (
	"context"
	"os"
	"testing"
	"slices"
	"fmt"
	"log/slog"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	mod, err := serialize.LoadModule(guesttest.Build(t, "fixture"))
	require.NoError(t, err)
	ex, err := executor.New(&executor.Options{Workers: 2, CacheDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), GuestLog: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	require.NoError(t, err)
	defer ex.Close()
	ctx := context.Background()
	d, err := executor.Describe(ctx, ex, mod)
	require.NoError(t, err)
	fmt.Println(d)
	up := executor.Func[string, string]{Module: mod, Name: "upper"}
	f := executor.Submit(ctx, ex, up, "hello")
	s, err := f.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, "HELLO", s)
	fmt.Printf("%+v\n", f.Usage())
	in := []string{"a", "b", "c", "d"}
	for s, err := range executor.Map(ctx, ex, up, slices.Values(in)) {
		fmt.Println(s, err)
	}
	for _, n := range []string{"panic", "fail"} {
		_, err = executor.Submit(ctx, ex, executor.Func[string, string]{Module: mod, Name: n}, "boo").Wait(ctx)
		fmt.Println(err)
	}
	fmt.Printf("%+v\n", ex.Stats())
}
