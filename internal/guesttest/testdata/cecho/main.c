// Guest cecho: the smallest guest in C that needs its allocator. Its output is its
// input.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT(n) __attribute__((import_module("sandpool_v1"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("input_read") uint32_t input_read(void *p, uint32_t offset, uint32_t length);
IMPORT("output_write") void output_write(const void *p, uint32_t length);
IMPORT("fail") void fail(uint32_t code, const char *message, uint32_t message_length, const char *stack, uint32_t stack_length);

enum { CODE_ERROR = 1, CODE_INPUT = 2 };

static uint32_t refuse(uint32_t code, const char *why) {
	fail(code, why, strlen(why), NULL, 0);
	return 1;
}

EXPORT("sandpool_v1_describe") uint32_t describe(void) {
	static const char about[] = "{\"sdk\":\"c\",\"functions\":[{\"name\":\"echo\",\"in\":\"bytes\",\"out\":\"bytes\"}]}";
	output_write(about, sizeof about - 1);
	return 0;
}

EXPORT("sandpool_v1_call") uint32_t call(uint32_t function, uint32_t size, uint32_t codecs) {
	if (function != 0 || codecs != 0)
		return refuse(CODE_INPUT, "echo takes and returns raw bytes");
	char *p = malloc(size);
	if (p == NULL && size > 0)
		return refuse(CODE_ERROR, "out of memory");
	output_write(p, input_read(p, 0, size));
	free(p);
	return 0;
}
