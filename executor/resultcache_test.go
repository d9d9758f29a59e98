package executor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// numberKey returns a key for a number.
func numberKey(n int) executor.ResultKey {
	var key executor.ResultKey
	binary.LittleEndian.PutUint64(key[:], uint64(n))
	return key
}

// requireKept checks which of the keys 0 … n-1 have an entry; it uses them all.
func requireKept(t *testing.T, c *executor.ResultCache, n int, want ...int) {
	t.Helper()
	var kept []int
	for i := range n {
		if _, ok := c.Get(numberKey(i)); ok {
			kept = append(kept, i)
		}
	}
	require.Equal(t, want, kept)
}

func TestResultCache_getPut(t *testing.T) {
	t.Parallel()
	c := executor.NewResultCache(1 << 20)
	_, ok := c.Get(numberKey(1))
	require.False(t, ok)
	for i, output := range [][]byte{nil, {}, []byte("a"), bytes.Repeat([]byte("b"), 1<<18)} {
		c.Put(numberKey(i), output)
		got, ok := c.Get(numberKey(i))
		require.True(t, ok)
		require.Equal(t, output, got)
	}
	size, entries := c.Size()
	require.Equal(t, 4, entries)
	require.EqualValues(t, 1+1<<18+4*executor.ResultOverhead, size)
}

func TestResultCache_copies(t *testing.T) {
	t.Parallel()
	c := executor.NewResultCache(1 << 20)
	output := []byte("output")
	c.Put(numberKey(1), output)
	output[0] = 'X'
	first, _ := c.Get(numberKey(1))
	first[1] = 'X'
	second, _ := c.Get(numberKey(1))
	require.Equal(t, "output", string(second))
}

func TestResultCache_leastRecentlyUsedGoesFirst(t *testing.T) {
	t.Parallel()
	const each = 100
	c := executor.NewResultCache(4 * (each + executor.ResultOverhead))
	put := func(i int) { c.Put(numberKey(i), make([]byte, each)) }
	for i := range 4 {
		put(i)
	}
	_, ok := c.Get(numberKey(0)) // used: 1 is the oldest now
	require.True(t, ok)
	put(4)
	put(2) // refreshed: 3 is the oldest now
	put(5)
	requireKept(t, c, 6, 0, 2, 4, 5)
	size, entries := c.Size()
	require.Equal(t, 4, entries)
	require.EqualValues(t, 4*(each+executor.ResultOverhead), size)

	c.Put(numberKey(6), make([]byte, each+1)) // one byte more takes the room of two
	requireKept(t, c, 7, 4, 5, 6)
}

func TestResultCache_existingKey(t *testing.T) {
	t.Parallel()
	c := executor.NewResultCache(1 << 20)
	c.Put(numberKey(1), []byte("first"))
	c.Put(numberKey(1), []byte("the second"))
	got, _ := c.Get(numberKey(1))
	require.Equal(t, "the second", string(got))
	size, entries := c.Size()
	require.Equal(t, 1, entries)
	require.EqualValues(t, len(got)+executor.ResultOverhead, size)

	c.Put(numberKey(1), make([]byte, 1<<20))
	_, ok := c.Get(numberKey(1))
	require.False(t, ok, "what was put last is not kept, and nothing older is in its place")
	size, entries = c.Size()
	require.Zero(t, size)
	require.Zero(t, entries)
}

func TestResultCache_tooLarge(t *testing.T) {
	t.Parallel()
	const limit = 4096
	c := executor.NewResultCache(limit)
	c.Put(numberKey(0), make([]byte, limit/4))
	c.Put(numberKey(1), make([]byte, limit/4+1))
	requireKept(t, c, 2, 0)

	for _, limit := range []int64{math.MinInt64, -1, 0, 1, executor.ResultOverhead - 1} {
		c := executor.NewResultCache(limit)
		c.Put(numberKey(0), nil)
		size, entries := c.Size()
		require.Zero(t, size)
		require.Zero(t, entries)
	}
	c = executor.NewResultCache(executor.ResultOverhead)
	c.Put(numberKey(0), nil)
	c.Put(numberKey(1), nil)
	requireKept(t, c, 2, 1)
}

func TestResultCache_hammer(t *testing.T) {
	t.Parallel()
	const limit, keys = 64 << 10, 100
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	c := executor.NewResultCache(limit)
	output := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*37) }
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range rounds {
				i := random.IntN(keys)
				if got, ok := c.Get(numberKey(i)); ok {
					if !bytes.Equal(got, output(i)) {
						t.Errorf("entry %d has another's output", i)
						return
					}
					clear(got)
				} else {
					mine := output(i)
					c.Put(numberKey(i), mine)
					clear(mine)
				}
				if size, entries := c.Size(); size > limit || entries > keys {
					t.Errorf("%d bytes, %d entries", size, entries)
					return
				}
			}
		})
	}
	wg.Wait()
	var want int64
	entries := 0
	for i := range keys {
		if got, ok := c.Get(numberKey(i)); ok {
			want += int64(len(got)) + executor.ResultOverhead
			entries++
		}
	}
	size, n := c.Size()
	require.Equal(t, want, size)
	require.Equal(t, entries, n)
}

// keyParts has something in every field.
func keyParts() executor.ResultKeyParts {
	return executor.ResultKeyParts{
		Domain: "domain", Memory: 1 << 20, Digest: [32]byte{1, 2, 3}, Function: "function", Codecs: 0x0102, Named: []string{"msgpack", ""}, Seed: 5, Method: "snapshot",
		Grants: []string{"log", "clock"}, Init: "init", InitCodec: 2, InitInput: []byte("seed"), Env: []string{"A=1", "B=2"}, Input: []byte("input"),
		World: []string{"args"}, Flags: 2,
	}
}

func TestResultKey_everyField(t *testing.T) {
	t.Parallel()
	base := keyParts()
	require.Equal(t, base.Key(), keyParts().Key())
	seen := map[executor.ResultKey]string{base.Key(): "as it was", executor.ResultKeyParts{}.Key(): "nothing"}
	add := func(name string, p executor.ResultKeyParts) {
		t.Helper()
		require.Empty(t, seen[p.Key()], "%s", name)
		seen[p.Key()] = name
	}
	// Every field, those still to come included, changes the key.
	for i := range reflect.TypeFor[executor.ResultKeyParts]().NumField() {
		p := keyParts()
		field := reflect.ValueOf(&p).Elem().Field(i)
		name := reflect.TypeFor[executor.ResultKeyParts]().Field(i).Name
		switch field.Kind() {
		case reflect.String:
			field.SetString(field.String() + "\x00")
		case reflect.Uint32, reflect.Uint64:
			field.SetUint(field.Uint() << 8)
		case reflect.Int64:
			field.SetInt(field.Int()<<8 + 1)
		case reflect.Slice:
			field.Set(reflect.AppendSlice(field, field))
		case reflect.Array:
			field.Index(field.Len() - 1).SetUint(9)
		default:
			t.Fatalf("%s is a %s: say how it changes", name, field.Kind())
		}
		add(name+" changed", p)
		field.SetZero()
		add(name+" empty", p)
	}
}

func TestResultKey_listsAndNil(t *testing.T) {
	t.Parallel()
	var none executor.ResultKeyParts
	empty := executor.ResultKeyParts{Grants: []string{}, InitInput: []byte{}, Env: []string{}, Input: []byte{}}
	require.Equal(t, none.Key(), empty.Key())
	seen := make(map[executor.ResultKey]bool)
	lists := [][]string{nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"", "ab"}, {"ab", ""}, {"a\x00b"}, {"a,b"}}
	for _, grants := range lists {
		for _, env := range lists {
			seen[executor.ResultKeyParts{Grants: grants, Env: env}.Key()] = true
		}
	}
	require.Len(t, seen, len(lists)*len(lists))
}

// All ways to cut one text into the fields that hold text give different keys,
// even if the text looks like the encoding.
func TestResultKey_movedBytes(t *testing.T) {
	t.Parallel()
	length := string(binary.LittleEndian.AppendUint64(nil, 1))
	for _, text := range []string{"abc", "\x00\x00\x00", "aaa", length + "a" + length} {
		seen := make(map[executor.ResultKey][]string)
		var cut func(rest string, parts []string)
		cut = func(rest string, parts []string) {
			if len(parts) < 7 {
				for i := range len(rest) + 1 {
					if len(text) > 3 && i%4 > 1 { // fewer cuts of the long one
						continue
					}
					cut(rest[i:], append(slices.Clip(parts), rest[:i]))
				}
				return
			}
			p := executor.ResultKeyParts{
				Domain: parts[0], Function: parts[1], Method: parts[2], Grants: []string{parts[3]}, Init: parts[4],
				InitInput: []byte(parts[5]), Env: []string{parts[6]}, Input: []byte(rest),
			}
			require.Empty(t, seen[p.Key()], "%q and %q", parts, rest)
			seen[p.Key()] = append(parts, rest)
		}
		cut(text, nil)
		require.Greater(t, len(seen), 100)
	}
}

func BenchmarkResultKey(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("input=%d", size), func(b *testing.B) {
			p := keyParts()
			p.Input = []byte(strings.Repeat("x", size))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				_ = p.Key()
			}
		})
	}
}

func BenchmarkResultCache_get(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("output=%d", size), func(b *testing.B) {
			c := executor.NewResultCache(16 << 20)
			c.Put(numberKey(1), make([]byte, size))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				_, _ = c.Get(numberKey(1))
			}
		})
	}
}

// BenchmarkResultCache_overhead reports the memory that an entry really takes
// besides its output.
func BenchmarkResultCache_overhead(b *testing.B) {
	const entries = 100_000
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("output=%d", size), func(b *testing.B) {
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			for b.Loop() {
				before := heap()
				c := executor.NewResultCache(math.MaxInt64)
				for i := range entries {
					c.Put(numberKey(i), make([]byte, size))
				}
				b.ReportMetric(float64(heap()-before)/entries-float64(size), "overhead-B/entry")
				runtime.KeepAlive(c)
			}
		})
	}
}
