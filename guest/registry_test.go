package guest_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
)

func echo(p []byte) ([]byte, error) { return p, nil }

func TestRegister_panics(t *testing.T) {
	t.Parallel()
	const names = `a name is 1 to 128 bytes of A–Z a–z 0–9 _ - . / :`
	for _, test := range []struct{ name, function, want string }{
		{"empty", "", `guest.Register(""): ` + names},
		{"space", "two words", `guest.Register("two words"): ` + names},
		{"not ASCII", "é", `guest.Register("é"): ` + names},
		{"long", strings.Repeat("x", 129), names},
		{"duplicate", "echo", `guest.Register("echo"): the name is taken`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := guest.NewRegistry(t)
			guest.RegisterIn(r, "echo", echo)
			defer func() { require.Contains(t, recover(), test.want) }()
			guest.RegisterIn(r, test.function, echo)
		})
	}
	t.Run("nil", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, `guest.Register("f"): nil function`, func() {
			guest.RegisterIn[int, int](guest.NewRegistry(t), "f", nil)
		})
	})
	t.Run("started", func(t *testing.T) {
		t.Parallel()
		r := guest.NewRegistry(t)
		new(guest.FakeHost).Describe(r)
		require.PanicsWithValue(t, `guest.Register("f"): the guest has started; register from init`, func() {
			guest.RegisterIn(r, "f", echo)
		})
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	type tagged struct {
		A int `cbor:"a,omitempty"`
	}
	r := guest.NewRegistry(t)
	guest.RegisterIn(r, "b/echo", echo)
	guest.RegisterIn(r, "a.count", func(string) (map[string]int, error) { return nil, nil })
	guest.RegisterIn(r, "tag", func(struct {
		A int `cbor:"a"`
	},
	) (tagged, error) {
		return tagged{}, nil
	})
	guest.RegisterIn(r, strings.Repeat("x", 128), func([100]struct {
		AVeryLongName, B, C, D, E, F [1]map[string]map[string]map[string]map[string]map[string]map[string]map[string]map[string]map[string]map[string]map[string]map[string]string
	},
	) (any, error) {
		return nil, nil
	})

	h := new(guest.FakeHost)
	require.Zero(t, h.Describe(r))
	var got struct {
		SDK       string
		Functions []struct{ Name, In, Out string }
	}
	require.NoError(t, json.Unmarshal(bytes.Join(h.Writes, nil), &got))
	require.Contains(t, got.SDK, "go (go")
	require.Len(t, got.Functions, 4)
	require.Equal(t, struct{ Name, In, Out string }{"b/echo", "bytes", "bytes"}, got.Functions[0])
	require.Equal(t, struct{ Name, In, Out string }{"a.count", "string", "map[string]int"}, got.Functions[1])
	require.Equal(t, "struct { A int \"cbor:\\\"a\\\"\" }", got.Functions[2].In)
	require.Equal(t, "guest_test.tagged", got.Functions[2].Out)
	require.LessOrEqual(t, len(got.Functions[3].In), 260)

	empty := new(guest.FakeHost)
	require.Zero(t, empty.Describe(guest.NewRegistry(t)))
	require.True(t, json.Valid(empty.Writes[0]), string(empty.Writes[0]))
}
