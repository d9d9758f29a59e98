package guest_test

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
	"github.com/sandpool/sandpool/internal/cborcodec"
)

const (
	raw     = 0
	cborIn  = 1
	cborOut = 1 << 8
	cborAll = cborIn | cborOut
)

type point struct{ X, Y int }

// badError panics when it is asked for its text.
type badError struct{}

func (badError) Error() string { panic("no text") }

// exitError ends the goroutine instead.
type exitError struct{}

func (exitError) Error() string { runtime.Goexit(); return "" }

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cborcodec.Enc().Marshal(v)
	require.NoError(t, err)
	return b
}

// only returns what makes a registry with one function. Every test needs its
// own: calls on a registry come one after another.
func only[In, Out any](fn func(In) (Out, error)) func(*testing.T) *guest.Registry {
	return func(t *testing.T) *guest.Registry {
		t.Helper()
		r := guest.NewRegistry(t)
		guest.RegisterIn(r, "f", fn)
		return r
	}
}

func TestCall_output(t *testing.T) {
	t.Parallel()
	swap := func(p point) (point, error) { return point{p.Y, p.X}, nil }
	count := func(p []byte) (int, error) { return len(p), nil }
	zeros := func(n int) ([]byte, error) { return make([]byte, n), nil }
	none := func(struct{}) (struct{}, error) { return struct{}{}, nil }
	echo := func(p []byte) ([]byte, error) { return p, nil }
	for _, test := range []struct {
		name   string
		r      func(*testing.T) *guest.Registry
		codecs uint32
		input  []byte
		want   []byte
	}{
		{"struct", only(swap), cborAll, encode(t, point{1, 2}), encode(t, point{2, 1})},
		{"raw to CBOR", only(count), cborOut, []byte("abc"), encode(t, 3)},
		{"CBOR to raw", only(zeros), cborIn, encode(t, 2), []byte{0, 0}},
		{"nothing", only(none), cborAll, encode(t, struct{}{}), encode(t, struct{}{})},
		{"raw", only(echo), raw, []byte("abc"), []byte("abc")},
		{"empty raw", only(echo), raw, nil, nil},
		{"bytes as CBOR", only(echo), cborAll, encode(t, []byte("abc")), encode(t, []byte("abc"))},
		{"JSON", only(swap), 2 | 2<<8, []byte(`{"X":1,"Y":2}`), []byte(`{"X":2,"Y":1}`)},
		{"JSON to CBOR", only(swap), 2 | cborOut, []byte(`{"X":1,"Y":2}`), encode(t, point{2, 1})},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &guest.FakeHost{Input: test.input}
			require.Zero(t, h.Call(test.r(t), 0, test.codecs), h.Message)
			require.LessOrEqual(t, len(h.Writes), 1)
			require.Equal(t, string(test.want), string(bytes.Join(h.Writes, nil)))
		})
	}
}

func TestCall_failure(t *testing.T) {
	t.Parallel()
	ints := only(func(n []int) (int, error) { return n[0], nil })
	echo := only(func(p []byte) ([]byte, error) { return p, nil })
	returns := func(err error) func(*testing.T) *guest.Registry {
		return only(func([]byte) (string, error) { return "dropped", err })
	}
	panics := func(v any) func(*testing.T) *guest.Registry {
		return only(func([]byte) ([]byte, error) { panic(v) })
	}
	goexit := only(func([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil })
	channel := only(func([]byte) (chan int, error) { return make(chan int), nil })
	for _, test := range []struct {
		name    string
		r       func(*testing.T) *guest.Registry
		codecs  uint32
		input   []byte
		code    uint32
		message string // a part of it
	}{
		{"error", returns(errors.New("no such town")), cborOut, nil, 1, "no such town"},
		{"invalid UTF-8", returns(errors.New("a\xffb")), cborOut, nil, 1, "a\uFFFDb"},
		{"error whose text panics", returns(badError{}), cborOut, nil, 3, "no text"},
		{"panic", panics("boom"), raw, nil, 3, "boom"},
		{"panic with error", panics(errors.New("wrapped")), raw, nil, 3, "wrapped"},
		{"panic with bad error", panics(badError{}), raw, nil, 3, "PANIC=Error method: no text"},
		{"panic with exiting error", panics(exitError{}), raw, nil, 3, "function called runtime.Goexit"},
		{"panic with nil", panics(nil), raw, nil, 3, "panic called with nil argument"},
		{"index", ints, cborAll, encode(t, []int{}), 3, "index out of range [0] with length 0"},
		{"Goexit", goexit, raw, nil, 3, "function called runtime.Goexit"},
		{"wrong type", ints, cborAll, encode(t, "x"), 2, "decode input of f as []int with cbor: cbor: cannot unmarshal"},
		{"no input", ints, cborAll, nil, 2, "decode input of f as []int with cbor: EOF"},
		{"two items", ints, cborAll, []byte{0x80, 0x80}, 2, "extraneous data"},
		{"indefinite length", ints, cborAll, []byte{0x9f, 0xff}, 2, "indefinite-length"},
		{"raw for CBOR", ints, cborOut, []byte("x"), 2, "f takes []int: input came as raw bytes"},
		{"raw from CBOR", ints, cborIn, encode(t, []int{1}), 2, "f returns int: output asked for as raw bytes"},
		{"nothing for bytes", echo, cborIn, nil, 2, "decode input of f as bytes with cbor: EOF"},
		{"text for bytes", echo, cborIn, encode(t, "x"), 2, "cannot unmarshal UTF-8 text string"},
		{"unknown output codec", echo, 7 << 8, nil, 2, "codec 7: this guest knows none of that number"},
		{"codec without a name", echo, 16 << 8, nil, 2, "codec 16: the host has no name for it"},
		{"codec with a long name", echo, 17, nil, 2, "codec 17: the host has no name for it"},
		{"codec that is not here", echo, 18, nil, 2, "the guest has no codec \"fortran\"; there are cbor, json, raw"},
		{"JSON of another type", ints, 2 | cborOut, []byte(`"x"`), 2, "decode input of f as []int with json: json: cannot unmarshal"},
		{"JSON with more behind", ints, 2 | cborOut, []byte(`[1] 2`), 2, "invalid character"},
		{"high bits", echo, 1 << 16, nil, 2, "bits above 15"},
		{"cannot encode", channel, cborOut, nil, 4, "encode output of f, a chan int, with cbor: cbor: unsupported type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &guest.FakeHost{Input: test.input, Codecs: map[uint32]string{17: strings.Repeat("x", 33), 18: "fortran"}}
			require.EqualValues(t, 1, h.Call(test.r(t), 0, test.codecs))
			require.Equal(t, test.code, h.Code, h.Message)
			require.Contains(t, h.Message, test.message)
			require.Empty(t, h.Writes)
		})
	}
}

func TestCall_hostMistakes(t *testing.T) {
	t.Parallel()
	r := only(func(p []byte) ([]byte, error) { return p, nil })(t)

	h := &guest.FakeHost{}
	require.EqualValues(t, 1, h.Call(r, 1, raw))
	require.Equal(t, "no function 1: the module has 1", h.Message)

	h = &guest.FakeHost{Input: []byte("abc"), Short: true}
	require.EqualValues(t, 1, h.Call(r, 0, raw))
	require.Equal(t, "input of f: got 2 of 3 bytes", h.Message)

	h = &guest.FakeHost{}
	require.EqualValues(t, 1, h.CallSized(r, 0, math.MaxInt32+1, raw))
	require.Contains(t, h.Message, "more than a Go guest can hold")
	require.EqualValues(t, 2, h.Code)
}

//go:noinline
func deepest(m map[string]int) { m["x"] = 1 }

func TestCall_stack(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]func([]byte) ([]byte, error){
		"panic": func([]byte) ([]byte, error) { deepest(nil); return nil, nil },
		"panic while panicking": func([]byte) ([]byte, error) {
			defer deepest(nil)
			panic("first")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := new(guest.FakeHost)
			require.EqualValues(t, 1, h.Call(only(fn)(t), 0, raw))
			require.Equal(t, "assignment to entry in nil map", h.Message)
			lines := strings.Split(h.Stack, "\n")
			require.Regexp(t, `^goroutine \d+ \[running\]:$`, lines[0])
			require.Contains(t, lines[1], "guest_test.deepest(")
			require.Contains(t, lines[2], "call_test.go:")
		})
	}
}

func TestCall_goexit(t *testing.T) {
	t.Parallel()
	r := only(func(p []byte) ([]byte, error) {
		if string(p) == "exit" {
			runtime.Goexit()
		}
		return p, nil
	})(t)
	for _, input := range []string{"a", "exit", "exit", "b"} {
		h := &guest.FakeHost{Input: []byte(input)}
		require.Equal(t, input == "exit", h.Call(r, 0, raw) != 0)
		require.Equal(t, input == "exit", h.Exited, "nothing can stop it, so it has to be the guest's end")
	}
}

// The function owns the buffer it is given: nothing else may point into it.
func TestCall_rawInputIsOwned(t *testing.T) {
	t.Parallel()
	var kept [][]byte
	r := only(func(p []byte) ([]byte, error) { kept = append(kept, p); return nil, nil })(t)
	for _, input := range []string{"first", "other"} {
		h := &guest.FakeHost{Input: []byte(input)}
		require.Zero(t, h.Call(r, 0, raw))
	}
	require.Equal(t, [][]byte{[]byte("first"), []byte("other")}, kept)
	require.Equal(t, 5, cap(kept[0]), "exactly the input's size")
}
