package guesttest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// The functions of a State guest, by their indices.
const (
	functionMark = iota
	functionLook
	functionDo
)

// A stateInstance is one instance of a State guest.
type stateInstance struct {
	host *host
	call api.Function
}

func newStateInstance(t *testing.T, wasm []byte) *stateInstance {
	t.Helper()
	r := newRuntime(t)
	h := new(host)
	h.instantiate(t, r)
	m, err := r.Instantiate(t.Context(), wasm)
	require.NoError(t, err)
	if init := m.ExportedFunction("_initialize"); init != nil {
		_, err = init.Call(t.Context())
		require.NoError(t, err)
	}
	_, err = m.ExportedFunction("sandpool_v1_describe").Call(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(h.output), `"name":"do"`)
	return &stateInstance{h, m.ExportedFunction("sandpool_v1_call")}
}

// run calls one function and returns what it returns, with its output.
func (i *stateInstance) run(t *testing.T, function int, input string) (uint32, string, error) {
	t.Helper()
	i.host.input, i.host.output = []byte(input), nil
	results, err := i.call.Call(t.Context(), uint64(function), uint64(len(input)), 0)
	if err != nil {
		return 0, "", err
	}
	return api.DecodeU32(results[0]), string(i.host.output), nil
}

func (i *stateInstance) look(t *testing.T) string {
	t.Helper()
	status, out, err := i.run(t, functionLook, "")
	require.NoError(t, err)
	require.Zero(t, status)
	return out
}

// smallStates are the State guests that the interpreter is fast enough for.
var smallStates = map[string]func(testing.TB) *guesttest.State{
	"tiny": func(testing.TB) *guesttest.State { return guesttest.StateTiny() },
	"c":    guesttest.StateC,
}

func TestState(t *testing.T) {
	t.Parallel()
	for name, state := range smallStates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wasm := state(t).Wasm
			clean := newStateInstance(t, wasm).look(t)
			require.Equal(t, clean, newStateInstance(t, wasm).look(t), "clean looks are equal")
			require.True(t, strings.HasPrefix(clean, guesttest.StateLine(1, 0, 0)+"found=00000000\n"), clean)

			i := newStateInstance(t, wasm)
			_, _, err := i.run(t, functionMark, "00000005")
			require.NoError(t, err)
			marked := i.look(t)
			require.True(t, strings.HasPrefix(marked, guesttest.StateLine(2, 1, 5)), marked)
			lines, before := strings.Split(marked, "\n"), strings.Split(clean, "\n")
			require.Len(t, lines, len(before))
			for n, line := range lines {
				if line != "" && !strings.HasPrefix(line, "fd") && !strings.HasPrefix(line, "table=") {
					require.NotEqual(t, before[n], line, "a mark shows in every line")
				}
			}
		})
	}
}

func TestState_table(t *testing.T) {
	t.Parallel()
	i := newStateInstance(t, guesttest.TinyStateTable())
	require.Contains(t, i.look(t), "\ntable=00000001,00000002\n")
	_, _, err := i.run(t, functionMark, "00000000")
	require.NoError(t, err)
	require.Contains(t, i.look(t), "\ntable=00000002,00000002\n")
}

func TestState_verbs(t *testing.T) {
	t.Parallel()
	for name, state := range smallStates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := state(t)
			for verb, ending := range state.Verbs {
				verbEnds(t, state.Wasm, verb, ending)
			}
			i := newStateInstance(t, state.Wasm)
			status, _, err := i.run(t, functionDo, string(guesttest.StateInput("xyzzy", 0)))
			require.NoError(t, err)
			require.EqualValues(t, 1, status)
			require.EqualValues(t, 2, i.host.code)
		})
	}
}

func verbEnds(t *testing.T, wasm []byte, verb string, ending guesttest.Ending) {
	t.Helper()
	i := newStateInstance(t, wasm)
	status, _, err := i.run(t, functionDo, string(guesttest.StateInput(verb, 7)))
	if !ending.Kept() {
		require.Error(t, err, verb)
		return
	}
	require.NoError(t, err, verb)
	require.Equal(t, ending != guesttest.EndsWell, status != 0, verb)
	status, out, err := i.run(t, functionDo, string(guesttest.StateInput("look", 0)))
	require.NoError(t, err, verb)
	require.Zero(t, status)
	require.True(t, strings.HasPrefix(out, guesttest.StateLine(2, 1, 7)), out)
}
