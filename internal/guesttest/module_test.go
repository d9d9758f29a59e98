package guesttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// Every section and every instruction once, checked by a real decoder.
func TestModule(t *testing.T) {
	t.Parallel()
	const i32, i64 = guesttest.I32, guesttest.I64
	m := new(guesttest.Module)
	unary := guesttest.Sig([]guesttest.ValueType{i32}, i32)
	yield := m.Import("wasi_snapshot_preview1", "sched_yield", guesttest.Sig(nil, i32))
	m.Memory(1, guesttest.NoMax)
	m.Data(64, []byte{1, 2, 3, 4})
	counter := m.Global(i32, -100_000)
	wide := m.Global(i64, -1<<40)
	table := m.Table(2, 2)
	double := m.Func(unary, nil, new(guesttest.Code).Get(0).I32(2).Mul())
	negate := m.Func(unary, []guesttest.ValueType{i32}, new(guesttest.Code).I32(0).Get(0).Sub().Tee(1))
	m.Elements(0, double, negate)

	load := m.Func(unary, nil, new(guesttest.Code).Get(0).Load(0))
	pick := m.Func(guesttest.Sig([]guesttest.ValueType{i32, i32}, i32), nil,
		new(guesttest.Code).Get(0).Get(1).CallIndirect(m, unary))
	bump := m.Func(guesttest.Sig(nil, i32), nil,
		new(guesttest.Code).GlobalGet(counter).I32(1).Add().GlobalSet(counter).GlobalGet(counter))
	misc := m.Func(unary, []guesttest.ValueType{i32}, new(guesttest.Code).
		Call(yield).Drop().
		Get(0).Eqz().If().I32(8).I32(200).Store8(0).Else().I32(8).I32(100).Store8(0).End().
		I32(8).Load8(0).Set(1).
		Get(1).I32(150).LtU().If().I32(7).Return().End().
		Get(1).I32(0xf0).And().I32(200).Ne().I32(-1).I32(31).ShrU().And())
	first := m.Func(unary, nil, new(guesttest.Code).I64(-1).Drop().Get(0).Call(double))
	m.Start(m.Func(guesttest.Sig(nil), nil, new(guesttest.Code).I32(64).I32(-2).Store(4)))
	for name, f := range map[string]uint32{"load": load, "pick": pick, "bump": bump, "misc": misc, "first": first} {
		m.Export(name, f)
	}
	m.ExportGlobal("wide", wide)
	m.ExportTable("table", table)
	m.Custom("note", []byte("content"))

	instance, err := newRuntime(t).Instantiate(t.Context(), m.Bytes())
	require.NoError(t, err)
	for _, test := range []struct {
		name string
		args []uint64
		want int32
	}{
		{"load", []uint64{64}, 0x04030201},
		{"load", []uint64{68}, -2},
		{"pick", []uint64{21, 0}, 42},
		{"pick", []uint64{21, 1}, -21},
		{"bump", nil, -99_999},
		{"bump", nil, -99_998},
		{"misc", []uint64{0}, 1},
		{"misc", []uint64{1}, 7},
		{"first", []uint64{4}, 8},
	} {
		results, err := instance.ExportedFunction(test.name).Call(t.Context(), test.args...)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, api.DecodeI32(results[0]), test.name)
	}
	require.EqualValues(t, -1<<40, int64(instance.ExportedGlobal("wide").Get()))
	require.Equal(t, guesttest.Header(), new(guesttest.Module).Bytes())
}

func TestModule_importAfterFunc(t *testing.T) {
	t.Parallel()
	m := new(guesttest.Module)
	m.Func(guesttest.Sig(nil), nil, new(guesttest.Code))
	require.Panics(t, func() { m.Import("env", "f", guesttest.Sig(nil)) })
}
