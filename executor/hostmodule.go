package executor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// A HostModule is a set of functions that the host lends to guests, by name. It
// is constant and may be shared by executors. A guest calls one with the import
// host_call of guest/ABI.md, or guest.CallHost in Go, if its Func's Grants name it.
type HostModule struct {
	functions map[string]HostFunction
}

// A HostFunction is one function of a HostModule; HostFunc makes it.
type HostFunction struct {
	name string
	call func(ctx context.Context, input []byte) ([]byte, error)
}

// HostFunc returns a host function from bytes to bytes.
//
// It runs on a goroutine of its own in the host while the guest waits, and several
// guests may call it at once. The input is its own to keep and as long as the
// call's Limits.Output allows; the output must fit Limits.Input. An error reaches the guest
// as its text, and so does a panic, which is logged to Options.Logger.
//
// ctx ends with the guest's call, whatever ends that; a function that goes on
// all the same is not waited for, not even by Close. A call that the function submits with ctx, to the
// same executor or another, is nested: it inherits the tenant in the same executor,
// goes first, ends when its caller does, and the caller's worker does not count
// against Options.Workers while there is such a call. See Options.MaxDepth.
func HostFunc(name string, fn func(ctx context.Context, input []byte) ([]byte, error)) HostFunction {
	return HostFunction{name: name, call: fn}
}

// NewHostModule returns a module of functions. Names must be different and valid
// as those of guest functions are (see guest/ABI.md).
func NewHostModule(functions ...HostFunction) (*HostModule, error) {
	m := &HostModule{functions: make(map[string]HostFunction, len(functions))}
	for _, f := range functions {
		if err := guestabi.CheckName(f.name); err != nil {
			return nil, &OptionError{"HostFunc", err.Error()}
		}
		if f.call == nil {
			return nil, &OptionError{"HostFunc", fmt.Sprintf("function %s is nil", f.name)}
		}
		if _, ok := m.functions[f.name]; ok {
			return nil, &OptionError{"HostFunc", "two functions are named " + f.name}
		}
		m.functions[f.name] = f
	}
	return m, nil
}

// Names lists the functions in alphabetical order.
func (m *HostModule) Names() []string {
	if m == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m.functions))
}
