// The guest interface, by hand: guest/ABI.md in C.
#ifndef ABI_H
#define ABI_H

#include <stddef.h>
#include <stdint.h>

#define IMPORT(n) __attribute__((import_module("sandpool_v1"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("input_read") uint32_t input_read(void *p, uint32_t offset, uint32_t length);
IMPORT("output_write") void output_write(const void *p, uint32_t length);
IMPORT("fail") void fail(uint32_t code, const char *message, uint32_t message_length, const char *stack, uint32_t stack_length);

enum { CODE_ERROR = 1, CODE_INPUT = 2 };

// The functions of this guest, in the order of the description.
enum { FUNCTION_MARK, FUNCTION_LOOK, FUNCTION_DO, FUNCTIONS };

#define NUMBER 8 // bytes of a mark's number
#define VERB 8   // bytes of a verb, padded with spaces

// state.c
uint64_t checksum(void);
void mark(const char number[NUMBER]);
void look(uint64_t sum);

// endings.c; returns only from endings after which the instance goes on.
uint32_t end(const char verb[VERB]);

#endif
