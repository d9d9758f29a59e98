package executor

import (
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// Spawn starts a worker process and ends it. It returns the time from its launch until its
// READY was there, and what the host has made of that.
func Spawn(e *Executor) (took time.Duration, inForce []string, err error) {
	c := e.core
	began := time.Now()
	cn, err := c.connect("spawn", wire.Hello{Role: wire.RoleWorker, Data: baseData + uint64(c.opts.Limits.Memory)})
	took = time.Since(began)
	if err != nil {
		return took, nil, err
	}
	inForce = cn.ready.InForce
	cn.end(c)
	return took, inForce, nil
}
