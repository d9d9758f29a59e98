package parity_test

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// raw is a function from bytes to bytes.
type raw = executor.Func[[]byte, []byte]

// future is a raw call's.
type future = executor.Future[[]byte]

// fixture is the Go guest with a function for everything. It takes a second to
// compile where the start method is Fresh.
func fixture(t *testing.T) *serialize.Module {
	t.Helper()
	path := guesttest.Build(t, "fixture")
	if m, ok := loaded.Load(path); ok {
		return m.(*serialize.Module)
	}
	m, err := serialize.LoadModule(path)
	require.NoError(t, err)
	loaded.Store(path, m)
	return m
}

// loaded has the fixture for all tests, with what executors make of it: under the race
// detector that takes seconds.
var loaded sync.Map

func tiny(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// tinyFunc is the only function of a tiny module, which has the module's name.
func tinyFunc(t *testing.T, name string, wasm []byte) raw {
	t.Helper()
	return raw{Module: tiny(t, name, wasm), Name: name}
}

// hostCallFunc calls the host function of that name with its input and returns
// what that returns. The executor needs the function in Options.Host.
func hostCallFunc(t *testing.T, name string) raw {
	t.Helper()
	f := tinyFunc(t, "hostcall", guesttest.TinyHostCall(name))
	f.Grants.Host = []string{name}
	return f
}

// echoFunc returns its input.
func echoFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "echo", guesttest.TinyEcho())
}

// trapFunc fails.
func trapFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "trap", guesttest.TinyTrap())
}

// spinFunc never returns. A holder's function does not either, and says when it
// has begun.
func spinFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "spin", guesttest.TinySpin())
}

// The first byte of its input tells the function of actFunc what to do.
const (
	actTrap = "!" // fail
	actHold = "@" // say "begun" and never return; a holder hears it
)

// actFunc returns its input, of at most 1 KiB, unless that begins with one of the
// constants above: calls of one function that end in every way.
func actFunc(t *testing.T) raw {
	t.Helper()
	guest := guesttest.NewTiny()
	body := readInput(guest).
		I32(0).Load8(0).I32(int32(actTrap[0])).Eq().If().Unreachable().End().
		I32(0).Load8(0).I32(int32(actHold[0])).Eq().If().
		I32(0).Append(guest.Text("begun")).Call(guest.Log).Loop().Br(0).End().
		End().
		I32(0).Get(inputSize).Call(guest.Write).I32(0)
	return tinyFunc(t, "act", guest.Finish("act", onePage, []guesttest.ValueType{guesttest.I32}, body))
}

// environFunc returns how many environment variables its instance has, and their
// size, as 4 bytes each.
func environFunc(t *testing.T) raw {
	t.Helper()
	guest := guesttest.NewTiny()
	i32 := guesttest.I32
	sizes := guest.Import("wasi_snapshot_preview1", "environ_sizes_get", guesttest.Sig([]guesttest.ValueType{i32, i32}, i32))
	body := new(guesttest.Code).I32(0).I32(4).Call(sizes).Drop().I32(0).I32(8).Call(guest.Write).I32(0)
	return tinyFunc(t, "environ", guest.Finish("environ", onePage, nil, body))
}

// namedGuest traps in the function "divide_by_nothing", called by "the_caller". Its
// functions have names.
func namedGuest() []byte {
	guest := guesttest.NewTiny()
	inner := guest.Func(guesttest.Sig(nil), nil, new(guesttest.Code).Unreachable())
	outer := guest.Func(guesttest.Sig(nil), nil, new(guesttest.Code).Call(inner))
	names := []byte{2} // as many pairs of index and name, in order
	for i, name := range []string{"divide_by_nothing", "the_caller"} {
		names = append(names, byte(inner)+byte(i), byte(len(name)))
		names = append(names, name...)
	}
	guest.Custom("name", append([]byte{1, byte(len(names))}, names...)) // the subsection of functions
	return guest.Finish("named", onePage, nil, new(guesttest.Code).Call(outer).I32(0))
}

// inputs are the inputs of a Map.
func inputs(texts ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, text := range texts {
			if !yield([]byte(text)) {
				return
			}
		}
	}
}

// inputSize is the local that has what readInput has read: the first after the
// parameters.
const inputSize = 3

// readInput reads a KiB of input to the start of the memory.
func readInput(guest *guesttest.Tiny) *guesttest.Code {
	return new(guesttest.Code).I32(0).I32(0).I32(1 << 10).Call(guest.Read).Set(inputSize)
}

// onePage is the memory of the guests here.
var onePage = [2]uint32{1, 1}

// lines is a slog.Handler that hands on each message it is given.
type lines chan string

// newLines has room for more lines than a test's guests log.
func newLines() lines { return make(lines, 10_000) }

func (l lines) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

func (lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l lines) WithGroup(string) slog.Handler { return l }

// next waits for one more message and returns it.
func (l lines) next(t *testing.T) string {
	t.Helper()
	select {
	case text := <-l:
		return text
	case <-time.After(hang):
		t.Fatal("no guest says anything")
		return ""
	}
}

// A holder is a guest that says that it has begun and then never returns. It is
// heard by executors that have its log.
type holder struct {
	fn    raw
	log   *slog.Logger // for Options.GuestLog
	lines lines
}

// newHold returns a holder for executors that the test makes itself.
func newHold(t *testing.T) *holder {
	t.Helper()
	l := newLines()
	return &holder{fn: tinyFunc(t, "hold", holdGuest()), log: slog.New(l), lines: l}
}

func holdGuest() []byte {
	guest := guesttest.NewTiny()
	body := new(guesttest.Code).I32(0).Append(guest.Text("begun")).Call(guest.Log).Loop().Br(0).End().Unreachable()
	return guest.Finish("hold", onePage, nil, body)
}

// newHolder returns a holder and an executor that hears it.
func newHolder(t *testing.T, o executor.Options) (*executor.Executor, *holder) {
	t.Helper()
	h := newHold(t)
	o.GuestLog = h.log
	return newExecutor(t, o), h
}

// begun waits until the guest of one more call runs.
func (h *holder) begun(t *testing.T) {
	t.Helper()
	h.lines.next(t)
}

// A gate is a guest that returns its input once the test opens the gate to that
// input: a call that takes as long as the test wants, and no processor time. It is
// held in the handler of its log lines, so that its executor neither closes nor
// learns of its worker's death before the gate is open: a call that is to be
// killed is better a holder's.
type gate struct {
	fn     raw
	log    *slog.Logger // for Options.GuestLog
	begins lines

	mu   sync.Mutex // guards the fields below
	all  bool       // everything is let through
	keys map[string]chan struct{}
}

// newGates returns a gate for executors that the test makes itself. It opens when
// the test ends, if not before.
func newGates(t *testing.T) *gate {
	t.Helper()
	guest := guesttest.NewTiny()
	body := readInput(guest).
		I32(0).I32(0).Get(inputSize).Call(guest.Log).
		I32(0).Get(inputSize).Call(guest.Write).I32(0)
	g := &gate{
		fn:     tinyFunc(t, "gate", guest.Finish("gate", onePage, []guesttest.ValueType{guesttest.I32}, body)),
		begins: newLines(),
		keys:   make(map[string]chan struct{}),
	}
	g.log = slog.New(g)
	t.Cleanup(func() { g.open() })
	return g
}

// newGate returns a gate and the executor that it works in.
func newGate(t *testing.T, o executor.Options) (*executor.Executor, *gate) {
	t.Helper()
	g := newGates(t)
	g.options(&o)
	ex := newExecutor(t, o)
	t.Cleanup(func() { g.open() }) // before the executor closes
	return ex, g
}

// options has an executor with these options work with the gate. A call that is
// handed to a worker ahead of its turn could not be taken back while the worker's
// log line is held, so none is.
func (g *gate) options(o *executor.Options) { o.GuestLog, o.Batch = g.log, -1 }

// Handle holds the guest's log line, and so the guest, at the gate.
func (g *gate) Handle(ctx context.Context, r slog.Record) error {
	opened := g.key(r.Message)
	if err := g.begins.Handle(ctx, r); err != nil {
		return err
	}
	<-opened
	return nil
}

func (*gate) Enabled(context.Context, slog.Level) bool { return true }

func (g *gate) WithAttrs([]slog.Attr) slog.Handler { return g }

func (g *gate) WithGroup(string) slog.Handler { return g }

// begun waits until one more call is at the gate and returns its input.
func (g *gate) begun(t *testing.T) string {
	t.Helper()
	return g.begins.next(t)
}

// open lets the calls with these inputs through, now and later, without any every
// call.
func (g *gate) open(inputs ...string) {
	for _, input := range inputs {
		g.openKey(g.key(input))
	}
	if len(inputs) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = true
	for _, opened := range g.keys {
		closeOnce(opened)
	}
}

func (g *gate) openKey(opened chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closeOnce(opened)
}

// key is closed when the gate is open to the input.
func (g *gate) key(input string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	opened, ok := g.keys[input]
	if !ok {
		opened = make(chan struct{})
		g.keys[input] = opened
		if g.all {
			close(opened)
		}
	}
	return opened
}

// closeOnce closes a channel that may have been closed, under its owner's lock.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
