package executor

import (
	"crypto/sha256"
	"errors"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A program is a module as workers get it that compile it once: rewritten so that
// its instances can be restored, or as it is.
type program struct {
	sum    [sha256.Size]byte
	bytes  *shm.Blob
	layout *wire.Layout // nil when it was not rewritten
	base   *shm.Blob    // what memory starts as; nil for zeros, and when it was not rewritten
	unfit  string       // why it was not
}

// newProgram rewrites a module.
func newProgram(source *serialize.Module) (p *program, err error) {
	data := source.Bytes()
	prepared, err := wasmbin.Prepare(data)
	unfit, ok := errors.AsType[*wasmbin.UnfitError](err)
	switch {
	case ok:
		p = &program{sum: source.Sum(), unfit: unfit.Reason}
	case err != nil:
		return nil, err // serialize has scanned it before, so there is none
	default:
		data = prepared.Bytes
		p = &program{sum: sha256.Sum256(data), layout: layoutOf(prepared)}
		if p.base, err = baseOf(prepared); err != nil {
			return nil, err
		}
	}
	if p.bytes, err = shm.NewBlob("sandpool-module", data); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
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
	for _, b := range []*shm.Blob{p.bytes, p.base} {
		if b != nil {
			_ = b.Close()
		}
	}
}
