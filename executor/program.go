package executor

import (
	"crypto/sha256"
	"errors"

	"github.com/sandpool/sandpool/internal/rewrite"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A program is a module as workers get it that compile it once: rewritten so that
// its instances can be restored, or as it is.
type program struct {
	sum     [sha256.Size]byte
	bytes   *shm.Blob
	bare    *shm.Blob         // without the functions' code, for who gets that compiled; nil while it is not
	bareSum [sha256.Size]byte // digest of bare
	layout  *wire.Layout      // nil when it was not rewritten
	base    *shm.Blob         // what memory starts as; nil for zeros, and when it was not rewritten
	unfit   string            // why it was not

	stops    bool   // its code can be ended
	killOnly string // why it cannot, though it should
}

// newProgram rewrites a module, or gets what was made of it before.
func newProgram(source *serialize.Module, mode wasmbin.Mode) (*program, error) {
	return makeProgram(source, mode, true)
}

// freshProgram is a module as workers get it that compile it for each call.
func freshProgram(source *serialize.Module, mode wasmbin.Mode) (*program, error) {
	return makeProgram(source, mode, false)
}

// makeProgram shares a form of the module. Code that cannot be ended runs as it is, but
// for one that is to count.
func makeProgram(source *serialize.Module, mode wasmbin.Mode, restorable bool) (p *program, err error) {
	form, err := rewrite.Of(source.Sum(), source.Bytes).Form(mode, restorable)
	if unfit, ok := errors.AsType[*wasmbin.UnfitError](err); ok {
		return nil, &serialize.ModuleError{Kind: serialize.Limit, Module: source.Name(), Reason: "its code cannot count fuel: " + unfit.Reason}
	}
	if err != nil {
		return nil, err // serialize has scanned it before, so there is none
	}
	p = &program{sum: form.Sum, unfit: form.Unfit, killOnly: form.KillOnly, stops: mode != wasmbin.Plain && form.KillOnly == ""}
	if form.Prepared != nil {
		p.layout = layoutOf(form.Prepared)
		if p.base, err = baseOf(form.Prepared); err != nil {
			return nil, err
		}
	}
	if p.bytes, err = shm.NewBlob("sandpool-module", form.Bytes); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// strip makes what is given to processes along with the compiled code.
func (p *program) strip() error {
	b, err := p.bytes.Bytes()
	if err != nil {
		return err
	}
	if b, err = wasmbin.Bare(b); err != nil {
		return err
	}
	p.bareSum = sha256.Sum256(b)
	p.bare, err = shm.NewBlob("sandpool-bare", b)
	return err
}

// sent returns the bytes of a module that a process gets, and notes in l which they are.
func (p *program) sent(cn *conn, l *wire.Load) *shm.Blob {
	if p.bare == nil || cn.ready.NoCache {
		l.Digest = p.sum[:]
		return p.bytes
	}
	l.Digest, l.Bare = p.bareSum[:], true
	return p.bare
}

// loadError is the error of a module that could not be rewritten.
func loadError(err error) error {
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		return err
	}
	return &StartError{Stage: "load", Err: err}
}

func layoutOf(p *wasmbin.Prepared) *wire.Layout {
	return &wire.Layout{Globals: p.Globals, Start: p.Start, MaxPages: p.MaxPages}
}

// baseOf makes the memory that a module's data segments describe, up to the last
// one's end. It is as sparse as they are.
func baseOf(p *wasmbin.Prepared) (*shm.Blob, error) {
	if len(p.Data) == 0 {
		return nil, nil //nolint:nilnil // memory of zeros needs no base
	}
	const page = 64 << 10
	var end int64
	for _, d := range p.Data {
		end = max(end, int64(d.Offset)+int64(len(d.Bytes)))
	}
	end = (end + page - 1) &^ (page - 1)
	draft, err := shm.NewDraft("sandpool-base", end)
	if err != nil {
		return nil, err
	}
	for _, d := range p.Data {
		if _, err := draft.WriteAt(d.Bytes, int64(d.Offset)); err != nil {
			return nil, errors.Join(err, draft.Close())
		}
	}
	return draft.Seal(end)
}

// close frees the shared bytes; no worker is being given them.
func (p *program) close() {
	for _, b := range []*shm.Blob{p.bytes, p.bare, p.base} {
		if b != nil {
			_ = b.Close()
		}
	}
}
