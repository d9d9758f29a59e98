// Guest climits: tight loops, for what it costs to interrupt or to count them. A call
// runs one of the loops and returns a number that depends on all of it.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT(n) __attribute__((import_module("sandpool_v1"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("output_write") void output_write(const void *p, uint32_t length);
IMPORT("fail") void fail(uint32_t code, const char *message, uint32_t message_length, const char *stack, uint32_t stack_length);

static uint32_t sieve(void) {
	enum { N = 1 << 20 };
	static uint8_t composite[N];
	memset(composite, 0, N);
	uint32_t primes = 0;
	for (uint32_t i = 2; i < N; i++) {
		if (composite[i])
			continue;
		primes++;
		for (uint32_t j = 2 * i; j < N; j += i)
			composite[j] = 1;
	}
	return primes;
}

static uint32_t matmul(void) {
	enum { N = 160 };
	static double a[N][N], b[N][N], c[N][N];
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++)
			a[i][j] = i + j, b[i][j] = i - j;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			double sum = 0;
			for (int k = 0; k < N; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum;
		}
	return (uint32_t)(int32_t)c[N - 1][1];
}

static uint32_t mix(void) {
	uint32_t x = 1, y = 2, z = 3, w = 4;
	for (int i = 0; i < 2000000; i++) {
		x += y, w ^= x, w = w << 16 | w >> 16;
		z += w, y ^= z, y = y << 12 | y >> 20;
	}
	return x ^ y ^ z ^ w;
}

__attribute__((noinline)) static uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static uint32_t insertion(void) {
	enum { N = 3000 };
	static uint32_t v[N];
	uint32_t x = 7;
	for (int i = 0; i < N; i++)
		x = x * 1664525 + 1013904223, v[i] = x;
	for (int i = 1; i < N; i++) {
		uint32_t key = v[i];
		int j = i;
		for (; j > 0 && v[j - 1] > key; j--)
			v[j] = v[j - 1];
		v[j] = key;
	}
	return v[N / 2];
}

static int compare(const void *p, const void *q) {
	uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)q;
	return a < b ? -1 : a > b;
}

static uint32_t quicksort(void) {
	enum { N = 50000 };
	static uint32_t v[N];
	uint32_t x = 7;
	for (int i = 0; i < N; i++)
		x = x * 1664525 + 1013904223, v[i] = x;
	qsort(v, N, sizeof v[0], compare);
	return v[N / 2];
}

EXPORT("sandpool_v1_describe") uint32_t describe(void) {
	static const char about[] = "{\"sdk\":\"c\",\"functions\":["
		"{\"name\":\"sieve\",\"in\":\"bytes\",\"out\":\"bytes\"},{\"name\":\"matmul\",\"in\":\"bytes\",\"out\":\"bytes\"},"
		"{\"name\":\"mix\",\"in\":\"bytes\",\"out\":\"bytes\"},{\"name\":\"fib\",\"in\":\"bytes\",\"out\":\"bytes\"},"
		"{\"name\":\"insertion\",\"in\":\"bytes\",\"out\":\"bytes\"},{\"name\":\"quicksort\",\"in\":\"bytes\",\"out\":\"bytes\"}]}";
	output_write(about, sizeof about - 1);
	return 0;
}

EXPORT("sandpool_v1_call") uint32_t call(uint32_t function, uint32_t size, uint32_t codecs) {
	(void)size, (void)codecs;
	uint32_t result;
	switch (function) {
	case 0: result = sieve(); break;
	case 1: result = matmul(); break;
	case 2: result = mix(); break;
	case 3: result = fib(27); break;
	case 4: result = insertion(); break;
	case 5: result = quicksort(); break;
	default: fail(1, "no such function", 16, NULL, 0); return 1;
	}
	output_write(&result, sizeof result);
	return 0;
}
