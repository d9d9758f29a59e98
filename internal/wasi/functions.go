package wasi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// A function is one of WASI's: its parameters are p, its result an errno.
type function func(s *System, m memory, p []uint64) errno

// functions are those that do something; every other one of [guestabi.Imports]
// answers ENOSYS.
var functions = map[string]function{
	"args_get":          func(s *System, m memory, p []uint64) errno { return getValues(s.Args, m, p) },
	"args_sizes_get":    func(s *System, m memory, p []uint64) errno { return getSizes(s.Args, m, p) },
	"environ_get":       func(s *System, m memory, p []uint64) errno { return getValues(s.Env, m, p) },
	"environ_sizes_get": func(s *System, m memory, p []uint64) errno { return getSizes(s.Env, m, p) },

	"clock_res_get":  clockResGet,
	"clock_time_get": clockTimeGet,
	"random_get":     randomGet,
	"poll_oneoff":    pollOneoff,
	"sched_yield":    func(*System, memory, []uint64) errno { return errnoSuccess },

	"fd_close":            fdClose,
	"fd_fdstat_get":       fdFdstatGet,
	"fd_fdstat_set_flags": fdFdstatSetFlags,
	"fd_filestat_get":     fdFilestatGet,
	"fd_read":             fdRead,
	"fd_renumber":         fdRenumber,
	"fd_write":            fdWrite,

	"fd_datasync":           onStream(errnoSuccess), // what was written is with the host
	"fd_sync":               onStream(errnoSuccess),
	"fd_pread":              onStream(errnoSpipe),
	"fd_pwrite":             onStream(errnoSpipe),
	"fd_seek":               onStream(errnoSpipe),
	"fd_tell":               onStream(errnoSpipe),
	"fd_advise":             onStream(errnoNosys),
	"fd_allocate":           onStream(errnoNosys),
	"fd_fdstat_set_rights":  onStream(errnoNosys),
	"fd_filestat_set_size":  onStream(errnoNosys),
	"fd_filestat_set_times": onStream(errnoNosys),
	"fd_readdir":            onStream(errnoNosys),

	// No directory is open from the start, whatever the file descriptor.
	"fd_prestat_dir_name": noDirectory,
	"fd_prestat_get":      noDirectory,
}

// Instantiate gives r the module wasi_snapshot_preview1. current is asked at each
// call of a function for the System of the instance that calls; it must return one.
func Instantiate(ctx context.Context, r wazero.Runtime, current func() *System) error {
	return InstantiateFiles(ctx, r, current, nil)
}

// InstantiateFiles is [Instantiate] where instances may have files: those with
// [System.Files] get the functions of others for the file descriptors that are no
// standard streams, and for paths.
func InstantiateFiles(ctx context.Context, r wazero.Runtime, current func() *System, others map[string]api.GoModuleFunction) error {
	b := r.NewHostModuleBuilder(guestabi.WASI)
	imports := guestabi.Imports[guestabi.WASI]
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		params, results, err := parseType(imports[name])
		if err != nil {
			return fmt.Errorf("type of %s: %w", name, err)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(withFiles(name, hostFunction(name, current), others[name], current), params, results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// hostFunction returns the engine's form of a function.
func hostFunction(name string, current func() *System) api.GoModuleFunc {
	f := functions[name]
	switch {
	case name == "proc_exit":
		return procExit
	case f == nil:
		return func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = uint64(errnoNosys) }
	default:
		return func(_ context.Context, m api.Module, stack []uint64) {
			stack[0] = uint64(f(current(), memoryOf(m), stack))
		}
	}
}

// withFiles returns a function that hands what is about files to another one.
func withFiles(name string, own api.GoModuleFunc, other api.GoModuleFunction, current func() *System) api.GoModuleFunc {
	path := strings.HasPrefix(name, "path_")
	if other == nil || !path && !strings.HasPrefix(name, "fd_") {
		return own
	}
	renumber := name == "fd_renumber"
	return func(ctx context.Context, m api.Module, stack []uint64) {
		s := current()
		stream := !path && (uint32(stack[0]) < streams || renumber && uint32(stack[1]) < streams)
		if s.Files == nil || stream {
			own(ctx, m, stack)
			return
		}
		other.Call(ctx, m, stack)
		stack[0] = uint64(s.Files(uint32(stack[0])))
	}
}

// procExit is proc_exit(code). The module is not closed: whoever called it learns of
// the exit by an error, and can put the instance back to what it was.
func procExit(_ context.Context, _ api.Module, stack []uint64) {
	panic(sys.NewExitError(api.DecodeU32(stack[0])))
}

// parseType reads a type like "(i32, i64) -> (i32)".
func parseType(s string) (params, results []api.ValueType, err error) {
	from, to, ok := strings.Cut(s, " -> ")
	if !ok {
		return nil, nil, fmt.Errorf("%q has no results", s)
	}
	if params, err = parseTypes(from); err != nil {
		return nil, nil, err
	}
	results, err = parseTypes(to)
	return params, results, err
}

func parseTypes(list string) ([]api.ValueType, error) {
	var types []api.ValueType
	for name := range strings.FieldsFuncSeq(list, func(c rune) bool { return strings.ContainsRune("(), ", c) }) {
		switch name {
		case "i32":
			types = append(types, api.ValueTypeI32)
		case "i64":
			types = append(types, api.ValueTypeI64)
		default:
			return nil, fmt.Errorf("unknown type %q", name)
		}
	}
	return types, nil
}
