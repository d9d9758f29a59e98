// Package rewrite makes the forms in which workers get a module, and keeps them for as
// long as the module is held: making one takes a tenth of a second for a module of some
// MB, and each executor needs it.
package rewrite

import (
	"crypto/sha256"
	"errors"
	"runtime"
	"sync"
	"weak"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// A Form is a module as workers get it. It never changes.
type Form struct {
	// Bytes is the rewritten module, Sum its SHA-256.
	Bytes []byte
	Sum   [sha256.Size]byte
	// Prepared says how instances are restored; its own Bytes are left out. It is nil if
	// they cannot be, for the reason Unfit, and if they need not be.
	Prepared *wasmbin.Prepared
	Unfit    string
	// KillOnly is why its code cannot be ended, though the mode asks for that.
	KillOnly string
}

// Forms are those of one module. They are safe for concurrent use.
type Forms struct {
	data []byte

	mu   sync.Mutex // guards made; not held while a form is
	made map[want]func() (*Form, error)
}

// A want is one of the few forms that there are.
type want struct {
	mode       wasmbin.Mode
	restorable bool
}

// held has the Forms that somebody holds, as weak pointers, by the module's SHA-256.
var held sync.Map

// Of returns the forms of the module with that SHA-256: the same ones to all who ask as
// long as one of them holds what it got. data, which nobody may change, is asked for
// if nobody does.
func Of(sum [sha256.Size]byte, data func() []byte) *Forms {
	for {
		if entry, ok := held.Load(sum); ok {
			if pointer, ok := entry.(weak.Pointer[Forms]); ok {
				if f := pointer.Value(); f != nil {
					return f
				}
			}
			held.CompareAndDelete(sum, entry) // its cleanup has not run yet
		}
		f := &Forms{data: data(), made: make(map[want]func() (*Form, error))}
		pointer := weak.Make(f)
		if _, taken := held.LoadOrStore(sum, pointer); !taken {
			runtime.AddCleanup(f, func(sum [sha256.Size]byte) { held.CompareAndDelete(sum, pointer) }, sum)
			return f
		}
	}
}

// Module returns the module itself, which nobody may change.
func (f *Forms) Module() []byte { return f.data }

// Form returns a form, made at the first call. restorable is whether instances are to be
// brought back into an earlier state, where they can be.
//
// The error is an [*wasmbin.Error] for what is no module, and an [*wasmbin.UnfitError] for
// one that cannot count fuel, if it is to. Code that cannot be ended otherwise is left
// as it is: see Form.KillOnly.
func (f *Forms) Form(mode wasmbin.Mode, restorable bool) (*Form, error) {
	f.mu.Lock()
	key := want{mode, restorable}
	once, ok := f.made[key]
	if !ok {
		data := f.data
		once = sync.OnceValues(func() (*Form, error) { return rewritten(data, key) })
		f.made[key] = once
	}
	f.mu.Unlock()
	return once()
}

func rewritten(data []byte, w want) (*Form, error) {
	f := new(Form)
	if w.restorable {
		prepared, err := wasmbin.Prepare(data)
		unfit, ok := errors.AsType[*wasmbin.UnfitError](err)
		switch {
		case ok:
			f.Unfit = unfit.Reason
		case err != nil:
			return nil, err
		default:
			data, prepared.Bytes = prepared.Bytes, nil
			f.Prepared = prepared
		}
	}
	wasm, err := wasmbin.Instrument(data, w.mode)
	if unfit, ok := errors.AsType[*wasmbin.UnfitError](err); ok && w.mode != wasmbin.Fuel {
		f.KillOnly = unfit.Reason
		wasm, err = wasmbin.Instrument(data, wasmbin.Plain)
	}
	if err != nil {
		return nil, err
	}
	f.Bytes, f.Sum = wasm, sha256.Sum256(wasm)
	return f, nil
}
