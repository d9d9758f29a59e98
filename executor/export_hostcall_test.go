package executor

// ErrIdleDeath is what a host saw of a worker that died without a call.
var ErrIdleDeath = errIdleDeath
