package guest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/sys"
)

type empty = struct{}

type nested struct {
	Name   string            `cbor:"name"`
	Labels map[string]string `cbor:"labels,omitempty"`
	Scores []float64         `cbor:"scores"`
	When   time.Time         `cbor:"when"`
	Blob   []byte            `cbor:"blob"`
	Next   *nested           `cbor:"next"`
	Any    any               `cbor:"any"`
	Digest [4]byte           `cbor:"digest"`
}

func TestGuest_values(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	for _, size := range []int{0, 1, 4096, 3 << 20} {
		input := bytes.Repeat([]byte{0xa5}, size)
		c, err := i.call("echo", input, raw)
		require.NoError(t, err)
		require.True(t, bytes.Equal(input, c.output))
	}
	require.Equal(t, "GRÜN", value[string](i, "upper", "grün"))
	require.Equal(t, 5, value[int](i, "add", struct{ A, B int }{2, 3}))
	require.Equal(t, 6, value[int](i, "sum", []int{1, 2, 3}))
	require.Equal(t, map[string]int{"a": 2, "b": 1}, value[map[string]int](i, "words", "a b a"))
	require.Equal(t, 1, value[int](i, "counter", empty{}))
	require.Equal(t, 2, value[int](i, "counter", empty{}))

	in := nested{
		Name: "x", Labels: map[string]string{"a": "b"}, Scores: []float64{0.1, -2},
		When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Blob: []byte{0, 255},
		Next: &nested{Name: "y"}, Any: map[string]any{"n": int64(1)}, Digest: [4]byte{1, 2, 3, 4},
	}
	out := value[nested](i, "nested", in)
	require.True(t, in.When.Equal(out.When))
	out.When = in.When
	require.Equal(t, in, out)
}

func TestGuest_describe(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	first := i.description()
	value[int](i, "counter", empty{})
	require.Equal(t, string(first), string(i.description()))
	require.Contains(t, string(first), `{"name":"echo","in":"bytes","out":"bytes"},{"name":"upper","in":"string","out":"string"}`)
	require.Contains(t, string(first), `{"name":"add","in":"main.Pair","out":"int"}`)
}

func TestGuest_failures(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	for _, test := range []struct {
		function string
		in       any
		code     uint32
		message  string
		stack    string // what its first frame begins with
	}{
		{"fail", "no such town", 1, "no such town", ""},
		{"panic", "boom", 3, "boom", "main.panics("},
		{"nilmap", empty{}, 3, "assignment to entry in nil map", "main.nilmap("},
		{"index", 7, 3, "runtime error: index out of range [7] with length 3", "main.index("},
		{"badout", empty{}, 4, "encode output of badout, a chan int, with cbor: cbor: unsupported type: chan int", ""},
		{"sum", "text", 2, "decode input of sum as []int with cbor: cbor: cannot unmarshal UTF-8 text string into Go value of type []int", ""},
	} {
		c := i.failure(test.function, test.in)
		require.Equal(t, test.code, c.code, test.function)
		require.Equal(t, test.message, c.message)
		if test.stack == "" {
			require.Empty(t, c.stack)
			continue
		}
		_, frames, _ := strings.Cut(c.stack, "\n")
		require.True(t, strings.HasPrefix(frames, test.stack), c.stack)
	}
	// None of them has harmed the instance.
	require.Equal(t, 5, value[int](i, "add", struct{ A, B int }{2, 3}))

	c, err := i.call("echo", nil, cborAll)
	require.NoError(t, err)
	require.EqualValues(t, 2, c.code)
	require.Equal(t, "decode input of echo as bytes with cbor: EOF", c.message)
}

func TestGuest_exits(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{0, 7} {
		i := newInstance(t)
		_, err := i.call("exit", encode(t, code), cborAll)
		var exit *sys.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, code, exit.ExitCode())
	}
}

func TestGuest_goexit(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	c, err := i.call("goexit", encode(t, empty{}), cborAll)
	var exit *sys.ExitError
	require.ErrorAs(t, err, &exit)
	require.EqualValues(t, 2, exit.ExitCode())
	require.EqualValues(t, 3, c.code)
	require.Equal(t, "function called runtime.Goexit", c.message)
}

// What the Go runtime cannot survive is a trap with the reason on standard
// error, not an exit: in a c-shared module it aborts.
func TestGuest_traps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		function string
		in       any
		stderr   string
	}{
		{"panicgo", "boom", "panic: boom"},
		{"deadlock", empty{}, "all goroutines are asleep - deadlock!"},
		{"alloc", 100, "out of memory"},
		{"grow", empty{}, "out of memory"},
		{"recurse", 1 << 30, "out of memory"},
	} {
		i := newInstance(t)
		_, err := i.call(test.function, encode(t, test.in), cborAll)
		require.ErrorContains(t, err, "wasm error: unreachable", test.function)
		require.Contains(t, i.stderr.String(), test.stderr)
	}
}

func TestGuest_log(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	type line struct {
		Level int
		Text  string
	}
	for _, test := range []struct {
		function string
		in       any
		want     logged
	}{
		{"log", line{-4, "a b"}, logged{-4, "a b"}},
		{"log", line{8, ""}, logged{8, ""}},
		{"slog", line{4, "a b"}, logged{4, `a b unit="two words" g.n=1`}},
		{"biglog", 100_000, logged{0, strings.Repeat("x", 100_000)}},
	} {
		c, err := i.call(test.function, encode(t, test.in), cborAll)
		require.NoError(t, err)
		require.Equal(t, []logged{test.want}, c.lines)
	}
	value[empty](i, "print", "both")
	require.Equal(t, "both\n", i.stdout.String())
	require.Equal(t, "both\n", i.stderr.String())
	value[empty](i, "flood", 100_001)
	require.Equal(t, 100_001+len("both\n"), i.stdout.Len())
}

func TestGuest_hostFunctions(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	type hostCall struct {
		Name  string
		Input []byte
		Times int
	}
	for _, size := range []int{0, 1, 3 << 20} {
		in := bytes.Repeat([]byte{0xa5}, size)
		c, err := i.call("hostcall", encode(t, hostCall{"echo", in, 2}), cborIn)
		require.NoError(t, err, i.stderr.String())
		require.Zero(t, c.code, c.message)
		require.Equal(t, 2, c.calls)
		require.True(t, bytes.Equal(in, c.output))
	}
	c, err := i.call("hostcall", encode(t, hostCall{"fail", []byte("no such key"), 3}), cborIn)
	require.NoError(t, err)
	require.EqualValues(t, 1, c.code)
	require.Equal(t, `host function "fail": no such key`, c.message)
	require.Equal(t, 1, c.calls)

	// Goroutines that collect garbage between a call and the reading of its answer.
	in := hostCall{"echo", make([]byte, 256<<10), 40}
	require.Equal(t, in.Times, value[int](i, "hostcalls", in))
}

func TestGuest_initializers(t *testing.T) {
	t.Parallel()
	type setup struct {
		Value string
		Count int
	}
	i := newInstance(t)
	require.Equal(t, setup{}, value[setup](i, "setupvalue", empty{}))
	value[empty](i, "setup", "a")
	value[empty](i, "setup", "b")
	require.Equal(t, setup{"b", 2}, value[setup](i, "setupvalue", empty{}))
	require.Equal(t, "boo: c", i.failure("setupfail", "c").message)
	require.Equal(t, "d", i.failure("setuppanic", "d").message)
}

func TestGuest_surroundings(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	env := value[struct{ Env, Args []string }](i, "env", empty{})
	require.Empty(t, env.Env)
	require.Empty(t, env.Args)
	random := value[struct{ Crypto, Math []byte }](i, "random", empty{})
	require.Len(t, random.Crypto, 8)
	require.Len(t, random.Math, 8)
	require.NotZero(t, value[int64](i, "now", empty{}))
	require.Equal(t, 1000, value[int](i, "recurse", 1000))
	require.Equal(t, 3, value[int](i, "alloc", 3))
	value[empty](i, "sleep", 1)

	c, err := i.call("readfile", encode(t, "/etc/passwd"), cborIn)
	require.NoError(t, err)
	require.EqualValues(t, 1, c.code)
	require.Contains(t, c.message, "open /etc/passwd: ")
}

// An instance that is used again must collect its garbage. wazero's default
// clock, which this uses, does not follow real time, and the collector of a
// guest that never yields then stops: with the function run on the export's own
// goroutine, memory passes the limit here.
func TestGuest_garbage(t *testing.T) {
	t.Parallel()
	calls := 20_000
	if testing.Short() {
		calls = 8_000 // 500 MiB: the collector of a guest that leaks has stopped by then
	}
	const limit = 32 << 20
	i := newInstance(t)
	input := make([]byte, 64<<10)
	for range calls {
		_, err := i.call("echo", input, raw)
		require.NoError(t, err, i.stderr.String())
		require.Less(t, i.module.Memory().Size(), uint32(limit))
	}
	t.Logf("%d calls: %d MiB", calls, i.module.Memory().Size()>>20)
}
