package wasmbin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// allFeatures is everything the runtime can be asked to accept.
const allFeatures = api.CoreFeaturesV2 |
	experimental.CoreFeaturesThreads |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

// beyondLimits are the modules of the corpus that the runtime accepts and a
// limit of this package refuses, by a suffix of their path, with the reason.
// There is none.
var beyondLimits = map[string]string{}

// notRefused are the binary modules that the specification's tests call
// malformed and Scan accepts: each breaks a rule left to the compiler.
var notRefused = map[string]string{
	"/v1/testdata/binary.32.wasm": "a byte reserved in version 1 is a table index since 2.0",
	"/v2/testdata/binary.66.wasm": "memory.init without a data count section",
	"/v2/testdata/binary.67.wasm": "data.drop without a data count section",
}

// runtimeDir is where the runtime's module is unpacked.
var runtimeDir = sync.OnceValues(func() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := strings.TrimSpace(string(out))
	if err == nil && dir == "" {
		err = errors.New("go list names no directory: go.sum or the module cache lacks the module")
	}
	return dir, err
})

// corpus lists the files below the runtime's module that end in suffix.
func corpus(t *testing.T, suffix string) []string {
	t.Helper()
	dir, err := runtimeDir()
	require.NoError(t, err)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, suffix) {
			files = append(files, path)
		}
		return err
	}))
	require.NotEmpty(t, files)
	return files
}

// listed reports whether the file is in one of the tables above.
func listed(table map[string]string, file string) bool {
	for suffix := range table {
		if strings.HasSuffix(filepath.ToSlash(file), suffix) {
			return true
		}
	}
	return false
}

// newRuntime returns an interpreter with every feature.
func newRuntime(t *testing.T) wazero.Runtime {
	t.Helper()
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures).WithDebugInfoEnabled(false)
	rt := wazero.NewRuntimeWithConfig(t.Context(), config)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt
}

// TestScan_corpus compares with the runtime over its own test modules, among
// them the specification's: what it compiles, Scan must accept, and both must
// see the same imports and exports.
func TestScan_corpus(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)

	files := corpus(t, ".wasm")
	compiled, refused := 0, 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		m, scanErr := wasmbin.Scan(b)
		if scanErr != nil {
			refused++
		}
		// Malformed modules of the corpus are safe to compile: the runtime's
		// own tests do. No others are compiled here.
		c, err := rt.CompileModule(t.Context(), b)
		if err != nil {
			continue
		}
		compiled++
		if listed(beyondLimits, file) {
			e, ok := errors.AsType[*wasmbin.Error](scanErr)
			require.True(t, ok && e.Kind == wasmbin.Limit, "%s: %v", file, scanErr)
		} else if scanErr != nil {
			t.Errorf("%s: %v", file, scanErr)
		} else {
			agree(t, file, m, c)
		}
		require.NoError(t, c.Close(t.Context()))
	}
	t.Logf("%d modules: the runtime compiles %d, Scan accepts %d", len(files), compiled, len(files)-refused)
	require.Greater(t, compiled, 3000)
	require.Greater(t, refused, 1000)
}

// mutants yields the corpus' modules with a byte or two changed, at random but
// always the same, as far as Scan still accepts them, and what they are.
func mutants(t *testing.T) iter.Seq2[string, []byte] {
	t.Helper()
	const perFile, largest = 5, 4000
	interesting := []byte{0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0x63, 0x64, 0x69, 0x70}
	rng := rand.New(rand.NewPCG(1, 2))
	return func(yield func(string, []byte) bool) {
		for _, file := range corpus(t, ".wasm") {
			original, err := os.ReadFile(file)
			require.NoError(t, err)
			if _, err = wasmbin.Scan(original); err != nil || len(original) > largest || len(original) <= len(preamble) {
				continue
			}
			for range perFile {
				b := slices.Clone(original)
				for range 1 + rng.IntN(2) {
					at := len(preamble) + rng.IntN(len(b)-len(preamble))
					b[at] = []byte{
						b[at] + 1, b[at] ^ 1<<rng.IntN(8), byte(rng.IntN(256)), interesting[rng.IntN(len(interesting))],
					}[rng.IntN(4)]
				}
				if _, err := wasmbin.Scan(b); err == nil && !yield(fmt.Sprintf("%s with changes: %x", file, b), b) {
					return
				}
			}
		}
	}
}

// TestScan_mutants gives the runtime what Scan accepts. It may refuse it but not
// panic, nor see other imports and exports if it accepts it.
func TestScan_mutants(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	accepted, compiled := 0, 0
	for name, b := range mutants(t) {
		m, err := wasmbin.Scan(b)
		require.NoError(t, err)
		accepted++
		if c, err := rt.CompileModule(t.Context(), b); err == nil {
			compiled++
			agree(t, name, m, c)
			require.NoError(t, c.Close(t.Context()))
		}
	}
	t.Logf("Scan accepts %d mutants, the runtime compiles %d of them", accepted, compiled)
	require.Greater(t, compiled, 1000)
}

// agree compares what both saw in a module.
func agree(t *testing.T, file string, m *wasmbin.Module, c wazero.CompiledModule) {
	t.Helper()
	same := func(a []wasmbin.ValType, b []api.ValueType) {
		require.Len(t, a, len(b), file)
		for i := range a {
			if a[i].IsNumber() {
				require.Equal(t, b[i], byte(a[i]), file)
			}
		}
	}
	functions := c.ImportedFunctions()
	for _, imp := range m.Imports {
		if imp.Kind != wasmbin.KindFunc {
			continue
		}
		require.NotEmpty(t, functions, file)
		module, name, _ := functions[0].Import()
		require.Equal(t, []string{module, name}, []string{imp.Module, imp.Name}, file)
		same(imp.Func.Params, functions[0].ParamTypes())
		same(imp.Func.Results, functions[0].ResultTypes())
		functions = functions[1:]
	}
	require.Empty(t, functions, file)

	exported, count := c.ExportedFunctions(), 0
	for _, exp := range m.Exports {
		if exp.Kind != wasmbin.KindFunc {
			continue
		}
		count++
		require.Contains(t, exported, exp.Name, file)
		require.Equal(t, exported[exp.Name].Index(), exp.Index, file)
		same(exp.Func.Params, exported[exp.Name].ParamTypes())
		same(exp.Func.Results, exported[exp.Name].ResultTypes())
	}
	require.Len(t, exported, count, file)
	for name, memory := range c.ExportedMemories() {
		require.NotNil(t, m.Memory, file)
		require.NotNil(t, m.Export(name), file)
		require.EqualValues(t, memory.Min(), m.Memory.Min, file)
	}
	require.Equal(t, c.Name(), m.Name, file)
}

// TestScan_specMalformed looks at the binary modules that the specification's
// tests say no decoder may accept.
func TestScan_specMalformed(t *testing.T) {
	t.Parallel()
	total := 0
	for _, file := range corpus(t, ".json") {
		if !strings.Contains(filepath.ToSlash(file), "/spectest/") {
			continue
		}
		var script struct {
			Commands []struct{ Type, Filename, Text string }
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &script), file)
		for _, c := range script.Commands {
			if c.Type != "assert_malformed" || !strings.HasSuffix(c.Filename, ".wasm") {
				continue
			}
			name := filepath.Join(filepath.Dir(file), c.Filename)
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			total++
			if _, err = wasmbin.Scan(b); err == nil && !listed(notRefused, name) {
				t.Errorf("%s accepted: %s", name, c.Text)
			}
		}
	}
	t.Logf("%d malformed modules", total)
	require.Greater(t, total, 1000)
}
