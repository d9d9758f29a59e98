// Guest c: what the rows of the benchmark call, without a runtime of its own.
#include "../kernels.h"
#include <stdlib.h>

#define IMPORT(n) __attribute__((import_module("sandpool_v1"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("input_read") uint32_t input_read(void *p, uint32_t offset, uint32_t length);
IMPORT("output_write") void output_write(const void *p, uint32_t length);
IMPORT("fail") void fail(uint32_t code, const char *message, uint32_t message_length, const char *stack, uint32_t stack_length);

enum { CODE_ERROR = 1, CODE_INPUT = 2 };
enum { ECHO, WORK, SPIN, TRAP };

static uint32_t refuse(uint32_t code, const char *why) {
	fail(code, why, strlen(why), NULL, 0);
	return 1;
}

EXPORT("sandpool_v1_describe") uint32_t describe(void) {
#define BYTES(name) "{\"name\":\"" name "\",\"in\":\"bytes\",\"out\":\"bytes\"}"
	static const char about[] = "{\"sdk\":\"c\",\"functions\":[" BYTES("echo") "," BYTES("work") "," BYTES("spin") "," BYTES("trap") "]}";
	output_write(about, sizeof about - 1);
	return 0;
}

static uint32_t echo(uint32_t size) {
	char *p = malloc(size);
	if (p == NULL && size > 0)
		return refuse(CODE_ERROR, "out of memory");
	output_write(p, input_read(p, 0, size));
	free(p);
	return 0;
}

EXPORT("sandpool_v1_call") uint32_t call(uint32_t function, uint32_t size, uint32_t codecs) {
	if (codecs != 0)
		return refuse(CODE_INPUT, "raw bytes only");
	switch (function) {
	case ECHO:
		return echo(size);
	case WORK: {
		task t;
		if (size != sizeof t || input_read(&t, 0, size) != size || t.n > SIEVE_MAX)
			return refuse(CODE_INPUT, "not a task");
		uint32_t sum = work(t);
		output_write(&sum, sizeof sum);
		return 0;
	}
	case SPIN:
		for (volatile uint32_t i = 0;; i++)
			;
	case TRAP:
		__builtin_trap();
	}
	return refuse(CODE_INPUT, "no such function");
}
