package wasmbin_test

import (
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// claim is a section that announces n elements and holds a few bytes.
func claim(id byte, n uint64, rest ...byte) []byte { return module(sec(id, u(n), rest)) }

// nested is n blocks, each inside the one before.
func nested(op byte, n int) []byte {
	condition := raw()
	if op == 0x04 {
		condition = raw(0x41, 0)
	}
	return oneFunc(times(n, cat(condition, raw(op, 0x40))...), times(n, 0x0b))
}

// A bomb is a module that would kill or occupy whoever decodes or compiles it,
// with the kind of refusal it must meet.
type bomb struct {
	module []byte
	kind   wasmbin.Kind
}

// Counts that bombs claim.
const all, some = 1<<32 - 1, 64 << 20

// claims are bombs for the decoder: a few bytes that announce far more.
var claims = map[string]bomb{
	"code_claim_4g":     {claim(code, all, 0), wasmbin.Malformed},
	"code_claim_64m":    {claim(code, some, 0), wasmbin.Malformed},
	"data_claim_4g":     {claim(data, all, 0), wasmbin.Malformed},
	"data_count_4g":     {claim(dataCount, all), wasmbin.Limit},
	"data_segment_4g":   {module(sec(data, vec(cat(raw(1), u(all))))), wasmbin.Malformed},
	"elem_claim_4g":     {claim(elements, all, 0), wasmbin.Malformed},
	"elem_entries_4g":   {module(sec(elements, vec(cat(raw(1, 0), u(all))))), wasmbin.Malformed},
	"elem_exprs_4g":     {module(sec(elements, vec(cat(raw(5, 0x70), u(all))))), wasmbin.Malformed},
	"export_claim_4g":   {claim(exports, all, 0), wasmbin.Malformed},
	"export_claim_64m":  {claim(exports, some, 0), wasmbin.Malformed},
	"import_claim_4g":   {claim(imports, all, 0), wasmbin.Malformed},
	"import_claim_64m":  {claim(imports, some, 0), wasmbin.Malformed},
	"global_claim_4g":   {claim(globals, all, 0), wasmbin.Malformed},
	"global_claim_64m":  {claim(globals, some, 0), wasmbin.Malformed},
	"tag_claim_4g":      {claim(tags, all, 0), wasmbin.Malformed},
	"table_claim_4g":    {claim(tables, all, 0), wasmbin.Malformed},
	"memory_claim_4g":   {claim(memories, all, 0), wasmbin.Malformed},
	"types_claim_4g":    {claim(types, all, 0), wasmbin.Malformed},
	"funcs_claim_4g":    {claim(functions, all, 0), wasmbin.Malformed},
	"params_claim_4g":   {module(sec(types, vec(cat(raw(0x60), u(all))))), wasmbin.Malformed},
	"rec_group_4g":      {module(sec(types, vec(cat(raw(0x4e), u(all))))), wasmbin.Malformed},
	"name_4g":           {module(sec(exports, vec(cat(u(all), raw(0, 0))))), wasmbin.Malformed},
	"custom_name_4g":    {module(sec(custom, u(all))), wasmbin.Malformed},
	"custom_4g":         {cat([]byte(preamble), raw(0), u(all), str("x")), wasmbin.Truncated},
	"name_functions_4g": {module(sec(custom, str("name"), sec(1, u(all)))), wasmbin.Malformed},
	"name_locals_4g":    {module(sec(custom, str("name"), sec(2, vec(cat(u(0), u(all)))))), wasmbin.Malformed},
	"locals_4294967295": {oneFuncLocals(cat(u(all), raw(0x7e))), wasmbin.Limit},
	"locals_10000000":   {oneFuncLocals(cat(u(10_000_000), raw(0x7e))), wasmbin.Limit},
	"locals_overflow": {oneFuncLocals(cat(u(all), raw(0x7e)), cat(u(all), raw(0x7e)),
		cat(u(2), raw(0x7e))), wasmbin.Limit},
	"body_4g": {module(noType, sec(functions, vec(u(0))),
		sec(code, vec(cat(u(all), raw(0, 0x0b))))), wasmbin.Malformed},
	"br_table_4g": {oneFunc(raw(0x0e), u(all)), wasmbin.Malformed},
	"catches_4g":  {oneFunc(raw(0x1f, 0x40), u(all)), wasmbin.Malformed},
}

// costs are bombs for the compiler, or for what comes after: they hold, or may
// hold, what they announce, but nobody should work on it.
var costs = map[string]bomb{
	"table_huge":          {module(sec(tables, vec(cat(raw(0x70, 0), u(all))))), wasmbin.Limit},
	"table_100m":          {module(sec(tables, vec(cat(raw(0x70, 0), u(100_000_000))))), wasmbin.Limit},
	"tables_of_6m":        {module(sec(tables, u(2), times(2, cat(raw(0x70, 0), u(6_000_000))...))), wasmbin.Limit},
	"br_table_1m":         {oneFunc(raw(0x41, 0, 0x0e), u(1_000_000), times(1_000_001, 0)), wasmbin.Limit},
	"nested_blocks_100k":  {nested(0x02, 100_000), wasmbin.Limit},
	"nested_loops_100k":   {nested(0x03, 100_000), wasmbin.Limit},
	"nested_loops_2000":   {nested(0x03, 2_000), wasmbin.Limit},
	"nested_ifs_100k":     {nested(0x04, 100_000), wasmbin.Limit},
	"params_100k":         {module(sec(types, vec(cat(raw(0x60), u(100_000), times(100_000, 0x7f), raw(0))))), wasmbin.Limit},
	"results_100k":        {module(sec(types, vec(cat(raw(0x60, 0), u(100_000), times(100_000, 0x7f))))), wasmbin.Limit},
	"body_8m":             {oneFunc(times(8_000_000, 0x01)), wasmbin.Limit},
	"locals_in_total":     {manyLocals(), wasmbin.Limit},
	"export_name_over":    {module(sec(exports, vec(cat(str(strings.Repeat("x", wasmbin.MaxNameSize+1)), raw(0, 0))))), wasmbin.Limit},
	"custom_sections_20k": {module(times(20_000, sec(custom, str(""))...)), wasmbin.Limit},
	"types_over":          {module(sec(types, u(1_000_001), times(1_000_001, 0x60, 0, 0))), wasmbin.Limit},
	"groups_over":         {module(sec(types, u(2), times(2, cat(raw(0x4e), u(600_000), times(600_000, 0x60, 0, 0))...))), wasmbin.Limit},
	"data_segments_over":  {module(sec(data, u(1_000_001), times(1_000_001, 1, 0))), wasmbin.Limit},
}

// bombs are all of them.
func bombs() map[string]bomb {
	both := maps.Clone(claims)
	maps.Copy(both, costs)
	return both
}

// manyLocals declares 50 000 locals in each of 300 functions.
func manyLocals() []byte {
	const n = 300
	return module(noType, sec(functions, u(n), times(n, 0)),
		sec(code, u(n), times(n, fnLocals(vec(cat(u(50_000), raw(0x7e))))...)))
}

// allocated measures the bytes that f allocates. Nothing else may run.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestScan_bombs is not parallel: it measures allocation, which is global.
func TestScan_bombs(t *testing.T) {
	for name, bomb := range bombs() {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			bytes := allocated(func() { _, _ = wasmbin.Scan(bomb.module) })
			took := time.Since(began)

			e := refuse(t, bomb.module)
			require.Equal(t, bomb.kind, e.Kind, e)
			t.Logf("%d bytes: %v, %d bytes allocated: %v", len(bomb.module), took, bytes, e)
			require.Less(t, bytes, uint64(16<<10+48*len(bomb.module)))
			// Generous: machines pause. What is caught here takes minutes.
			require.Less(t, took, 2*time.Second)
		})
	}
}

// TestScan_atLimits takes modules just inside what the bombs exceed.
func TestScan_atLimits(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"blocks":   nested(0x02, wasmbin.MaxNesting),
		"loops":    nested(0x03, wasmbin.MaxLoopNesting),
		"params":   module(sec(types, vec(cat(raw(0x60), u(1000), times(1000, 0x7f), raw(0))))),
		"locals":   oneFuncLocals(cat(u(49_999), raw(0x7e)), raw(1, 0x7f)),
		"br_table": oneFunc(raw(0x41, 0, 0x0e), u(65_520), times(65_521, 0)),
		"table":    module(sec(tables, vec(cat(raw(0x70, 0), u(10_000_000))))),
		"memory":   module(sec(memories, vec(cat(raw(1), u(65536), u(65536))))),
		"data":     module(sec(data, u(100_000), times(100_000, 1, 0))),
		"body":     oneFunc(times(wasmbin.MaxFunctionSize-2, 0x01)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wasmbin.Scan(b)
			require.NoError(t, err)
		})
	}
}

// TestScan_greedy bounds what accepted modules of the least bytes for an
// element make Scan allocate. It is not parallel, like the bombs.
func TestScan_greedy(t *testing.T) {
	const n = 100_000
	var named []byte
	for i := range n {
		named = append(named, cat(str(string(u(uint64(i)&0x7f))+string(rune('0'+i>>7))), raw(2, 0))...)
	}
	for name, b := range map[string][]byte{
		"types":   module(sec(types, u(n), times(n, 0x60, 0, 0))),
		"groups":  module(sec(types, u(1), raw(0x4e), u(n), times(n, 0x60, 0, 0))),
		"imports": module(noType, sec(imports, u(n), times(n, 0, 0, 0, 0))),
		"exports": module(sec(memories, vec(raw(0, 1))), sec(exports, u(n), named)),
		"funcs":   module(noType, sec(functions, u(n), times(n, 0)), sec(code, u(n), times(n, 2, 0, 0x0b))),
		"tables":  module(sec(tables, u(n), times(n, 0x70, 0, 0))),
		"customs": module(times(wasmbin.MaxCustomSections, sec(custom, str(""))...)),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			bytes := allocated(func() { _, err = wasmbin.Scan(b) })
			require.NoError(t, err)
			ratio := float64(bytes) / float64(len(b))
			t.Logf("%d bytes, %.1f times as many allocated", len(b), ratio)
			require.Less(t, ratio, 48.0) // 22 measured, twice that with -race
		})
	}
}
