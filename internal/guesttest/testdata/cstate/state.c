// What mark changes and look reports.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

#include "abi.h"

#define PAGE 65536u
#define PATTERN 64u // bytes: the magic word and the number, four times
#define BLOCKS 16u  // allocations that are kept
#define GROWN 8u    // pages that mark adds, at most

// Inverted, so that the magic word itself is in memory only where mark puts it.
#define INVERTED_MAGIC (~(uint64_t)0x212144454b41454c) // "LEAKED!!"

static uint32_t calls, marks, handlers, grown;
static char last[NUMBER] = "--------"; // initialised data
static uint64_t zeroed[PATTERN / 8];   // and data that is not
static uint64_t data[PATTERN / 8] = {1};
static double real = 0.5;
static char *blocks[BLOCKS];
static char tokens[] = "one two three";
static char buffer[2048]; // of the standard output
static void (*hook)(void);

static uint64_t sum_of(const uint64_t *p, const uint64_t *end) {
	uint64_t h = 14695981039346656037u;
	for (; p != end; p++)
		h = (h ^ *p) * 1099511628211u;
	return h;
}

// checksum covers the linear memory, all of it.
uint64_t checksum(void) {
	const volatile uintptr_t start = 0; // no compiler likes to read there
	return sum_of((const uint64_t *)start, (const uint64_t *)(__builtin_wasm_memory_size(0) * PAGE));
}

static uint32_t found(void) {
	const volatile uintptr_t start = 0;
	const uint64_t *p = (const uint64_t *)start;
	const uint64_t *end = (const uint64_t *)(__builtin_wasm_memory_size(0) * PAGE);
	uint32_t n = 0;
	for (; p != end; p++)
		n += ~*p == INVERTED_MAGIC;
	return n;
}

static void fill(void *p, size_t n, const char number[NUMBER]) {
	static volatile uint64_t inverted = INVERTED_MAGIC; // so that no constant is the word itself
	uint64_t *words = p;
	for (size_t i = 0; i + 1 < n / 8; i += 2) {
		words[i] = ~inverted;
		memcpy(&words[i + 1], number, NUMBER);
	}
}

__attribute__((noinline)) static void fill_stack(const char number[NUMBER]) {
	uint64_t frame[4096 / 8];
	fill(frame, sizeof frame, number);
	__asm__ volatile("" ::"r"(frame) : "memory");
}

static void handler(void) { handlers++; }

static void grow(const char number[NUMBER]) {
	if (grown >= GROWN)
		return;
	size_t at = __builtin_wasm_memory_grow(0, 2);
	if (at == SIZE_MAX)
		return;
	grown += 2;
	char *p = (char *)(at * PAGE);
	fill(p, PATTERN, number);
	fill(p + 2 * PAGE - PATTERN, PATTERN, number);
}

static void allocate(const char number[NUMBER]) {
	char **block = &blocks[marks % BLOCKS];
	size_t size = 64 << marks % 8; // up to 8 KiB
	free(*block);
	*block = calloc(1, size);
	if (*block)
		fill(*block, size, number);
}

void mark(const char number[NUMBER]) {
	calls++;
	memcpy(last, number, NUMBER);
	fill(zeroed, sizeof zeroed, number);
	fill(data, sizeof data, number);
	real += 1;
	allocate(number);
	grow(number);
	fill_stack(number);
	if (marks == 0) {
		atexit(handler);
		hook = handler;
		setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
		strtok(tokens, " ");
	}
	char text[NUMBER + 1] = {0};
	memcpy(text, number, NUMBER);
	printf("out %s", text); // no newline, no flush
	fprintf(stderr, "err %s", text);
	ungetc('x', stdin);
	setenv("LEAK", text, 1);
	srand(42 + marks);
	int fd = open("/leak", O_CREAT | O_RDWR, 0600);
	if (fd >= 0)
		write(fd, text, NUMBER); // and left open
	marks++;
	errno = EXDEV;
}

static void say(const char *format, ...) {
	char line[160];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n > 0)
		output_write(line, n < (int)sizeof line ? n : (int)sizeof line - 1);
}

static void say_descriptors(void) {
	for (__wasi_fd_t fd = 0; fd < 6; fd++) {
		__wasi_fdstat_t stat;
		memset(&stat, 0, sizeof stat);
		__wasi_errno_t err = __wasi_fd_fdstat_get(fd, &stat);
		say("fd%u=%u/%u/%u\n", fd, err, stat.fs_filetype, stat.fs_flags);
	}
}

void look(uint64_t sum) {
	int error = errno;
	uint32_t magic = found();
	calls++;
	say("calls=%08x marks=%08x last=%.8s\n", calls, marks, last);
	say("found=%08x\n", magic);
	say("pages=%08zx sum=%016llx\n", __builtin_wasm_memory_size(0), (unsigned long long)sum);
	say("errno=%d real=%g hook=%d handlers=%u\n", error, real, hook != NULL, handlers);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < BLOCKS; i++)
		kept += blocks[i] != NULL;
	say("blocks=%u zeroed=%016llx\n", kept, (unsigned long long)sum_of(zeroed, zeroed + PATTERN / 8));
	const char *token = strtok(NULL, " "), *env = getenv("LEAK");
	say("token=%s env=%s rand=%d\n", token ? token : "-", env ? env : "-", rand());
	say("pending=%zu buffered=%zu\n", __fpending(stdout), __fbufsize(stdout));
	say_descriptors();
}
