package kv_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/kv"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}

// op and step are types of the guest "hosted".
type (
	op struct {
		Do, Key string
		Value   []byte
	}
	step struct {
		Value []byte
		Found bool
		Error string
	}
)

// run has a guest in a worker do what the ops say.
type run func(tenant string, ops ...op) []step

// guestOf returns what runs a guest with a store.
func guestOf(t *testing.T, functions []executor.HostFunction) run {
	t.Helper()
	m, err := executor.NewHostModule(functions...)
	require.NoError(t, err)
	ex, err := executor.New(&executor.Options{Workers: 1, Host: m, CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	mod, err := serialize.LoadModule(guesttest.Build(t, "hosted"))
	require.NoError(t, err)
	return func(tenant string, ops ...op) []step {
		fn := executor.Func[[]op, []step]{Module: mod, Name: "keyvalue", Tenant: tenant, Grants: executor.Grants{Host: m.Names()}}
		steps, err := executor.Submit(t.Context(), ex, fn, ops).Wait(t.Context())
		require.NoError(t, err)
		return steps
	}
}

func TestKeyValue(t *testing.T) {
	t.Parallel()
	store := new(kv.Memory)
	run := guestOf(t, kv.KeyValue(store))
	require.Equal(t, []step{
		{}, {}, {Value: []byte("1"), Found: true}, {}, {Value: []byte{}, Found: true}, {}, {}, {}, {},
	}, run("", op{"get", "a", nil}, op{"put", "a", []byte("1")}, op{"get", "a", nil}, op{"put", "a", nil}, op{"get", "a", nil},
		op{"delete", "a", nil}, op{"get", "a", nil}, op{"delete", "a", nil}, op{"put", "b", []byte("left")}))
	require.Equal(t, []step{{Value: []byte("left"), Found: true}}, run("another", op{"get", "b", nil}), "all share the keys")
	keys, size := store.Len()
	require.Equal(t, 1, keys)
	require.EqualValues(t, len("bleft"), size)
}

func TestKeyValue_limits(t *testing.T) {
	t.Parallel()
	run := guestOf(t, kv.Limits{Key: 4, Value: 10}.KeyValue(new(kv.Memory)))
	for _, tc := range []struct {
		op
		want string
	}{
		{op{"get", "", nil}, "the key is empty"},
		{op{"put", "", nil}, "the key is empty"},
		{op{"delete", "", nil}, "the key is empty"},
		{op{"get", "12345", nil}, "a key of 5 bytes is longer than 4"},
		{op{"put", "1234", make([]byte, 11)}, "a value of 11 bytes is longer than 10"},
		{op{"put", "1234", make([]byte, 10)}, ""},
	} {
		got := run("", tc.op)[0].Error
		if tc.want == "" {
			require.Empty(t, got)
			continue
		}
		require.Contains(t, got, tc.want)
	}
	run = guestOf(t, kv.KeyValue(new(kv.Memory)))
	require.Contains(t, run("", op{"put", "k", make([]byte, 1<<20+1)})[0].Error, "longer than 1048576")
	require.Contains(t, run("", op{"put", strings.Repeat("k", 1025), nil})[0].Error, "longer than 1024")
	run = guestOf(t, kv.Limits{Key: -1, Value: -1}.KeyValue(new(kv.Memory)))
	require.Empty(t, run("", op{"put", strings.Repeat("k", 2000), make([]byte, 2<<20)})[0].Error)
}

func TestPerTenant(t *testing.T) {
	t.Parallel()
	store := new(kv.Memory)
	run := guestOf(t, kv.KeyValue(kv.PerTenant(store)))
	for _, tenant := range []string{"alice", "", "5:alice", "alice:k"} {
		require.Equal(t, []step{{}, {}}, run(tenant, op{"get", "k", nil}, op{"put", "k", []byte(tenant)}))
	}
	for _, tenant := range []string{"alice", "", "5:alice", "alice:k"} {
		require.Equal(t, []step{{Value: []byte(tenant), Found: true}, {}, {}}, run(tenant, op{"get", "k", nil}, op{"delete", "k", nil}, op{"get", "k", nil}))
	}
	keys, _ := store.Len()
	require.Zero(t, keys)

	tenants := kv.PerTenant(store)
	_, _, err := tenants.Get(t.Context(), "k")
	require.ErrorContains(t, err, "not called by a guest")
	require.ErrorContains(t, tenants.Put(t.Context(), "k", nil), "not called by a guest")
	require.Implements(t, (*kv.Deleter)(nil), tenants)
	_, ok := kv.PerTenant(readOnly{}).(kv.Deleter)
	require.False(t, ok)
}

// readOnly is a store that cannot be written to.
type readOnly struct{}

func (readOnly) Get(context.Context, string) (value []byte, ok bool, err error) {
	return nil, true, nil
}
func (readOnly) Put(context.Context, string, []byte) error { return errors.New("read only") }

func TestKeyValue_otherStore(t *testing.T) {
	t.Parallel()
	steps := guestOf(t, kv.KeyValue(readOnly{}))("", op{"get", "k", nil}, op{"put", "k", nil}, op{"delete", "k", nil})
	require.Equal(t, step{Value: []byte{}, Found: true}, steps[0])
	require.Equal(t, `host function "kv_put": read only`, steps[1].Error)
	require.Contains(t, steps[2].Error, "not granted", "there is none")
}

func TestMemory(t *testing.T) {
	t.Parallel()
	m, ctx := &kv.Memory{MaxBytes: 10, MaxKeys: 3}, t.Context()
	require.NoError(t, m.Put(ctx, "ab", []byte("12345678")))
	require.ErrorIs(t, m.Put(ctx, "c", nil), kv.ErrFull)
	require.ErrorIs(t, m.Put(ctx, "ab", []byte("123456789")), kv.ErrFull)
	value, ok, err := m.Get(ctx, "ab")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "12345678", string(value), "as it was")
	require.NoError(t, m.Put(ctx, "ab", []byte("1")))
	require.NoError(t, m.Put(ctx, "c", nil))
	require.NoError(t, m.Put(ctx, "d", nil))
	require.ErrorIs(t, m.Put(ctx, "e", nil), kv.ErrFull)
	require.NoError(t, m.Delete(ctx, "c"))
	require.NoError(t, m.Put(ctx, "e", nil))
	keys, size := m.Len()
	require.Equal(t, 3, keys)
	require.EqualValues(t, 5, size)

	free := &kv.Memory{MaxBytes: -1, MaxKeys: -1}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				key := strconv.Itoa((i + j) % 50)
				if free.Put(ctx, key, make([]byte, j)) != nil || j%3 == 0 && free.Delete(ctx, key) != nil {
					t.Error("a put or delete fails")
				}
				_, _, _ = free.Get(ctx, key)
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		require.NoError(t, free.Delete(ctx, strconv.Itoa(i)))
	}
	keys, size = free.Len()
	require.Zero(t, keys)
	require.Zero(t, size)
}
