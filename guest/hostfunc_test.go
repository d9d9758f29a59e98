package guest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
)

type question struct {
	Key string `cbor:"key"`
	N   int    `cbor:"n,omitempty"`
}

func TestHostFunc(t *testing.T) {
	t.Parallel()
	h := &guest.FakeHost{Answer: func(_ string, input []byte) (uint32, []byte) { return 0, input }}
	q, err := guest.CallTyped[question, question](h, "same", question{"k", 7})
	require.NoError(t, err)
	require.Equal(t, question{"k", 7}, q)
	raw, err := guest.CallTyped[question, []byte](h, "encoded", question{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "\xa1\x63key\x61k", string(raw), "[]byte is raw")
	n, err := guest.CallTyped[[]byte, int](h, "decoded", []byte("\x18\x2a"))
	require.NoError(t, err)
	require.Equal(t, 42, n)
}

func TestHostFunc_errors(t *testing.T) {
	t.Parallel()
	_, err := guest.CallTyped[int, int](answering(1, "no"), "f", 1)
	var he *guest.HostError
	require.ErrorAs(t, err, &he)
	require.Equal(t, guest.HostError{Name: "f", Message: "no"}, *he)
	q, err := guest.CallTyped[int, []question](answering(0, "\x82\xa1\x63key\x61k\x01"), "f", 1)
	require.ErrorContains(t, err, `decode answer of host function "f" as []guest_test.question: `)
	require.Nil(t, q, "nothing that was decoded so far")
	_, err = guest.CallTyped[chan int, int](answering(0, ""), "f", nil)
	require.ErrorContains(t, err, `encode input of host function "f", a chan int: `)
	_, err = guest.CallTyped[int, int](answering(2, "not granted"), "f", 1)
	require.ErrorAs(t, err, &he)
	require.True(t, he.Missing)
}

func TestHostFunc_panics(t *testing.T) {
	t.Parallel()
	r := guest.NewRegistry(t)
	guest.NeedIn[int, int](r, "f")
	guest.NeedIn[int, int](r, "f") // the same
	require.PanicsWithValue(t, `guest.HostFunc("f"): declared with other types before`, func() { guest.NeedIn[int, string](r, "f") })
	for _, name := range []string{"", "two words", strings.Repeat("x", 129)} {
		require.Panics(t, func() { guest.NeedIn[int, int](r, name) })
	}
	new(guest.FakeHost).Describe(r)
	require.PanicsWithValue(t, `guest.HostFunc("g"): the guest has started; declare it in a package variable`, func() { guest.NeedIn[int, int](r, "g") })
}

// undeclared is a host function of a program that is no guest.
var undeclared = guest.HostFunc[int, int]("a.host/function")

func TestHostFunc_notAGuest(t *testing.T) {
	t.Parallel()
	_, err := undeclared(1)
	var he *guest.HostError
	require.ErrorAs(t, err, &he)
	require.True(t, he.Missing)
}

func TestDescribe_hostFunctions(t *testing.T) {
	t.Parallel()
	r := guest.NewRegistry(t)
	guest.RegisterIn(r, "echo", echo)
	guest.NeedIn[string, *[]byte](r, "kv_get")
	guest.NeedIn[question, struct{}](r, "ask")
	guest.NeedIn[string, *[]byte](r, "kv_get")
	h := new(guest.FakeHost)
	require.Zero(t, h.Describe(r))
	type function struct{ Name, In, Out string }
	var about struct{ Functions, Host []function }
	require.NoError(t, json.Unmarshal(h.Writes[0], &about))
	require.Len(t, about.Functions, 1)
	require.Equal(t, []function{{"kv_get", "string", "bytes?"}, {"ask", "{key: string, n: int}", "{}"}}, about.Host)

	none := guest.NewRegistry(t)
	guest.RegisterIn(none, "echo", echo)
	h = new(guest.FakeHost)
	require.Zero(t, h.Describe(none))
	require.NotContains(t, string(h.Writes[0]), "host")
}
