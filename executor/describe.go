package executor

import (
	"context"
	"fmt"

	"github.com/sandpool/sandpool/internal/codecs"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// A Description is what a module says of the functions it registers.
type Description struct {
	SDK       string // what the guest was built with
	Functions []Function
	Host      []Function // host functions that the guest says it calls; it may not know all

	// StartMethod is how the instance that was asked came to be, which is how calls get
	// theirs; Fallback says why it is not Options.StartMethod. See [Usage].
	StartMethod startmethod.Method
	Fallback    string
}

// A Function is one registered function, or a host function that a guest calls. In
// and Out are its types in the guest language's own words, for people; "bytes" stands
// for raw bytes.
type Function struct {
	Name, In, Out string
}

// Describe asks a module for its functions, in a worker: the answer is the
// guest's own. It fails as a call of the module does.
func Describe(ctx context.Context, e *Executor, m *serialize.Module) (Description, error) {
	if m == nil {
		return Description{}, &OptionError{"Describe", "the module is nil"}
	}
	return describe(ctx, e, m, 0)
}

// describe is Describe with a priority.
func describe(ctx context.Context, e *Executor, m *serialize.Module, priority int) (Description, error) {
	x, err := e.current()
	if err != nil {
		return Description{}, err
	}
	o := &x.core.opts
	t := target{module: m, method: o.StartMethod, mode: o.mode(), limits: Limits{}.withDefaults(o.Limits), priority: priority}
	t.limits.Fuel = 0 // describing a module is no call of its functions
	t.setCodecs(codecs.NameRaw, codecs.NameRaw)
	if err := t.check(o); err != nil {
		return Description{}, err
	}
	cl := newCall(t, nil)
	cl.kind = callDescribe
	if cl.state != Done && ctx.Err() != nil {
		cl = failed(context.Cause(ctx))
	}
	x.core.submit(ctx, x, cl, true)
	f := &Future[[]byte]{call: cl}
	text, err := f.Wait(ctx)
	if err != nil {
		return Description{}, err
	}
	parsed, err := guestabi.ParseDescription(text)
	if err != nil {
		return Description{}, &serialize.ModuleError{
			Kind: serialize.Invalid, Module: m.Name(), Name: guestabi.ExportDescribe, Reason: fmt.Sprint(err),
		}
	}
	usage := f.Usage()
	d := Description{SDK: parsed.SDK, StartMethod: usage.StartMethod, Fallback: usage.Fallback}
	for _, f := range parsed.Functions {
		d.Functions = append(d.Functions, Function(f))
	}
	for _, f := range parsed.Host {
		d.Host = append(d.Host, Function(f))
	}
	return d, nil
}
