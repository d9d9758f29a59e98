// Package kernels is the work of the benchmark's rows that compute. guest/kernels.h
// has the same in C: what is done, and in which order, is the same.
package kernels

import (
	"encoding/binary"
	"fmt"
)

// The kernels.
const (
	Sieve = iota // loops over memory: the primes below N
	Fib          // calls of a small function: Fibonacci's number N
)

// MaxN is the largest N of a Task.
const MaxN = 1 << 16

// A Task is what one call does.
type Task struct{ Kernel, N, Repeats uint32 }

// taskBytes is a Task's size as the input of a call.
const taskBytes = 12

// Input returns the task as the input of a call.
func (t Task) Input() []byte {
	b := binary.LittleEndian.AppendUint32(nil, t.Kernel)
	b = binary.LittleEndian.AppendUint32(b, t.N)
	return binary.LittleEndian.AppendUint32(b, t.Repeats)
}

// Run does what an input asks for and returns the output of the call: a sum, in four
// bytes, that depends on every repetition.
func Run(input []byte) ([]byte, error) {
	if len(input) != taskBytes {
		return nil, fmt.Errorf("kernels: a task of %d bytes", len(input))
	}
	t := Task{binary.LittleEndian.Uint32(input), binary.LittleEndian.Uint32(input[4:]), binary.LittleEndian.Uint32(input[8:])}
	if t.N > MaxN {
		return nil, fmt.Errorf("kernels: %d is too large", t.N)
	}
	return binary.LittleEndian.AppendUint32(nil, t.run()), nil
}

func (t Task) run() uint32 {
	composite := make([]bool, MaxN)
	return t.sum(func(n uint32) uint32 {
		if t.Kernel == Fib {
			return fib(n)
		}
		return sieve(composite[:n])
	})
}

// sum repeats a kernel as the task says.
func (t Task) sum(kernel func(n uint32) uint32) (sum uint32) {
	for range t.Repeats {
		sum += kernel(t.N - sum&1)
	}
	return sum
}

// Answer returns the output that [Run] has for the task, with each kernel run twice at
// the most.
func (t Task) Answer() ([]byte, error) {
	if t.N > MaxN {
		return nil, fmt.Errorf("kernels: %d is too large", t.N)
	}
	known := make(map[uint32]uint32)
	sum := t.sum(func(n uint32) uint32 {
		if _, ok := known[n]; !ok {
			known[n] = Task{t.Kernel, n, 1}.run()
		}
		return known[n]
	})
	return binary.LittleEndian.AppendUint32(nil, sum), nil
}

func sieve(composite []bool) uint32 {
	clear(composite)
	var count uint32
	for i := 2; i < len(composite); i++ {
		if composite[i] {
			continue
		}
		count++
		for k := i + i; k < len(composite); k += i {
			composite[k] = true
		}
	}
	return count
}

//go:noinline
func fib(n uint32) uint32 {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}
