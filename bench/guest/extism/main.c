// Guest extism: guest c by the interface of Extism. It moves payloads as Extism's own
// C PDK does: eight bytes with each host call, the rest one by one.
#include "../kernels.h"
#include <stdlib.h>

#define IMPORT(n) __attribute__((import_module("extism:host/env"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("input_length") uint64_t input_length(void);
IMPORT("input_load_u8") uint32_t input_load_u8(uint64_t offset);
IMPORT("input_load_u64") uint64_t input_load_u64(uint64_t offset);
IMPORT("alloc") uint64_t host_alloc(uint64_t length);
IMPORT("store_u8") void store_u8(uint64_t offset, uint32_t value);
IMPORT("store_u64") void store_u64(uint64_t offset, uint64_t value);
IMPORT("output_set") void output_set(uint64_t offset, uint64_t length);

static void load_input(uint8_t *p, uint64_t length) {
	uint64_t i = 0;
	for (; i + 8 <= length; i += 8) {
		uint64_t word = input_load_u64(i);
		memcpy(p + i, &word, 8);
	}
	for (; i < length; i++)
		p[i] = input_load_u8(i);
}

static void store_output(const uint8_t *p, uint64_t length) {
	uint64_t at = host_alloc(length), i = 0;
	for (; i + 8 <= length; i += 8) {
		uint64_t word;
		memcpy(&word, p + i, 8);
		store_u64(at + i, word);
	}
	for (; i < length; i++)
		store_u8(at + i, p[i]);
	output_set(at, length);
}

EXPORT("echo") int32_t echo(void) {
	uint64_t length = input_length();
	uint8_t *p = malloc(length);
	if (p == NULL && length > 0)
		return 1;
	load_input(p, length);
	store_output(p, length);
	free(p);
	return 0;
}

EXPORT("work") int32_t do_work(void) {
	task t;
	if (input_length() != sizeof t)
		return 1;
	load_input((uint8_t *)&t, sizeof t);
	if (t.n > SIEVE_MAX)
		return 1;
	uint32_t sum = work(t);
	store_output((const uint8_t *)&sum, sizeof sum);
	return 0;
}

EXPORT("spin") int32_t spin(void) {
	for (volatile uint32_t i = 0;; i++)
		;
}

EXPORT("trap") int32_t trap(void) { __builtin_trap(); }
