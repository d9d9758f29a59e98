//go:build !race

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// module is a guest that a program would load with serialize.LoadModule. The
// examples' guests are small and made in memory.
func module(name string, wasm []byte) *serialize.Module {
	m, err := serialize.NewModule(name, wasm)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

// A Reusable keeps one executor for as long as its options stay the same.
func ExampleReusable() {
	ctx := context.Background()
	var pool executor.Reusable
	defer pool.Close()
	echo := executor.Func[[]byte, []byte]{Module: module("echo", guesttest.TinyEcho()), Name: "echo"}

	opts := executor.Options{Workers: 1, CacheDir: executor.NoCacheDir}
	ex, err := pool.Get(ctx, &opts)
	if err != nil {
		log.Fatal(err)
	}
	out, err := executor.Submit(ctx, ex, echo, []byte("hello")).Wait(ctx)
	fmt.Printf("%s %v, executor %d\n", out, err, ex.Stats().ID)

	opts.Workers = 2 // only the size differs: the same executor, resized
	if _, err := pool.Get(ctx, &opts); err != nil {
		log.Fatal(err)
	}
	fmt.Println("executor", ex.Stats().ID, "of", ex.Stats().Limit)

	opts.CallsPerWorker = 1 // another executor; the handle goes to that one
	if _, err := pool.Get(ctx, &opts); err != nil {
		log.Fatal(err)
	}
	out, err = executor.Submit(ctx, ex, echo, []byte("again")).Wait(ctx)
	fmt.Printf("%s %v, executor %d\n", out, err, ex.Stats().ID)
	// Output:
	// hello <nil>, executor 1
	// executor 1 of 2
	// again <nil>, executor 2
}

// MapUnordered yields results as they come; each says which input it is of.
func ExampleMapUnordered() {
	ctx := context.Background()
	ex, err := executor.New(&executor.Options{Workers: 2, CacheDir: executor.NoCacheDir})
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	echo := executor.Func[[]byte, []byte]{Module: module("echo", guesttest.TinyEcho()), Name: "echo"}

	words := [][]byte{[]byte("to"), []byte("be"), []byte("or"), []byte("not")}
	results := make([]string, len(words))
	for i, r := range executor.MapUnordered(ctx, ex, echo, slices.Values(words)) {
		if r.Err != nil {
			log.Fatal(r.Err)
		}
		results[i] = string(r.Value)
	}
	fmt.Println(results)
	// Output: [to be or not]
}

// A host function lends a guest what it has not: here, upper case. It is granted by
// name, and its errors reach the guest.
func ExampleHostFunc() {
	ctx := context.Background()
	host, err := executor.NewHostModule(executor.HostFunc("upper", func(_ context.Context, in []byte) ([]byte, error) {
		if len(in) == 0 {
			return nil, errors.New("nothing to do")
		}
		return bytes.ToUpper(in), nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	ex, err := executor.New(&executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, Host: host})
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	// This guest hands its input to the host function and returns the answer.
	fn := executor.Func[[]byte, []byte]{
		Module: module("hostcall", guesttest.TinyHostCall("upper")), Name: "hostcall",
		Grants: executor.Grants{Host: []string{"upper"}},
	}
	for _, in := range []string{"quiet", ""} {
		out, err := executor.Submit(ctx, ex, fn, []byte(in)).Wait(ctx)
		fmt.Printf("%q %v\n", out, err)
	}
	// Output:
	// "QUIET" <nil>
	// "" function hostcall: error: nothing to do
}

// Two tenants share the workers fairly and never a process.
func ExampleFunc_tenant() {
	ctx := context.Background()
	ex, err := executor.New(&executor.Options{Workers: 2, CacheDir: executor.NoCacheDir})
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	echo := executor.Func[[]byte, []byte]{Module: module("echo", guesttest.TinyEcho()), Name: "echo"}
	ann, bob := echo, echo
	ann.Tenant, bob.Tenant = "ann", "bob"

	a, b := executor.Submit(ctx, ex, ann, []byte("from ann")), executor.Submit(ctx, ex, bob, []byte("from bob"))
	for i, f := range executor.AsCompleted(ctx, a, b) {
		if f.Err() != nil {
			log.Fatal(i, f.Err())
		}
	}
	fmt.Println("one process for both:", a.Usage().PID == b.Usage().PID)
	// Output: one process for both: false
}
