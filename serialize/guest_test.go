package serialize_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// importing is a guest with one import more, of any kind.
func importing(module, name string, desc ...byte) []byte {
	b := guesttest.Header()
	b = append(b, guesttest.Section(1, []byte{1, 0x60, 0, 0})...)
	return append(b, guesttest.Section(2, bytes.Join([][]byte{{1}, str(module), str(name), desc}, nil))...)
}

// tiny is a guest with one imported function more.
func tiny(module, name string, s guesttest.Signature) []byte {
	t := guesttest.NewTiny()
	t.Import(module, name, s)
	return t.Finish("f", [2]uint32{1, 1}, nil, zero())
}

// exporting is a guest whose exports are chosen.
func exporting(add func(m *guesttest.Module)) []byte {
	m := new(guesttest.Module)
	add(m)
	return m.Bytes()
}

func TestModule_Check(t *testing.T) {
	t.Parallel()
	const i32, i64 = guesttest.I32, guesttest.I64
	export := func(m *guesttest.Module, name string, s guesttest.Signature) {
		body := zero()
		if len(s.Results) == 0 {
			body = new(guesttest.Code)
		}
		m.Export(name, m.Func(s, nil, body))
	}
	guest := func(m *guesttest.Module) {
		export(m, "sandpool_v1_describe", sigDescr)
		export(m, "sandpool_v1_call", sigCall)
	}
	for name, tc := range map[string]struct {
		wasm   []byte
		kind   serialize.ModuleErrorKind // 0 when it is fine
		symbol string
		reason string
	}{
		"guest":     {wasm: guesttest.TinyEcho()},
		"WASI":      {wasm: tiny("wasi_snapshot_preview1", "clock_time_get", guesttest.Sig([]guesttest.ValueType{i32, i64, i32}, i32))},
		"reactor":   {wasm: exporting(func(m *guesttest.Module) { guest(m); m.Memory(1, 1); export(m, "_initialize", sigNone) })},
		"two roles": {wasm: exporting(func(m *guesttest.Module) { guest(m); m.Memory(1, 1); export(m, "_start", sigNone) })},

		"import module": {tiny("env", "abort", sigNone), serialize.MissingImport, "env.abort", "workers offer only sandpool_v1 and wasi_snapshot_preview1"},
		"import module of another version": {
			tiny("sandpool_v2", "input_read", sigNone), serialize.MissingImport, "sandpool_v2.input_read", "workers offer only sandpool_v1",
		},
		"import of no name": {tiny("", "", sigNone), serialize.MissingImport, ".", "workers offer only"},
		"function":          {tiny("sandpool_v1", "shell", sigNone), serialize.MissingImport, "sandpool_v1.shell", "there is no function of that name"},
		"WASI function":     {tiny("wasi_snapshot_preview1", "fd_write_all", sigNone), serialize.MissingImport, "wasi_snapshot_preview1.fd_write_all", "there is no function of that name"},
		"import type": {
			tiny("wasi_snapshot_preview1", "proc_exit", guesttest.Sig([]guesttest.ValueType{i64}, i32)),
			serialize.MissingImport, "wasi_snapshot_preview1.proc_exit", "it has type (i32) -> (), the module wants (i64) -> (i32)",
		},
		"import type of ours": {
			tiny("sandpool_v1", "log", sigNone), serialize.MissingImport, "sandpool_v1.log", "it has type (i32, i32, i32) -> (), the module wants () -> ()",
		},
		"memory":         {importing("env", "memory", 2, 0, 1), serialize.MissingImport, "env.memory", "workers offer only"},
		"memory of ours": {importing("sandpool_v1", "memory", 2, 0, 1), serialize.MissingImport, "sandpool_v1.memory", "functions, not a memory"},
		"table":          {importing("sandpool_v1", "log", 1, 0x70, 0, 1), serialize.MissingImport, "sandpool_v1.log", "functions, not a table"},
		"global":         {importing("wasi_snapshot_preview1", "g", 3, 0x7f, 0), serialize.MissingImport, "wasi_snapshot_preview1.g", "functions, not a global"},

		"nothing":  {guesttest.Header(), serialize.MissingExport, "sandpool_v1_describe", "does not follow the guest interface"},
		"no guest": {guesttest.TinyNoABI(), serialize.MissingExport, "sandpool_v1_describe", "does not follow the guest interface"},
		"command": {
			exporting(func(m *guesttest.Module) { m.Memory(1, 1); export(m, "_start", sigNone) }),
			serialize.MissingExport, "sandpool_v1_describe", "WASI command",
		},
		"describe only": {
			exporting(func(m *guesttest.Module) { m.Memory(1, 1); export(m, "sandpool_v1_describe", sigDescr) }),
			serialize.MissingExport, "sandpool_v1_call", "does not follow the guest interface",
		},
		"call only": {
			exporting(func(m *guesttest.Module) { m.Memory(1, 1); export(m, "sandpool_v1_call", sigCall) }),
			serialize.MissingExport, "sandpool_v1_describe", "does not follow the guest interface",
		},
		"type of describe": {
			exporting(func(m *guesttest.Module) {
				m.Memory(1, 1)
				export(m, "sandpool_v1_describe", sigNone)
				export(m, "sandpool_v1_call", sigCall)
			}),
			serialize.MissingExport, "sandpool_v1_describe", "has type () -> () instead of () -> (i32)",
		},
		"type of call": {
			exporting(func(m *guesttest.Module) {
				m.Memory(1, 1)
				export(m, "sandpool_v1_describe", sigDescr)
				export(m, "sandpool_v1_call", guesttest.Sig(i32s(2), i32))
			}),
			serialize.MissingExport, "sandpool_v1_call", "has type (i32, i32) -> (i32) instead of (i32, i32, i32) -> (i32)",
		},
		"call is a global": {
			exporting(func(m *guesttest.Module) {
				m.Memory(1, 1)
				export(m, "sandpool_v1_describe", sigDescr)
				m.ExportGlobal("sandpool_v1_call", m.Global(i32, 1))
			}),
			serialize.MissingExport, "sandpool_v1_call", "is a global, not a function",
		},
		"no memory": {exporting(guest), serialize.MissingExport, "memory", "exports its linear memory"},
		"memory is a function": {
			exporting(func(m *guesttest.Module) { guest(m); export(m, "memory", sigNone) }), serialize.MissingExport, "memory", "exports its linear memory",
		},
		"initialize type": {
			exporting(func(m *guesttest.Module) { guest(m); m.Memory(1, 1); export(m, "_initialize", sigDescr) }),
			serialize.Invalid, "_initialize", "no function of type () -> ()",
		},
		"initialize is a table": {
			exporting(func(m *guesttest.Module) { guest(m); m.Memory(1, 1); m.ExportTable("_initialize", m.Table(1, 1)) }),
			serialize.Invalid, "_initialize", "no function of type () -> ()",
		},
		"features": {
			exporting(func(m *guesttest.Module) {
				m.Memory(1, 1)
				m.Export("sandpool_v1_describe", m.Func(sigDescr, nil, new(guesttest.Code).Raw(0x12, 0))) // return_call
				export(m, "sandpool_v1_call", sigCall)
			}),
			serialize.Invalid, "", "needs WebAssembly features beyond 2.0: [tail-call]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newModule(t, "m.wasm", tc.wasm).Check()
			if tc.kind == 0 {
				require.NoError(t, err)
				return
			}
			me := moduleError(t, err)
			require.Equal(t, tc.kind, me.Kind, "%v", err)
			require.Equal(t, "m.wasm", me.Module)
			require.Equal(t, tc.symbol, me.Name)
			require.Contains(t, me.Reason, tc.reason)
			require.ErrorContains(t, err, tc.reason)
		})
	}
}

// hostile is what a name may be in a module.
var hostile = map[string]string{
	"newline": "a\nmodule ok", "escape": "\x1b[2Jx", "NUL": "a\x00b", "quote": `a" b`, "direction": "a\u202eb",
	"long": strings.Repeat("n", 100_000), "long escapes": strings.Repeat("\x01", 100_000), "long runes": strings.Repeat("é", 50_000),
}

func TestModuleError_hostileNames(t *testing.T) {
	t.Parallel()
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{
				newModule(t, "m", tiny("env", text, sigNone)).Check(),
				newModule(t, "m", tiny(text, "f", sigNone)).Check(),
				newModule(t, text, guesttest.Header()).Check(),
				&serialize.ModuleError{Kind: serialize.Invalid, Module: text, Name: text, Reason: text},
			} {
				for _, r := range err.Error() {
					require.NotContains(t, "\n\r\x1b\x00\x01\u202e", string(r))
				}
				require.Less(t, len(err.Error()), 16<<10)
			}
			var me *serialize.ModuleError
			require.ErrorAs(t, newModule(t, "m", tiny("env", text, sigNone)).Check(), &me)
			require.Equal(t, "env."+text, me.Name, "the field has it whole")
		})
	}
}
