package guest

import "runtime"

const (
	settledSize  = 1 << 10  // the largest objects that are tried, in bytes
	settledStack = 16 << 10 // what a call's stack has room for at least, in bytes
)

var trial any

// settle leaves Go's runtime as calls want to find it. The host may take an image
// of the instance when it has the description, and start every call from that: what
// the runtime has put off until then would be done in each of them, and undone.
//
// After a collection nothing is left to be marked or swept, and the next one is as
// far away as can be: otherwise a guest that has allocated much since the last one
// collects in every call. The calls' goroutine exists, with a stack that most calls
// need not grow. And since a collection takes away the spans that objects of each
// size are allocated from, there are new ones for the small sizes.
func (r *registry) settle() {
	r.warmUp()
	runtime.GC()
	growStack()
	for size := 8; size <= settledSize; size += max(8, size/8&^7) { // no class of sizes is narrower
		trial = make([]byte, size)
		trial = make([]*byte, size/8)
	}
	trial = nil
}

// warmUp brings about what every first call in an instance would, so that an image
// of an instance that was described has it: what the codec keeps of each type.
func (r *registry) warmUp() {
	warm := make([]func(), 0, len(r.functions)+len(r.host))
	for _, f := range r.functions {
		warm = append(warm, f.warm)
	}
	for _, n := range r.host {
		warm = append(warm, n.warm)
	}
	for _, f := range warm {
		done := make(chan struct{})
		go func() { // until f ends: a type's own methods may panic, or end the goroutine
			defer close(done)
			contain(func() *failure {
				f()
				return nil
			})
		}()
		<-done
	}
}

// growStack is not inlined: its frame is what makes the stack grow.
//
//go:noinline
func growStack() {
	var frame [settledStack]byte
	runtime.KeepAlive(&frame)
}
