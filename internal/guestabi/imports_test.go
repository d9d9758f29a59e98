package guestabi_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// TestImports_wasi: what the host promises of WASI is what the engine has.
func TestImports_wasi(t *testing.T) {
	t.Parallel()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	compiled, err := wasi_snapshot_preview1.NewBuilder(r).Compile(t.Context())
	require.NoError(t, err)
	offered := map[string]string{}
	for name, def := range compiled.ExportedFunctions() {
		offered[name] = signature(def)
	}
	require.Equal(t, offered, guestabi.Imports[guestabi.WASI])
}

func signature(def api.FunctionDefinition) string {
	var f wasmbin.FuncType
	for _, p := range def.ParamTypes() {
		f.Params = append(f.Params, wasmbin.ValType(p))
	}
	for _, r := range def.ResultTypes() {
		f.Results = append(f.Results, wasmbin.ValType(r))
	}
	return f.String()
}

func TestImports_modules(t *testing.T) {
	t.Parallel()
	require.Len(t, guestabi.Imports, 2)
	require.Len(t, guestabi.Imports[guestabi.ImportModule], 8)
	require.Len(t, guestabi.Exports, 2)
}
