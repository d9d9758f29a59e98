// Guest cstate: what a call can leave behind, in C. See State in the package
// guesttest.
#include <string.h>

#include "abi.h"

static const char about[] =
	"{\"sdk\":\"c\",\"functions\":["
	"{\"name\":\"mark\",\"in\":\"bytes\",\"out\":\"bytes\"},"
	"{\"name\":\"look\",\"in\":\"bytes\",\"out\":\"bytes\"},"
	"{\"name\":\"do\",\"in\":\"bytes\",\"out\":\"bytes\"}]}";

EXPORT("sandpool_v1_describe") uint32_t describe(void) {
	output_write(about, sizeof about - 1);
	return 0;
}

static uint32_t refuse(const char *why) {
	fail(CODE_INPUT, why, strlen(why), NULL, 0);
	return 1;
}

EXPORT("sandpool_v1_call") uint32_t call(uint32_t function, uint32_t size, uint32_t codecs) {
	// Before the call has written anything: two clean instances have one sum.
	uint64_t sum = checksum();
	char input[VERB + NUMBER];

	if (function >= FUNCTIONS || codecs != 0)
		return refuse("this guest has three functions from bytes to bytes");
	if (function == FUNCTION_LOOK) {
		look(sum);
		return 0;
	}
	uint32_t want = function == FUNCTION_MARK ? NUMBER : sizeof input;
	if (size != want || input_read(input, 0, want) != want)
		return refuse("the input is a number of 8 bytes, or a verb of 8 bytes and a number");
	if (function == FUNCTION_MARK) {
		mark(input);
		return 0;
	}
	if (memcmp(input, "look    ", VERB) == 0) {
		look(sum);
		return 0;
	}
	mark(input + VERB);
	return end(input);
}
