package executor

import (
	"context"
	"fmt"
	"sync/atomic"
)

// nestedBudget is how many calls a call and all below it may submit.
const nestedBudget = 1000

// nestKey is the key of the call in the context of its host functions.
type nestKey struct{}

// CallerTenant returns the Func.Tenant of the call whose guest is calling a host
// function, from that function's context; ok is false for any other context. A context
// derived from it has it too.
func CallerTenant(ctx context.Context) (tenant string, ok bool) {
	cl, ok := ctx.Value(nestKey{}).(*call)
	if !ok {
		return "", false
	}
	return cl.target.tenant, true
}

// decodedLimit returns the Limits.Decoded of the call that a host function's context is
// of, or 0 for any other.
func decodedLimit(ctx context.Context) int64 {
	if cl, ok := ctx.Value(nestKey{}).(*call); ok {
		return cl.target.limits.Decoded
	}
	return 0
}

// nest makes cl a nested call when ctx is a host function's.
func (cl *call) nest(ctx context.Context, c *core) error {
	parent, ok := ctx.Value(nestKey{}).(*call)
	if !ok {
		return nil
	}
	cl.parent, cl.depth, cl.budget = parent, parent.depth+1, parent.budget
	if most := c.opts.MaxDepth; most > 0 && cl.depth > most {
		return fmt.Errorf("%w: this one would be number %d, Options.MaxDepth is %d", ErrMaxDepth, cl.depth, most)
	}
	if cl.budget.Add(-1) < 0 {
		return &LimitError{Limit: LimitNested, Max: nestedBudget, Used: nestedBudget + 1}
	}
	if parent.core == c {
		cl.target.tenant = parent.target.tenant
	}
	return nil
}

// hostContextLocked returns the context of a call's host functions, which ends
// with the call.
func (c *core) hostContextLocked(cl *call) context.Context {
	if cl.hostCtx == nil {
		if cl.budget == nil {
			cl.budget = new(atomic.Int64)
			cl.budget.Store(nestedBudget)
		}
		cl.hostCtx, cl.endHost = context.WithCancelCause(context.WithValue(cl.values, nestKey{}, cl))
	}
	return cl.hostCtx
}

// count notes n more nested calls of a call that are not done, or fewer. While a
// call waits in a host function with such calls under way, its worker is parked: its
// place is theirs.
func (c *core) count(cl *call, n int) {
	c.update(func() {
		cl.nested += n
		if cl.worker != nil {
			c.parkLocked(cl.worker)
		}
	})
}
