package snapshot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// A script is one file of the specification's tests, as wast2json makes it.
type script struct {
	Commands []struct {
		Type     string
		Name     string
		Filename string
		Action   action
	}
}

// An action is what a test does to an instance.
type action struct {
	Type   string // invoke or get
	Module string // the last if empty
	Field  string
	Args   []value
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// A specModule is a module of a script and all that is done to it, in order.
type specModule struct {
	file    string
	actions []action
}

// modules takes a script apart.
func (s *script) modules() []*specModule {
	var all []*specModule
	named := map[string]*specModule{}
	for _, c := range s.Commands {
		if c.Type == "module" {
			all = append(all, &specModule{file: c.Filename})
			named[""] = all[len(all)-1]
			named[c.Name] = named[""]
		} else if m := named[c.Action.Module]; m != nil && c.Action.Type != "" {
			m.actions = append(m.actions, c.Action)
		}
	}
	return all
}

// numbers are the value as the engine takes it.
func (v value) numbers(t *testing.T) []uint64 {
	t.Helper()
	lanes, ok := v.Value.([]any)
	if !ok {
		return []uint64{number(t, v.Type, v.Value)}
	}
	var out [2]uint64
	width := 128 / len(lanes)
	for i, lane := range lanes {
		bits := number(t, v.LaneType, lane)
		out[i*width/64] |= bits & (1<<width - 1) << (i * width % 64)
	}
	return out[:]
}

func number(t *testing.T, valueType string, v any) uint64 {
	t.Helper()
	s, ok := v.(string)
	if !ok || s == "null" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if signed, serr := strconv.ParseInt(s, 10, 64); err != nil && serr == nil {
		n, err = uint64(signed), nil
	}
	require.NoError(t, err)
	switch valueType {
	case "i32", "f32":
		return uint64(uint32(n))
	case "externref":
		return n + 1 // zero is null
	}
	return n
}

// do is what an action gives, in words.
func (a action) do(t *testing.T, m api.Module) string {
	t.Helper()
	if a.Type == "get" {
		g := m.ExportedGlobal(a.Field)
		return show([]api.ValueType{g.Type()}, []uint64{g.Get()})
	}
	if depth, ok := m.ExportedGlobal(wasmbin.DepthName).(api.MutableGlobal); ok {
		depth.Set(5_000)
	}
	f := m.ExportedFunction(a.Field)
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.numbers(t)...)
	}
	results, err := f.Call(t.Context(), args...)
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n") // without the stack
		return text
	}
	return show(f.Definition().ResultTypes(), results)
}

// show has references only as null or not: they are addresses.
func show(types []api.ValueType, values []uint64) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case len(types) == len(values) && (types[i] == api.ValueTypeI32 || types[i] == api.ValueTypeF32):
			fmt.Fprintf(&b, "%#x ", uint32(v))
		case len(types) == len(values) && types[i] != api.ValueTypeI64 && types[i] != api.ValueTypeF64:
			fmt.Fprintf(&b, "reference null:%t ", v == 0)
		default:
			fmt.Fprintf(&b, "%#x ", v)
		}
	}
	return b.String()
}

// A replay runs the scripts' modules.
type replay struct {
	metering                wasmbin.Mode
	exhausted               int // calls ended for want of depth
	modules, calls, skipped int
	unfit                   map[string]int
	r                       wazero.Runtime
	config                  wazero.ModuleConfig
}

// TestSpec replays the specification's tests. All that a script does to a module
// is done to a stock instance of the original and twice to one instance of the
// rewritten module, which is restored before and between: every result and every
// trap must be the same.
//
//nolint:tparallel // the scripts share the count
func TestSpec(t *testing.T) {
	t.Parallel()
	p := replaySpec(t, wasmbin.Plain)
	require.Greater(t, p.modules, 800)
	require.Greater(t, p.calls, 40_000)
}

// TestSpec_metered does the same with code that can be ended and counts.
//
//nolint:tparallel // likewise
func TestSpec_metered(t *testing.T) {
	t.Parallel()
	for _, mode := range []wasmbin.Mode{wasmbin.Flag, wasmbin.Fuel} {
		t.Run(mode.String(), func(t *testing.T) {
			p := replaySpec(t, mode)
			require.Greater(t, p.modules, 800)
			require.Greater(t, p.calls, 40_000)
			require.Positive(t, p.exhausted)
		})
	}
}

// replaySpec replays all scripts.
func replaySpec(t *testing.T, metering wasmbin.Mode) *replay {
	t.Helper()
	if testing.Short() {
		t.Skip("runs thousands of modules")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	root := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	host, err := os.ReadFile(filepath.Join(root, "testdata", "spectest.wasm"))
	require.NoError(t, err)
	p := &replay{metering: metering, unfit: map[string]int{}, config: wazero.NewModuleConfig().WithName("").WithStartFunctions()}
	all := modes(t)
	for _, version := range []string{"v1", "v2"} {
		files, err := filepath.Glob(filepath.Join(root, version, "testdata", "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			var s script
			require.NoError(t, json.Unmarshal(b, &s), file)
			t.Run(version+"/"+filepath.Base(file), func(t *testing.T) {
				p.r = wazero.NewRuntime(t.Context())
				defer p.r.Close(t.Context())
				_, err := p.r.InstantiateWithConfig(t.Context(), host, wazero.NewModuleConfig().WithName("spectest"))
				require.NoError(t, err)
				for _, m := range s.modules() {
					m.file = filepath.Join(filepath.Dir(file), m.file)
					p.module(t, m, all[p.modules%len(all)])
				}
			})
		}
	}
	t.Logf("%d modules and %d calls replayed; %d modules skipped that import others or do nothing; unfit: %v", p.modules, p.calls, p.skipped, p.unfit)
	return p
}

// module compares the two forms of a module.
func (p *replay) module(t *testing.T, m *specModule, how mode) {
	t.Helper()
	wasm, err := os.ReadFile(m.file)
	require.NoError(t, err)
	prepared, err := wasmbin.Prepare(wasm)
	if unfit, ok := errors.AsType[*wasmbin.UnfitError](err); ok {
		p.unfit[strings.Join(strings.Fields(unfit.Reason)[:4], " ")]++
		return
	}
	require.NoError(t, err, m.file)
	stock, err := p.r.InstantiateWithConfig(t.Context(), wasm, p.config)
	if err != nil || len(m.actions) == 0 {
		p.skipped++
		return
	}
	defer stock.Close(t.Context())
	want := make([]string, len(m.actions))
	for i, a := range m.actions {
		want[i] = a.do(t, stock)
	}

	image, s := p.capture(t, prepared, how)
	in := p.instance(t, prepared, image, how)
	defer in.close()
	require.NoError(t, in.Apply(&s), m.file)
	require.NoError(t, in.Check(&s), m.file)
	p.modules++
	for round := range 2 {
		for i, a := range m.actions {
			p.calls++
			got := a.do(t, in.Module)
			if p.metering != wasmbin.Plain && strings.HasSuffix(want[i], "stack overflow") && got == "wasm error: unreachable" {
				require.EqualValues(t, wasmbin.Stopped, uint32(in.Module.ExportedGlobal(wasmbin.DepthName).Get()), m.file)
				p.exhausted++
				continue
			}
			require.Equal(t, want[i], got, "%s: %s, action %d of round %d: %v", m.file, how.name, i, round, a)
		}
		in.restored(&s)
	}
}

// capture takes the state of a new instance after its start function.
func (p *replay) capture(t *testing.T, prepared *wasmbin.Prepared, how mode) (*snapshot.Image, snapshot.State) {
	t.Helper()
	size := uint64(0)
	if prepared.Memory {
		size = prepared.MinPages * page
	}
	data := make(contents, size)
	for _, d := range prepared.Data {
		copy(data[d.Offset:], d.Bytes)
	}
	in := p.instance(t, prepared, how.image(t, data), how)
	defer in.close()
	if prepared.Start {
		in.call(wasmbin.StartName)
	}
	data = make(contents, in.Memory.Size())
	s, err := in.Capture(data)
	require.NoError(t, err)
	require.NoError(t, s.Validate(uint64(len(data)), prepared.Globals))
	return how.image(t, data), s
}

// instance makes an instance of the rewritten module over an image.
func (p *replay) instance(t *testing.T, prepared *wasmbin.Prepared, image *snapshot.Image, how mode) *instance {
	t.Helper()
	c := snapshot.Config{Image: image, Limit: 1<<32 - page, Max: prepared.MaxPages * page, Pages: how.pages}
	if prepared.MaxPages == 0 {
		c.Limit = 0
	}
	mem := snapshot.NewMemory(c)
	wasm, err := wasmbin.Instrument(prepared.Bytes, p.metering)
	require.NoError(t, err)
	compiled, err := p.r.CompileModule(t.Context(), wasm)
	require.NoError(t, err)
	mod, err := p.r.InstantiateModule(experimental.WithMemoryAllocator(t.Context(), mem), compiled, p.config)
	require.NoError(t, err)
	in, err := snapshot.NewInstance(mod, mem, prepared.Globals)
	require.NoError(t, err)
	return &instance{in, t}
}
