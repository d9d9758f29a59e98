// The ways in which a call ends after it has marked.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi.h"

// deep needs no memory, so that it ends with the machine's own stack. What it
// reads after the call keeps it from being made a loop.
__attribute__((noinline)) static uint32_t deep(uint32_t n, volatile uint32_t *limit) {
	if (n == *limit)
		return n;
	uint32_t depth = deep(n + 1, limit);
	return depth + *limit;
}

static uint32_t overflow(void) {
	volatile uint32_t limit = UINT32_MAX;
	return deep(0, &limit);
}

// exhaust takes memory by both ways until neither gives any.
static void exhaust(void) {
	static void *volatile p; // or the compiler leaves out what nobody uses
	while (__builtin_wasm_memory_grow(0, 16) != SIZE_MAX) {
	}
	while ((p = malloc(4096)) != NULL)
		memset(p, 0x5a, 4096);
	__builtin_trap();
}

static void flood(void) {
	static char block[4096];
	for (;;)
		output_write(block, sizeof block);
}

static uint32_t fails(void) {
	static const char why[] = "marked and failed";
	fail(CODE_ERROR, why, sizeof why - 1, NULL, 0);
	return 1;
}

uint32_t end(const char verb[VERB]) {
	switch (verb[0] << 8 | verb[1]) {
	case 'm' << 8 | 'a': // mark
		return 0;
	case 'c' << 8 | 'l': // closeout
		close(0);
		close(1);
		close(2);
		return 0;
	case 't' << 8 | 'r': // trap
		__builtin_trap();
	case 'o' << 8 | 'o': // oob
		return *(volatile uint32_t *)0xfffffff0;
	case 'a' << 8 | 'b': // abort
		abort();
	case 'e' << 8 | 'x': // exit: the handlers run and buffers are written
		exit(3);
	case 'o' << 8 | 'v': // overflow
		return overflow();
	case 'm' << 8 | 'e': // memory
		exhaust();
	case 'f' << 8 | 'l': // flood
		flood();
	case 'e' << 8 | 'r': // error
		return fails();
	}
	fail(CODE_INPUT, verb, VERB, NULL, 0);
	return 1;
}
