package serialize_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

func TestModuleError_Is(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("submit: %w", &serialize.ModuleError{Kind: serialize.MissingImport, Module: "m", Name: "env.f", Reason: "no"})
	for _, target := range []serialize.ModuleError{
		{},
		{Kind: serialize.MissingImport},
		{Module: "m"},
		{Name: "env.f"},
		{Reason: "no"},
		{Kind: serialize.MissingImport, Module: "m", Name: "env.f", Reason: "no"},
	} {
		require.ErrorIs(t, err, &target)
	}
	for _, target := range []serialize.ModuleError{
		{Kind: serialize.MissingExport},
		{Module: "n"},
		{Name: "env.g"},
		{Reason: "yes"},
		{Kind: serialize.MissingImport, Name: "env.g"},
	} {
		require.NotErrorIs(t, err, &target)
	}
	require.False(t, errors.Is(err, errFaulty))
	require.NotErrorIs(t, &serialize.ModuleError{Kind: serialize.NotWasm}, &serialize.ModuleError{Name: "f"})
}

func TestModuleError_text(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]serialize.ModuleError{
		`module "": module error 0`:                           {},
		`module "m": not a wasm module`:                       {Kind: serialize.NotWasm, Module: "m"},
		`module "m": import not offered "env.f": unknown`:     {Kind: serialize.MissingImport, Module: "m", Name: "env.f", Reason: "unknown"},
		`module "a\nb": missing export "\x1b[0m"`:             {Kind: serialize.MissingExport, Module: "a\nb", Name: "\x1b[0m"},
		"module \"m\": invalid module: first\uFFFDsecond – é": {Kind: serialize.Invalid, Module: "m", Reason: "first\nsecond – é"},
	} {
		require.EqualError(t, &err, want)
	}
}

func TestModuleErrorKind_String(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := serialize.NotWasm; k <= serialize.Signature; k++ {
		require.NotContains(t, k.String(), "module error")
		require.False(t, seen[k.String()])
		seen[k.String()] = true
	}
	require.EqualValues(t, 8, serialize.Signature, "the numbers are stable")
	require.Equal(t, "module error 9", serialize.ModuleErrorKind(9).String())
	require.Equal(t, "module error 4294967295", serialize.ModuleErrorKind(1<<32-1).String())
}
