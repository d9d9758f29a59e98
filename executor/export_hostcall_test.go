package executor

import "context"

// ErrIdleDeath is what a host saw of a worker that died without a call.
var ErrIdleDeath = errIdleDeath

// CallRaw runs the function on an encoded input, without a guest.
func (f HostFunction) CallRaw(ctx context.Context, input []byte) ([]byte, error) {
	return f.call(ctx, input)
}
