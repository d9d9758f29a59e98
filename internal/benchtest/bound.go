package benchtest

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// A Bound is an instance that stays and whose function was looked up once, as a
// program does that cares. It is for one goroutine, like its Raw.
type Bound struct {
	raw      *Raw
	instance api.Module
	call     api.Function
}

// Bind returns a new instance, initialised.
func (r *Raw) Bind(ctx context.Context) (*Bound, error) {
	m, err := r.Instantiate(ctx)
	if err != nil {
		return nil, err
	}
	return &Bound{r, m, m.ExportedFunction(guestabi.ExportCall)}, nil
}

// Call runs the function of that number on raw bytes and returns an output that is
// the caller's own.
func (b *Bound) Call(ctx context.Context, function uint32, input []byte) ([]byte, error) {
	r := b.raw
	r.input, r.output, r.failed = input, nil, nil
	results, err := b.call.Call(ctx, uint64(function), uint64(len(input)), 0)
	if err := r.outcome(results, err); err != nil {
		return nil, err
	}
	return r.output, nil
}

// Close closes the instance.
func (b *Bound) Close(ctx context.Context) error { return b.instance.Close(ctx) }
