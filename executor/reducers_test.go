package executor_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

// A token is nothing that a codec could encode.
type token struct{ text string }

type tokens struct {
	Name string
	Any  any
	Next *tokens
	T    token
	List []token
}

func tokenReducers(t *testing.T, mark string) *serialize.Reducers {
	t.Helper()
	r, err := serialize.NewReducers(serialize.Reduce(
		func(v token) (string, error) {
			if v.text == "bad" {
				return "", errors.New("this token does not travel")
			}
			return mark + v.text, nil
		},
		func(s string) (token, error) { return token{s + mark}, nil },
	))
	require.NoError(t, err)
	return r
}

// Row E16 of loky's tests: values of a type are replaced wherever they are, and put back
// in results, each way by reducers of its own or by the same.
func TestE16_reducers(t *testing.T) {
	t.Parallel()
	m := fixture(t)
	in := tokens{Name: "x", T: token{"1"}, List: []token{{"2"}}, Next: &tokens{T: token{"3"}}}
	upper := executor.Func[token, token]{Module: m, Name: "upper"}
	for _, codec := range []string{"cbor", "json"} {
		ex := newExecutor(t, executor.Options{JobReducers: tokenReducers(t, "a"), Codec: codec})
		out, err := call(t, ex, upper, token{"t"})
		require.NoError(t, err)
		require.Equal(t, token{"ATa"}, out, "the same for results")

		ex = newExecutor(t, executor.Options{JobReducers: tokenReducers(t, "a"), ResultReducers: tokenReducers(t, "b"), Codec: codec})
		out, err = call(t, ex, upper, token{"t"})
		require.NoError(t, err)
		require.Equal(t, token{"ATb"}, out, "others for results")

		nested := executor.Func[tokens, map[string]any]{Module: m, Name: "nested"} // it has fields Name, Next and Any of the same names
		_, err = call(t, ex, executor.Func[[]token, []token]{Module: m, Name: "nested"}, in.List)
		require.Error(t, err, "a list is no struct")
		in.Any = map[string]any{"token": token{"4"}}
		nested.Name = "keep"
		got, err := call(t, ex, nested, in)
		require.NoError(t, err)
		require.Equal(t, "a1", got["T"])
		require.Equal(t, []any{"a2"}, got["List"])
		require.Equal(t, map[string]any{"token": "a4"}, got["Any"])
		next, ok := got["Next"].(map[string]any)
		require.True(t, ok)
		require.Equal(t, "a3", next["T"])
		back, err := call(t, ex, executor.Func[tokens, tokens]{Module: m, Name: "keep"}, in)
		require.NoError(t, err)
		require.Equal(t, token{"a1b"}, back.T)
		require.Equal(t, []token{{"a2b"}}, back.List)
		require.Equal(t, token{"a3b"}, back.Next.T)
	}
}

// Row P1: reducers of one executor do not reach another.
func TestP1_reducersIsolated(t *testing.T) {
	t.Parallel()
	upper := executor.Func[token, token]{Module: fixture(t), Name: "upper"}
	with := newExecutor(t, executor.Options{JobReducers: tokenReducers(t, "a")})
	without := newExecutor(t, executor.Options{})
	for range 2 {
		out, err := call(t, with, upper, token{"t"})
		require.NoError(t, err)
		require.Equal(t, token{"ATa"}, out)
		_, err = call(t, without, upper, token{"t"})
		require.Error(t, err)
	}
}

// An error in a reducer concerns its own call only.
func TestReducers_errors(t *testing.T) {
	t.Parallel()
	r, err := serialize.NewReducers(serialize.Reduce(
		func(v token) (string, error) { return v.text, nil },
		func(s string) (token, error) {
			if s == "PANIC" {
				panic("in restore")
			}
			return token{}, errors.New("not this one")
		},
	))
	require.NoError(t, err)
	ex := newExecutor(t, executor.Options{JobReducers: tokenReducers(t, ""), ResultReducers: r})
	upper := executor.Func[token, token]{Module: fixture(t), Name: "upper"}
	for in, text := range map[string]string{"bad": "this token does not travel", "panic": "in restore", "x": "not this one"} {
		_, err := call(t, ex, upper, token{in})
		var se *serialize.Error
		require.ErrorAs(t, err, &se)
		require.ErrorContains(t, err, text)
	}
	plain, err := call(t, ex, executor.Func[string, string]{Module: upper.Module, Name: "upper"}, "still here")
	require.NoError(t, err)
	require.Equal(t, "STILL HERE", plain)
}

// What an output takes once decoded is bounded before it is decoded.
func TestLimits_decoded(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	type wide [64]netip.Addr
	keep := executor.Func[[]any, []wide]{Module: fixture(t), Name: "keep", Limits: executor.Limits{Decoded: 1 << 20}}
	_, err := call(t, ex, keep, make([]any, 10_000))
	var le *executor.LimitError
	require.ErrorAs(t, err, &le)
	require.Equal(t, executor.LimitDecoded, le.Limit)
	require.EqualValues(t, 1<<20, le.Max)
	require.Greater(t, le.Used, le.Max)
	out, err := call(t, ex, keep, make([]any, 3))
	require.NoError(t, err)
	require.Len(t, out, 3)
	keep.Limits.Decoded = 1 << 40
	_, err = call(t, ex, keep, nil)
	require.ErrorContains(t, err, "Options.Limits.Decoded")
}

// Cyclic values are errors at Submit.
func TestSubmit_cyclic(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	loop := &tokens{Name: "loop"}
	loop.Next = loop
	f := executor.Submit(t.Context(), ex, executor.Func[*tokens, any]{Module: fixture(t), Name: "keep"}, loop)
	var se *serialize.Error
	require.ErrorAs(t, f.Err(), &se)
	require.ErrorContains(t, f.Err(), "cycl")
}
