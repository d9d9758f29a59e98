package wasmbin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// refuse scans what must be refused and returns the error.
func refuse(t *testing.T, b []byte) *wasmbin.Error {
	t.Helper()
	m, err := wasmbin.Scan(b)
	require.Nil(t, m)
	e, ok := errors.AsType[*wasmbin.Error](err)
	require.True(t, ok, "error of Scan: %v", err)
	require.NotEmpty(t, e.Reason)
	require.GreaterOrEqual(t, e.Offset, 0)
	require.LessOrEqual(t, e.Offset, len(b))
	return e
}

func TestScan_everything(t *testing.T) {
	t.Parallel()
	m, err := wasmbin.Scan(everything())
	require.NoError(t, err)

	add := &m.Types[0]
	require.Equal(t, "(i32, i32) -> (i32)", add.String())
	require.Equal(t, "() -> ()", m.Types[1].String())
	require.Equal(t, "(i64) -> (v128, externref)", m.Types[2].String())
	require.Equal(t, []wasmbin.Import{
		{Module: "env", Name: "log", Kind: wasmbin.KindFunc, Func: &m.Types[2]},
		{Module: "env", Name: "table", Kind: wasmbin.KindTable},
		{Module: "env", Name: "memory", Kind: wasmbin.KindMemory},
		{Module: "env", Name: "global", Kind: wasmbin.KindGlobal},
		{Module: "env", Name: "tag", Kind: wasmbin.KindTag},
	}, m.Imports)
	require.Equal(t, []wasmbin.Export{
		{Name: "add", Kind: wasmbin.KindFunc, Index: 1, Func: add},
		{Name: "log", Kind: wasmbin.KindFunc, Index: 0, Func: &m.Types[2]},
		{Name: "", Kind: wasmbin.KindTable, Index: 1},
		{Name: "memory", Kind: wasmbin.KindMemory, Index: 0},
		{Name: "counter", Kind: wasmbin.KindGlobal, Index: 1},
		{Name: "failure", Kind: wasmbin.KindTag, Index: 1},
	}, m.Exports)
	require.Same(t, &m.Exports[0], m.Export("add"))
	require.Nil(t, m.Export("no such export"))
	require.Equal(t, &wasmbin.Memory{Min: 1, Max: 16, HasMax: true, Imported: true, Shared: true}, m.Memory)
	require.Equal(t, []wasmbin.Table{
		{Type: wasmbin.FuncRef, Min: 1, Max: 8, HasMax: true, Imported: true},
		{Type: wasmbin.ExternRef, Min: 3},
	}, m.Tables)
	require.Equal(t, "mine", m.Name)
	require.Equal(t, []string{"before", "name"}, m.CustomSections)
	require.Equal(t, []int{2, 2, 2, 2, 2}, []int{m.Functions, m.Globals, m.Tags, m.DataSegments, m.ElementSegments})
	require.True(t, m.HasStart)
	require.EqualValues(t, 2, m.Start)
	require.Positive(t, m.CodeSize)
	require.Equal(t, []string{
		wasmbin.FeatureExceptions, wasmbin.FeatureExtendedConst, wasmbin.FeatureThreads,
	}, m.Features)
}

func TestScan_empty(t *testing.T) {
	t.Parallel()
	m, err := wasmbin.Scan([]byte(preamble))
	require.NoError(t, err)
	require.Equal(t, &wasmbin.Module{}, m)
}

// TestScan_doesNotAlias changes the bytes after the scan.
func TestScan_doesNotAlias(t *testing.T) {
	t.Parallel()
	b := everything()
	want, err := wasmbin.Scan(everything())
	require.NoError(t, err)
	got, err := wasmbin.Scan(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, want, got)
}

func TestScan_truncated(t *testing.T) {
	t.Parallel()
	b := everything()
	ends := boundaries(b)
	for n := range b {
		m, err := wasmbin.Scan(b[:n])
		if slices.Contains(ends, n) {
			// A whole number of sections: valid unless the rest was announced
			// (functions without code, for one).
			require.True(t, (m == nil) != (err == nil))
			continue
		}
		e := refuse(t, b[:n])
		if n > 0 {
			require.Equal(t, wasmbin.Truncated, e.Kind, "at %d: %v", n, e)
		}
	}
}

// TestScan_flipped changes every byte to a few others: any answer will do.
func TestScan_flipped(t *testing.T) {
	t.Parallel()
	b := everything()
	for i := range b {
		for _, c := range []byte{0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xff, b[i] ^ 1, b[i] + 1} {
			old := b[i]
			b[i] = c
			m, err := wasmbin.Scan(b)
			require.True(t, (m == nil) != (err == nil))
			b[i] = old
		}
	}
}

func TestScan_features(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		module  []byte
		feature []string
	}{
		"none":               {oneFunc(raw(0xfd, 0x80, 1, 0xfc, 0x0b, 0)), nil},
		"threads":            {oneFunc(raw(0xfe, 3, 0)), []string{wasmbin.FeatureThreads}},
		"tail call":          {oneFunc(raw(0x12, 0)), []string{wasmbin.FeatureTailCall}},
		"throw":              {oneFunc(raw(0x08, 0)), []string{wasmbin.FeatureExceptions}},
		"try table":          {oneFunc(raw(0x1f, 0x40, 2, 0, 0, 0, 2, 0, 0x0b)), []string{wasmbin.FeatureExceptions}},
		"exnref":             {module(sec(types, vec(raw(0x60, 1, 0x69, 0)))), []string{wasmbin.FeatureExceptions}},
		"call_ref":           {oneFunc(raw(0x14, 0)), []string{wasmbin.FeatureTypedRefs}},
		"return_call_ref":    {oneFunc(raw(0x15, 0)), []string{wasmbin.FeatureTailCall, wasmbin.FeatureTypedRefs}},
		"typed local":        {oneFuncLocals(raw(1, 0x63, 0)), []string{wasmbin.FeatureTypedRefs}},
		"table with a value": {module(sec(tables, vec(raw(0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b)))), []string{wasmbin.FeatureTypedRefs}},
		"recursive types":    {module(sec(types, vec(raw(0x4e, 1, 0x60, 1, 0x63, 0, 0)))), []string{wasmbin.FeatureTypedRefs}},
		"extended constant":  {module(sec(globals, vec(raw(0x7f, 0, 0x41, 1, 0x41, 2, 0x6b, 0x0b)))), []string{wasmbin.FeatureExtendedConst}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := wasmbin.Scan(test.module)
			require.NoError(t, err)
			require.Equal(t, test.feature, m.Features)
		})
	}
}

func TestScan_header(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bytes  string
		kind   wasmbin.Kind
		reason string
	}{
		"empty":          {"", wasmbin.NotWasm, "empty"},
		"text":           {"(module (func))", wasmbin.NotWasm, "text"},
		"something else": {"\x7fELF\x02\x01\x01\x00\x00", wasmbin.NotWasm, "does not start"},
		"cut magic":      {"\x00as", wasmbin.Truncated, "header"},
		"cut version":    {"\x00asm\x01\x00", wasmbin.Truncated, "header"},
		"component":      {"\x00asm\x0d\x00\x01\x00\x00", wasmbin.NotWasm, "component"},
		"version 2":      {"\x00asm\x02\x00\x00\x00", wasmbin.NotWasm, "version"},
		"cut section":    {preamble + "\x01", wasmbin.Truncated, "section header"},
		"unknown":        {preamble + "\x0e\x00", wasmbin.Malformed, "unknown section number 14"},
		"over the end":   {preamble + "\x01\x05\x00", wasmbin.Truncated, "5 bytes announced"},
		"long size":      {preamble + "\x01\x80\x80\x80\x80\x10", wasmbin.Malformed, "32 bits"},
		"size 6 bytes":   {preamble + "\x01\x80\x80\x80\x80\x80\x00", wasmbin.Malformed, "32 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := refuse(t, []byte(test.bytes))
			require.Equal(t, test.kind, e.Kind, e)
			require.Contains(t, e.Reason, test.reason)
		})
	}
}

// A fault is a malformed module and a part of the reason to refuse it.
type fault struct {
	module []byte
	reason string
}

// malformedSections has a fault in a section other than code.
var malformedSections = map[string]fault{
	"twice the same section": {module(noType, noType), "second type section"},
	"wrong order":            {module(sec(memories, vec(raw(0, 1))), noType), "type section too late"},
	"tag after global":       {module(noType, sec(globals, vec()), sec(tags, vec())), "tag section too late"},
	"data count after code":  {module(sec(code, vec()), sec(dataCount, u(0))), "too late"},
	"left over":              {module(sec(types, vec(), raw(0))), "1 bytes left over"},
	"functions without code": {module(noType, sec(functions, vec(u(0)))), "1 functions declared and 0 defined"},
	"code without functions": {module(sec(code, vec(fn()))), "0 functions declared and 1 defined"},
	"data count":             {module(sec(dataCount, u(1)), sec(data, vec())), "1 data segments announced"},
	"type form":              {module(sec(types, vec(raw(0x5f, 0, 0)))), "type form 0x5f"},
	"value type":             {module(sec(types, vec(raw(0x60, 1, 0x6e, 0)))), "unknown value type 0x6e"},
	"type refers to itself":  {module(sec(types, vec(raw(0x60, 1, 0x63, 0, 0)))), "type index 0 out of range"},
	"import kind":            {module(sec(imports, vec(raw(0, 0, 9, 0)))), "unknown import kind 0x9"},
	"import type":            {module(sec(imports, vec(raw(0, 0, 0, 0)))), "type index 0 out of range"},
	"function type":          {module(noType, sec(functions, vec(u(1)))), "type index 1 out of range"},
	"number table":           {module(sec(tables, vec(raw(0x7f, 0, 1)))), "i32 where a reference type must be"},
	"shared table":           {module(sec(tables, vec(raw(0x70, 3, 1, 1)))), "shared table"},
	"minimum over maximum":   {module(sec(memories, vec(raw(1, 2, 1)))), "minimum 2 above maximum 1"},
	"memory of 5 GiB":        {module(sec(memories, vec(cat(raw(0), u(81920))))), "81920 pages"},
	"shared without maximum": {module(sec(memories, vec(raw(2, 1)))), "without a maximum"},
	"64-bit memory":          {module(sec(memories, vec(raw(4, 1)))), "64-bit"},
	"two memories":           {module(sec(memories, vec(raw(0, 1), raw(0, 1)))), "more than one memory"},
	"mutability":             {module(sec(globals, vec(raw(0x7f, 2, 0x41, 0, 0x0b)))), "mutability 0x2"},
	"export kind":            {module(sec(exports, vec(cat(str("a"), raw(7, 0))))), "unknown export kind 0x7"},
	"export function":        {module(sec(exports, vec(cat(str("a"), raw(0, 0))))), "function index 0 out of range"},
	"export table":           {module(sec(exports, vec(cat(str("a"), raw(1, 0))))), "table index 0 out of range"},
	"export memory":          {module(sec(exports, vec(cat(str("a"), raw(2, 0))))), "memory index 0 out of range"},
	"export global":          {module(sec(exports, vec(cat(str("a"), raw(3, 0))))), "global index 0 out of range"},
	"export tag":             {module(sec(exports, vec(cat(str("a"), raw(4, 0))))), "tag index 0 out of range"},
	"export twice": {module(sec(memories, vec(raw(0, 1))), sec(exports, vec(
		cat(str("a"), raw(2, 0)), cat(str("a"), raw(2, 0))))), `second export named "a"`},
	"export no UTF-8":  {module(sec(exports, vec(cat(str("\xff"), raw(2, 0))))), "not valid UTF-8"},
	"custom no UTF-8":  {module(sec(custom, str("\xc0\x80"))), "not valid UTF-8"},
	"custom no name":   {module(sec(custom)), "unexpected end"},
	"start":            {module(sec(start, u(0))), "function index 0 out of range"},
	"element mode":     {module(sec(elements, vec(raw(8, 0, 0)))), "element segment mode 8"},
	"element kind":     {module(sec(elements, vec(raw(1, 1, 0)))), "must be zero"},
	"element function": {module(sec(elements, vec(raw(1, 0, 1, 0)))), "function index 0 out of range"},
	"element ref.func": {module(sec(elements, vec(raw(5, 0x70, 1, 0xd2, 0, 0x0b)))), "function index 0 out of range"},
	"data mode":        {module(sec(data, vec(raw(3, 0)))), "data segment mode 3"},
	"data memory":      {module(sec(data, vec(raw(2, 1, 0x41, 0, 0x0b, 0)))), "memory index 1"},
	"data too long":    {module(sec(data, vec(raw(1, 5, 0)))), "unexpected end"},
	"constant call":    {module(sec(globals, vec(raw(0x7f, 0, 0x10, 0, 0x0b)))), "opcode 0x10 in a constant"},
	"constant no end":  {module(sec(globals, vec(raw(0x7f, 0, 0x41, 0)))), "unexpected end"},
	"second names":     {module(sec(custom, str("name")), sec(custom, str("name"))), "second name section"},
	"name left over":   {module(sec(custom, str("name"), sec(0, str("a"), raw(0)))), "left over"},
	"name subsection":  {module(sec(custom, str("name"), raw(1, 9, 0))), "9 bytes announced"},
}

// malformedCode has a fault in a function.
var malformedCode = map[string]fault{
	"no end":           {module(noType, sec(functions, vec(u(0))), sec(code, vec(raw(2, 0, 1)))), "unexpected end"},
	"two ends":         {oneFunc(raw(0x0b)), "after the end of a function"},
	"open block":       {oneFunc(raw(0x02, 0x40)), "unexpected end"},
	"else without if":  {oneFunc(raw(0x05)), "else without if"},
	"two elses":        {oneFunc(raw(0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b)), "else without if"},
	"block type":       {oneFunc(raw(0x02, 0x41, 0x0b)), "unknown value type 0x41"},
	"block type index": {oneFunc(raw(0x02, 1, 0x0b)), "type index 1 out of range"},
	"unknown opcode":   {oneFunc(raw(0x27)), "unknown opcode 0x27"},
	"legacy try":       {oneFunc(raw(0x06, 0x40, 0x0b)), "unknown opcode 0x6"},
	"unknown misc":     {oneFunc(raw(0xfc, 0x12)), "unknown opcode 0xfc12"},
	"unknown vector":   {oneFunc(raw(0xfd, 0x9a, 1)), "unknown opcode 0xfd9a"},
	"unknown atomic":   {oneFunc(raw(0xfe, 4)), "unknown opcode 0xfe04"},
	"huge opcode":      {oneFunc(raw(0xfc, 0xff, 0xff, 0x03)), "unknown opcode 0xfc 0xffff"},
	"relaxed SIMD":     {oneFunc(raw(0xfd, 0x80, 2)), "relaxed SIMD"},
	"long vector":      {oneFunc(raw(0xfd, 0x8d, 0)), "shortest form"},
	"long atomic":      {oneFunc(raw(0xfe, 0x83, 0, 0)), "shortest form"},
	"fence":            {oneFunc(raw(0xfe, 3, 1)), "must be zero"},
	"memory index":     {oneFunc(raw(0x3f, 1)), "must be zero"},
	"memory alignment": {oneFunc(raw(0x28, 0x40, 0)), "alignment 2^64"},
	"catch clause":     {oneFunc(raw(0x1f, 0x40, 1, 4, 0, 0x0b)), "catch clause 0x4"},
	"select of two":    {oneFunc(raw(0x1c, 2, 0x7f, 0x7f)), "select with 2 types"},
	"heap type":        {oneFunc(raw(0xd0, 0x6e)), "unknown heap type -18"},
	"i32 too long":     {oneFunc(raw(0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0)), "32 bits in 5"},
	"i32 too large":    {oneFunc(raw(0x41, 0xff, 0xff, 0xff, 0xff, 0x0f)), "32 bits in 5"},
	"i64 too large":    {oneFunc(cat(raw(0x42), times(9, 0xff), raw(0x01))), "64 bits in 10"},
	"label too large":  {oneFunc(raw(0x0c, 0xff, 0xff, 0xff, 0xff, 0x1f)), "32 bits in 5"},
}

func TestScan_malformed(t *testing.T) {
	t.Parallel()
	for _, table := range []map[string]fault{malformedSections, malformedCode} {
		for name, test := range table {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e := refuse(t, test.module)
				require.Equal(t, wasmbin.Malformed, e.Kind, e)
				require.Contains(t, e.Reason, test.reason)
				require.Contains(t, e.Error(), "malformed module")
			})
		}
	}
}

// TestScan_longNames takes names that are long but used.
func TestScan_longNames(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("é ", wasmbin.MaxNameSize/3)
	m, err := wasmbin.Scan(module(sec(memories, vec(raw(0, 1))), sec(exports, vec(cat(str(name), raw(2, 0))))))
	require.NoError(t, err)
	require.NotNil(t, m.Export(name))
}
