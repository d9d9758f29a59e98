package wire_test

import (
	"encoding/hex"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// filled returns a value of each message with no member zero, and its members.
func filled() map[string]any {
	return map[string]any{
		"hello": &wire.Hello{Role: wire.RoleTemplate, Data: math.MaxUint64, Engine: "v1", Image: 6, Dirs: []wire.Dir{{Host: "/h", Guest: "/g", Writable: true}}, FileSize: 9, Sandbox: wire.SandboxOff, Threads: 70, Ring: true},
		"ready": &wire.Ready{Engine: "v1", InForce: []string{"fds", "env"}, Missing: []string{"x: y"}, NoCache: true, Ring: true, NoDirs: "why"},
		"load": &wire.Load{
			Source: []byte{9}, Digest: []byte{1}, Function: "f", Method: "fresh", Memory: 1, Output: 2, LogBytes: 3,
			Inline: true, Module: 4, Entry: 5, EntryName: []byte{2},
			Host: []string{"lookup"}, Init: "setup", InitInput: []byte{4}, InitCodec: 257,
			Layout: &wire.Layout{Globals: 1, Start: true, MaxPages: 2}, Base: 6, Class: 7,
			Image: &wire.Image{Number: 1, Size: 2, Globals: []uint64{3}, Random: []uint32{4}, Streams: 5, Elapsed: 6}, ImageSent: true, Seed: 8, HostCalls: 9, Codecs: []string{"msgpack"},
			Args: []string{"guest"}, Env: []string{"A=1"}, Clock: &wire.Clock{Fixed: true, Start: 1, Resolution: 2}, Dirs: true, Bare: true, FileSize: 14,
			CPU: 9, Stack: 10, Fuel: 11, Stdout: 12, Stderr: 13, Meter: true,
		},
		"command":        &wire.Command{Args: []string{"tool"}, Env: []string{"A=1"}},
		"command result": &wire.CommandResult{ExitCode: 1, Stderr: []byte{2}, Stdout: []byte{3}},
		"capture": &wire.Capture{
			WarmUp: []wire.WarmUp{{Function: "f", Input: []byte{1}, Codec: 257}}, Inline: true,
		},
		"captured": &wire.Captured{Image: wire.Image{Number: 1, Size: 2, Globals: []uint64{math.MaxUint64}}, Unfit: "why"},
		"loaded":   &wire.Loaded{Entry: 1, EntryName: []byte{3}},
		"failure": &wire.Failure{
			Message: "m", Guest: 1, Exit: 2, Stack: "s", Stderr: "e", Limit: "wall", Max: 3, Used: 4, Module: 5, Name: "é",
			Init: true,
		},
	}
}

// empty returns a new zero message of v's type.
func empty(v any) any { return reflect.New(reflect.TypeOf(v).Elem()).Interface() }

func TestMessages_roundTrip(t *testing.T) {
	t.Parallel()
	for name, in := range filled() {
		v := reflect.ValueOf(in).Elem()
		for i := range v.NumField() {
			require.False(t, v.Field(i).IsZero(), "%s: the test leaves %s out", name, v.Type().Field(i).Name)
		}
		for _, message := range []any{in, empty(in)} {
			b, err := wire.Marshal(message)
			require.NoError(t, err, name)
			out := empty(in)
			require.NoError(t, wire.Unmarshal(b, out), name)
			require.Equal(t, message, out, name)
		}
	}
}

func TestMarshal_deterministic(t *testing.T) {
	t.Parallel()
	b, err := wire.Marshal(wire.Loaded{Entry: 7, EntryName: []byte{1, 2}})
	require.NoError(t, err)
	require.Equal(t, "a2"+"63"+hex.EncodeToString([]byte("key"))+"420102"+"65"+hex.EncodeToString([]byte("entry"))+"07", hex.EncodeToString(b))
}

func TestMarshal_refuses(t *testing.T) {
	t.Parallel()
	_, err := wire.Marshal(make(chan int))
	require.ErrorContains(t, err, "encode chan int")
}

func TestUnmarshal_refuses(t *testing.T) {
	t.Parallel()
	key := func(s string) string { return hex.EncodeToString(append([]byte{0x60 + byte(len(s))}, s...)) }
	for name, input := range map[string]string{
		"nothing":               "",
		"two items":             "a0a0",
		"no map":                "80",
		"null":                  "f6",
		"undefined":             "f7",
		"unknown member":        "a1" + key("other") + "01",
		"unknown, numbered":     "a10101",
		"other case":            "a1" + key("Entry") + "01",
		"duplicate":             "a2" + key("entry") + "01" + key("entry") + "01",
		"duplicate, other case": "a2" + key("entry") + "01" + key("ENTRY") + "02",
		"tag":                   "c1a0",
		"tagged member":         "a1" + key("entry") + "c101",
		"indefinite map":        "bf" + key("entry") + "01ff",
		"indefinite bytes":      "a1" + key("key") + "5f4101ff",
		"negative":              "a1" + key("entry") + "20",
		"float":                 "a1" + key("entry") + "f93c00",
		"text for number":       "a1" + key("entry") + "6131",
		"text for bytes":        "a1" + key("key") + "6131",
		"claims 2^32 members":   "bb0000000100000000",
		"claims 2^62 bytes":     "a1" + key("key") + "5b4000000000000000",
		"deep":                  "a1" + key("key") + strings.Repeat("81", 40) + "01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := hex.DecodeString(input)
			require.NoError(t, err)
			err = wire.Unmarshal(b, &wire.Loaded{})
			require.ErrorContains(t, err, "decode *wire.Loaded")
			require.NotErrorIs(t, err, io.EOF, "a message's end is no end of the stream")
			require.NotErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
}

func TestUnmarshal_refusesText(t *testing.T) {
	t.Parallel()
	b, err := cbor.Marshal(map[string]string{"message": "\xff"})
	require.NoError(t, err)
	require.Error(t, wire.Unmarshal(b, &wire.Failure{}), "no UTF-8")
	b, err = cbor.Marshal(map[string]any{"engine": "v", "inforce": make([]string, wire.MaxGlobals+1)})
	require.NoError(t, err)
	require.Error(t, wire.Unmarshal(b, &wire.Ready{}), "too many elements")
}

func TestLoad_bounds(t *testing.T) {
	t.Parallel()
	l := wire.Load{InitInput: make([]byte, 1<<20), Host: make([]string, wire.MaxHostNames)}
	for i := range l.Host {
		l.Host[i] = strings.Repeat("x", 128)
	}
	b, err := wire.Marshal(l)
	require.NoError(t, err)
	require.Less(t, len(b), wire.MaxLoad, "an initializer's input of 1 MiB fits")
	var got wire.Load
	require.NoError(t, wire.Unmarshal(b, &got))
	require.Equal(t, l, got)

	l.Host = make([]string, wire.MaxGlobals+1)
	b, err = wire.Marshal(l)
	require.NoError(t, err)
	require.Error(t, wire.Unmarshal(b, &got))
}

func TestUnmarshal_truncated(t *testing.T) {
	t.Parallel()
	for name, in := range filled() {
		b, err := wire.Marshal(in)
		require.NoError(t, err)
		for n := range b {
			require.Error(t, wire.Unmarshal(b[:n], empty(in)), "%s cut to %d bytes", name, n)
		}
	}
}
