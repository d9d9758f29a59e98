package wasmworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/tetratelabs/wazero"

	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/jail"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wire"
)

// A server is a worker process: its pipes, its runtime and what it has loaded.
// It belongs to one goroutine; guests and host functions run on it too. calls and
// out it shares with the goroutine that reads the control pipe.
type server struct {
	in    *proc.Inherited
	r     *wire.Reader
	out   *replies
	calls *ledger

	role      wire.Role
	cache     *entryCache // hands compiled entries to wazero; nil when they cannot be
	runtime   wazero.Runtime
	modules   map[string]*module // by key
	slots     map[uint32]*slot
	images    map[uint64]*image // by number
	warm      map[uint64]*warm  // by class
	clock     uint64            // counts uses of kept instances
	kept      uint64            // bytes that their memories hold
	instances int               // how many they are
	pages     *snapshot.Pages   // nil where the system does not tell which were written to
	draft     *shm.Draft        // a template's own image; nil once used
	ring      *ring.Ring        // nil for pipes
	audit     audit
	dirs      []grantedDir // that guests may be given
	fileSize  uint64       // bytes up to which any of them may write files there
	dog       *watchdog    // shared with the same goroutine; nil in tests
	heap      heapWatch

	call    *call  // the call being run: one; nil between calls
	one     call   // reused
	input   []byte // reused for inputs of up to keepBuffer bytes
	size    [wire.ArenaPayload]byte
	backlog backlog // calls to run before the next frame is read
}

// keepBuffer is the largest buffer that a worker keeps between calls, in bytes.
const keepBuffer = 1 << 20

// idleLimits are the frames a worker accepts between calls.
var idleLimits = wire.Limits{
	{Type: wire.TypeCall, Max: wire.MaxPayload},
	{Type: wire.TypeLoad, Max: wire.MaxLoad},
	{Type: wire.TypeUnload, Max: 0},
	{Type: wire.TypeCollect, Max: 0},
	{Type: wire.TypeCapture, Max: wire.MaxLoad},
}

// handshake reads HELLO, sandboxes the process and answers READY. Its goroutine, which the
// server belongs to from then on, is locked to its thread.
func handshake(in *proc.Inherited, calls *ledger, out *replies) (*server, error) {
	s := &server{
		in:      in,
		r:       wire.NewReader(in.Requests),
		out:     out,
		calls:   calls,
		modules: make(map[string]*module),
		slots:   make(map[uint32]*slot),
		images:  make(map[uint64]*image),
		warm:    make(map[uint64]*warm),
	}
	h, err := s.r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}})
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	var hello wire.Hello
	if err := s.read(h, &hello); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if hello.Engine != engine.Version() {
		return nil, fmt.Errorf("handshake: host has engine %s, this worker %s: build both from the same source", hello.Engine, engine.Version())
	}
	s.role = hello.Role
	if hello.Ring {
		if s.ring, err = openRing(in); err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
	}
	if s.audit.every, err = auditEvery(); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	var errDirs error
	s.fileSize = hello.FileSize
	j, err := jail.Enter(in, hello, func() (list []sandbox.Dir) {
		s.dirs, list, errDirs = openDirs(hello.Dirs)
		return list
	})
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	s.pages, s.draft = j.Pages, j.Draft
	s.pages.OneThread()
	if s.role == wire.RoleTemplate {
		guardMemory(hello.Data)
	}
	if s.role == wire.RoleWorker {
		// Guest code cannot be preempted: a collection that starts while it runs
		// would stop every other goroutine until it ends. heapWatch collects
		// between calls instead.
		debug.SetGCPercent(-1)
	}
	s.cache = newEntryCache()
	s.runtime = s.newRuntime(s.cache)
	ready := wire.Ready{
		Ring:   s.ring != nil,
		Engine: engine.Version(), InForce: j.Report.InForce, Missing: j.Report.Missing, NoCache: s.cache == nil,
	}
	if errDirs == nil && len(s.dirs) > 0 {
		_, errDirs = engineFunctions(s.runtime)
	}
	if errDirs != nil {
		ready.NoDirs = errDirs.Error()
	}
	if err := s.answer(wire.Header{Type: wire.TypeReady}, ready); err != nil {
		return nil, err
	}
	if s.ring != nil {
		s.r = wire.NewReader(s.ring)
		s.out.moveTo(s.ring)
	}
	return s, nil
}

// serve answers frames until the request pipe ends.
func (s *server) serve() error {
	for {
		if p, ok := s.backlog.pop(); ok {
			if !s.calls.take(p.ID) {
				continue
			}
			if err := s.serveCall(p.Header, inMemory(p.input)); err != nil {
				return err
			}
			continue
		}
		h, err := s.r.Next(idleLimits)
		if err != nil {
			return err
		}
		switch h.Type { //nolint:exhaustive // Next lets only these through
		case wire.TypeLoad:
			err = s.load(h)
		case wire.TypeUnload:
			s.unload(h.Slot)
		case wire.TypeCall:
			err = s.takeCall(h)
		case wire.TypeCollect:
			err = s.giveBack()
		case wire.TypeCapture:
			err = s.capture(h)
		}
		if err != nil {
			return err
		}
	}
}

// takeCall serves a CALL from the pipe, unless the host has revoked it.
func (s *server) takeCall(h wire.Header) error {
	if !s.calls.take(h.ID) {
		return s.r.Discard()
	}
	input, err := s.readInput(h)
	if err != nil {
		return fmt.Errorf("read CALL: %w", err)
	}
	return s.serveCall(h, input)
}

// giveBack serves a COLLECT: it returns to the system what memory it can.
func (s *server) giveBack() error {
	s.input = nil
	s.heap.release()
	return s.out.Write(wire.Header{Type: wire.TypeCollected})
}

// read decodes the payload of h into v.
func (s *server) read(h wire.Header, v any) error {
	b, err := s.r.Payload(nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", h.Type, err)
	}
	return wire.Unmarshal(b, v)
}

// answer sends v as the payload of a frame.
func (s *server) answer(h wire.Header, v any) error {
	b, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	return s.out.Write(h, b)
}

// answerFailure sends f as the outcome of a load or call.
func (s *server) answerFailure(h wire.Header, f *failure) error {
	f.cut()
	if err := s.answer(wire.Header{Type: wire.TypeFail, ID: h.ID, Slot: h.Slot, Code: f.kind}, f.Failure); err != nil {
		return err
	}
	if f.kind == wire.KindInternal {
		return errors.New(f.Message)
	}
	return nil
}

// newRuntime returns a runtime with the modules that guests may import from.
func (s *server) newRuntime(cache *entryCache) wazero.Runtime {
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(engine.Features).
		WithDebugInfoEnabled(false) // parsing DWARF for a stack trace costs seconds
	if cache != nil {
		config = config.WithCompilationCache(cache.wazero)
	}
	r := wazero.NewRuntimeWithConfig(context.Background(), config)
	if err := s.instantiateHost(r); err != nil {
		// The host modules are constants of this program.
		fmt.Fprintf(os.Stderr, "sandpool worker: %v\n", err)
		os.Exit(exitFailure)
	}
	return r
}

// readBlob reads size bytes that the host sent inline.
func (s *server) readBlob(size uint64) ([]byte, error) {
	var data []byte
	for uint64(len(data)) < size {
		h, err := s.r.Next(wire.Limits{{Type: wire.TypeBlob, Max: wire.MaxChunk}})
		if err != nil {
			return nil, err
		}
		b, err := s.r.Payload(nil)
		if err != nil {
			return nil, err
		}
		if h.Length == 0 || uint64(len(data)+len(b)) > size {
			return nil, fmt.Errorf("blob of %d bytes does not fit the %d announced: %w", len(data)+len(b), size, io.ErrShortBuffer)
		}
		data = append(data, b...)
	}
	return data, nil
}
