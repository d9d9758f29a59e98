package executor

import (
	"context"
	"iter"

	"github.com/sandpool/sandpool/serialize"
)

func (e *Executor) Resize(n int) error { panic("soon") }
func (e *Executor) Prewarm(ctx context.Context, n int, modules ...*serialize.Module) error {
	panic("soon")
}

type Reusable struct{}

func (r *Reusable) Get(ctx context.Context, opts *Options) (*Executor, error) { panic("soon") }
func (r *Reusable) Close() error                                              { panic("soon") }
func Shared(opts *Options) (*Executor, error)                                 { panic("soon") }

type Result[Out any] struct {
	Value Out
	Err   error
}

func MapUnordered[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], inputs iter.Seq[In]) iter.Seq2[int, Result[Out]] {
	panic("soon")
}
