// The work of the rows that compute, as package kernels has it in Go: what is done, and
// in which order, is the same.
#ifndef KERNELS_H
#define KERNELS_H
#include <stdint.h>
#include <string.h>

enum { SIEVE_MAX = 1 << 16, KERNEL_SIEVE = 0, KERNEL_FIB = 1 };

// sieve counts the primes below n, which is at most SIEVE_MAX.
static uint32_t sieve(uint32_t n) {
	static uint8_t composite[SIEVE_MAX];
	memset(composite, 0, n);
	uint32_t count = 0;
	for (uint32_t i = 2; i < n; i++) {
		if (composite[i])
			continue;
		count++;
		for (uint32_t k = i + i; k < n; k += i)
			composite[k] = 1;
	}
	return count;
}

// fib calls itself about 1.6 to the power of n times.
__attribute__((noinline)) static uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

typedef struct {
	uint32_t kernel, n, repeats;
} task;

// work runs a task and returns a sum that depends on every repetition.
static uint32_t work(task t) {
	uint32_t sum = 0;
	for (uint32_t i = 0; i < t.repeats; i++) {
		uint32_t n = t.n - (sum & 1);
		sum += t.kernel == KERNEL_FIB ? fib(n) : sieve(n);
	}
	return sum;
}
#endif
