package wasmworker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

// measureMemory measures what live clones occupy, and instances of wazero by itself.
func measureMemory(b *testing.B, r *startReport, cases []startCase) {
	b.Helper()
	if _, ok := benchtest.Resident(); !ok {
		r.Notices = append(r.Notices, "no figures for memory: this system does not tell what a process occupies")
		return
	}
	server, err := wasmworker.NewStartBench()
	require.NoError(b, err)
	defer func() { require.NoError(b, server.Close()) }()
	for _, guest := range cases {
		m := &startMemory{Guest: guest.name}
		slot, err := server.Load(guest.wasm, "echo", startmethod.Snapshot)
		require.NoError(b, err, guest.name)
		require.NoError(b, m.clones(server, slot), guest.name)
		require.NoError(b, m.instances(b.Context(), guest.wasm), guest.name)
		r.Memory = append(r.Memory, m)
	}
}

// clones measures clones before and after a call.
func (m *startMemory) clones(server *wasmworker.StartBench, slot uint32) error {
	first, err := server.NewClones(slot, 1) // what there is once
	if err != nil {
		return err
	}
	defer func() { _ = first.Close() }()
	if err := first.Call(startInput); err != nil {
		return err
	}
	before, _ := benchtest.Resident()
	all, err := server.NewClones(slot, *startClones)
	if err != nil {
		return err
	}
	defer func() { _ = all.Close() }()
	after, _ := benchtest.Resident()
	m.Clones = *startClones
	m.New = after.Sub(before).Per(m.Clones)
	if err := all.Call(startInput); err != nil {
		return err
	}
	after, _ = benchtest.Resident()
	m.Used = after.Sub(before).Per(m.Clones)
	return nil
}

// instances measures initialised instances of wazero by itself after a call, fewer
// of large ones.
func (m *startMemory) instances(ctx context.Context, wasm []byte) error {
	raw, err := benchtest.NewRaw(ctx, wasm)
	if err != nil {
		return err
	}
	defer raw.Close(context.Background())
	one := func(keep *[]api.Module) error {
		inst, err := raw.Instantiate(ctx)
		if err == nil {
			*keep = append(*keep, inst)
			err = raw.CallIn(ctx, inst, startInput)
		}
		return err
	}
	var all []api.Module
	if err := one(&all); err != nil {
		return err
	}
	before, _ := benchtest.Resident()
	m.Instances = 1
	if err := one(&all); err != nil {
		return err
	}
	after, _ := benchtest.Resident()
	size := max(1, after.Sub(before).Rss)
	for m.Instances < startRawClones && size*int64(m.Instances+1) < startRawAtMost && err == nil {
		err = one(&all)
		m.Instances++
	}
	after, _ = benchtest.Resident()
	m.Raw = after.Sub(before).Per(m.Instances)
	for _, inst := range all {
		err = errors.Join(err, inst.Close(ctx))
	}
	return err
}
