package executor

import (
	"context"
	"errors"

	"github.com/sandpool/sandpool/serialize"
)

// blockItems is how many items are allocated at a time.
const blockItems = 64

// A mapping is one loop over a Map or a MapUnordered. It is for that loop's goroutine.
type mapping[In, Out any] struct {
	ctx    context.Context //nolint:containedctx // of the loop
	e      *Executor
	fn     Func[In, Out]
	out    *outbox
	window window
	queue  []*item // in the order of the inputs, from the first that is not done on
	taken  int     // inputs
	under  int     // calls that are not known to be done
	block  []item  // for the next ones
	bundle *call   // that may take more of them; nil for none
}

func newMapping[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out]) *mapping[In, Out] {
	return &mapping[In, Out]{ctx: ctx, e: e, fn: fn, out: newOutbox(), window: newWindow(e)}
}

// start makes a call of an input; ended says that the loop's context has ended.
func (m *mapping[In, Out]) start(in In, ended bool) {
	if len(m.block) == 0 {
		m.block = make([]item, blockItems)
	}
	it := &m.block[0]
	m.block = m.block[1:]
	it.index = m.taken
	m.taken++
	m.queue = append(m.queue, it)
	if ended || !m.join(it, in) {
		m.submit(it, in)
	}
	m.under++
	m.window.calls++
	m.window.bytes += it.size
}

// join adds an input to those that wait already, and reports whether that could be.
func (m *mapping[In, Out]) join(it *item, in In) bool {
	cl := m.bundle
	if cl == nil {
		return false
	}
	input, ok := m.likeBefore(cl, in)
	if !ok {
		return false
	}
	it.core, it.input, it.size = cl.core, input, len(input)
	n, added := cl.items.add(cl, it)
	if !added {
		m.bundle, it.input = nil, nil
		return false
	}
	if n <= m.window.workers {
		cl.core.update(func() {}) // somebody may have nothing to do
	}
	return true
}

// likeBefore encodes an input, if its call has the target that the one before had, and is
// small.
func (m *mapping[In, Out]) likeBefore(cl *call, in In) (input []byte, ok bool) {
	if m.fn.Handle != nil && m.fn.Handle.Module() != cl.target.module {
		return nil, false
	}
	if m.e.reusable != nil {
		if x, err := m.e.currentFor(m.ctx); err != nil || x.core != cl.core {
			return nil, false
		}
	}
	o := &cl.core.opts
	if raw, isRaw := any(&in).(*[]byte); isRaw && o.JobReducers == nil {
		input = *raw
	} else {
		codec, value, err := m.fn.encoding(o, in)
		if err != nil {
			return nil, false
		}
		number, named := codecNumber(codec.Name(), namedInput)
		if number != cl.target.codecs&0xff || named != cl.target.named[namedInput] {
			return nil, false
		}
		if input, err = encode(o.JobReducers, codec, value, cl.target.limits); err != nil {
			return nil, false // said when it is submitted
		}
	}
	return input, len(input) < itemBytes && checkInput(input, cl.target.limits) == nil
}

// submit makes a call of an input by itself, to which others may be added if it is small.
func (m *mapping[In, Out]) submit(it *item, in In) {
	for {
		x, err := m.e.currentFor(m.ctx)
		if err != nil {
			it.err = err
			m.out.put(it)
			return
		}
		cl := m.fn.request(m.ctx, x, in)
		it.core, it.call, it.size = x.core, cl, cl.size
		if cl.bundles(&x.core.opts) {
			it.input, cl.input = cl.input, nil
			cl.items = &items{out: m.out, open: true, list: []*item{it}}
			cl.bind = func(part *call) { x.core.endWith(m.ctx, part) }
		} else {
			cl.hook = func() { m.out.put(it) }
		}
		x.core.submit(m.ctx, x, cl, true)
		switch untaken := cl.settledEarly(); {
		case cl.refused && m.e.reusable != nil:
			continue
		case untaken:
			it.err = cl.err
			m.out.put(it)
		case cl.items != nil:
			m.bundle = cl
		}
		return
	}
}

// settledEarly reports whether the call was never taken in, so that nobody tells of its end.
func (cl *call) settledEarly() bool {
	defer cl.lock()()
	return cl.untaken
}

// look hears of calls that are done, if there are any.
func (m *mapping[In, Out]) look() {
	select {
	case <-m.out.wake:
		m.hear(m.out.take())
	default:
	}
}

// hear notes which calls are done.
func (m *mapping[In, Out]) hear(done []*item) {
	for _, it := range done {
		it.done = true
	}
	m.under -= len(done)
}

// result returns what a call that is done has come to, which leaves the window.
func (m *mapping[In, Out]) result(it *item) (out Out, err error) {
	m.window.calls--
	m.window.bytes -= it.size
	cl, output := it.call, it.output
	it.input, it.output = nil, nil // the others of its block may be under way for long
	if it.err != nil {
		return out, it.err
	}
	if cl.items == nil {
		if output, err = cl.output, cl.err; err != nil {
			return out, err
		}
	}
	err = decodeOutput(&cl.core.opts, &cl.target, output, &out)
	return out, err
}

// end ends the calls that are left and waits for them.
func (m *mapping[In, Out]) end() {
	m.look()
	for _, it := range m.queue {
		if !it.done && it.core != nil {
			it.core.update(func() { it.core.cancelLocked(it.call, context.Canceled) })
		}
	}
	for m.under > 0 {
		m.hear(m.out.wait())
	}
}

// decodeOutput sets out to what an output holds.
func decodeOutput[Out any](o *Options, t *target, output []byte, out *Out) error {
	if raw, ok := any(out).(*[]byte); ok && o.ResultReducers == nil {
		*raw = output
		return nil
	}
	codec, err := serialize.CodecByName(t.out)
	if err != nil {
		return err
	}
	reducers := o.ResultReducers
	if t.command {
		reducers = nil // the result is not the guest's
	}
	err = reducers.Decode(codec, output, out, t.limits.Decoded)
	if b, ok := errors.AsType[*serialize.BoundError](err); ok {
		return &LimitError{Limit: LimitDecoded, Max: b.Max, Used: b.Need}
	}
	return err
}
