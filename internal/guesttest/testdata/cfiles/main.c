// Guest cfiles: things to do with files, as programs in C do them. Its input has a line for
// each, the operation and its operands separated by tabs; its output has a line for each that
// was done: 0 and what came of it, or the number of the error.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

#define IMPORT(n) __attribute__((import_module("sandpool_v1"), import_name(n)))
#define EXPORT(n) __attribute__((export_name(n)))

IMPORT("input_read") uint32_t input_read(void *p, uint32_t offset, uint32_t length);
IMPORT("output_write") void output_write(const void *p, uint32_t length);
IMPORT("fail") void fail(uint32_t code, const char *message, uint32_t message_length, const char *stack, uint32_t stack_length);

enum { CODE_ERROR = 1, CODE_INPUT = 2 };
enum { OPERANDS = 3, TEXT = 4096 };

// What came of the operation under way.
static char text[TEXT];
static size_t length;

static void say(const char *s, size_t n) {
	if (n > TEXT - length)
		n = TEXT - length;
	memcpy(text + length, s, n);
	length += n;
}

// done closes a descriptor and passes a result on, with its error.
static int done(int fd, ssize_t result) {
	int before = errno;
	if (close(fd) != 0 && result >= 0)
		return -1;
	errno = before;
	return result < 0 ? -1 : 0;
}

static int read_from(const char *path, off_t at) {
	char part[512];
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	if (lseek(fd, at, SEEK_SET) < 0)
		return done(fd, -1);
	for (;;) {
		ssize_t n = read(fd, part, sizeof part);
		if (n <= 0)
			return done(fd, n);
		say(part, n);
	}
}

static int write_to(const char *path, int flags, const char *what) {
	int fd = open(path, O_WRONLY | flags, 0600);
	if (fd < 0)
		return -1;
	return done(fd, write(fd, what, strlen(what)));
}

static int write_at(const char *path, off_t at, const char *what) {
	int fd = open(path, O_RDWR);
	if (fd < 0)
		return -1;
	ssize_t n = pwrite(fd, what, strlen(what), at);
	if (n >= 0 && fsync(fd) != 0)
		n = -1;
	return done(fd, n);
}

static int list(const char *path) {
	DIR *d = opendir(path);
	if (d == NULL)
		return -1;
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (e == NULL)
			break;
		say(e->d_name, strlen(e->d_name));
		say(e->d_type == DT_DIR ? "/ " : e->d_type == DT_LNK ? "@ " : " ", e->d_type == DT_DIR || e->d_type == DT_LNK ? 2 : 1);
	}
	int before = errno;
	closedir(d);
	errno = before;
	return before == 0 ? 0 : -1;
}

static int tell(int result, const struct stat *s) {
	if (result == 0) {
		char line[64];
		const char *kind = S_ISDIR(s->st_mode) ? "dir" : S_ISLNK(s->st_mode) ? "link" : S_ISREG(s->st_mode) ? "file" : "other";
		say(line, snprintf(line, sizeof line, "%s %lld", kind, S_ISREG(s->st_mode) ? (long long)s->st_size : 0));
	}
	return result;
}

static int link_of(const char *path) {
	char to[512];
	ssize_t n = readlink(path, to, sizeof to);
	if (n < 0)
		return -1;
	say(to, n);
	return 0;
}

// raw opens a path from a descriptor, as no C library would let it.
static int raw(int from, const char *path, int flags) {
	__wasi_fd_t fd;
	__wasi_rights_t rights = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE;
	errno = __wasi_path_open(from, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, flags, rights, rights, 0, &fd);
	if (errno != 0) {
		errno = __wasi_path_open(from, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, flags, __WASI_RIGHTS_FD_READ, 0, 0, &fd);
	}
	if (errno != 0)
		return -1;
	char part[512];
	ssize_t n = read(fd, part, sizeof part);
	if (n > 0)
		say(part, n);
	return done(fd, n);
}

static int operate(const char *op, char *a, char *b, char *c) {
	struct stat s;
#define IS(name) (strcmp(op, name) == 0)
	if (IS("read"))
		return read_from(a, 0);
	if (IS("seek"))
		return read_from(a, atoll(b));
	if (IS("write"))
		return write_to(a, O_CREAT | O_TRUNC, b);
	if (IS("append"))
		return write_to(a, O_APPEND, b);
	if (IS("exclusive"))
		return write_to(a, O_CREAT | O_EXCL, b);
	if (IS("writeat"))
		return write_at(a, atoll(b), c);
	if (IS("truncate"))
		return truncate(a, atoll(b));
	if (IS("list"))
		return list(a);
	if (IS("stat"))
		return tell(stat(a, &s), &s);
	if (IS("lstat"))
		return tell(lstat(a, &s), &s);
	if (IS("readlink"))
		return link_of(a);
	if (IS("rename"))
		return rename(a, b);
	if (IS("unlink"))
		return unlink(a);
	if (IS("mkdir"))
		return mkdir(a, 0700);
	if (IS("rmdir"))
		return rmdir(a);
	if (IS("symlink"))
		return symlink(a, b);
	if (IS("link"))
		return link(a, b);
	if (IS("raw"))
		return raw(atoi(a), b, 0);
	if (IS("rawmake"))
		return raw(atoi(a), b, __WASI_OFLAGS_CREAT);
	errno = ENOSYS;
	return -1;
}

// line does what a line of the input says.
static void line(char *l) {
	char *operand[OPERANDS] = {"", "", ""}, *next = l;
	strsep(&next, "\t");
	for (int i = 0; i < OPERANDS && next != NULL; i++)
		operand[i] = strsep(&next, "\t");
	char status[16];
	length = 0;
	errno = 0;
	if (operate(l, operand[0], operand[1], operand[2]) == 0) {
		output_write("0 ", 2);
		output_write(text, length);
	} else {
		output_write(status, snprintf(status, sizeof status, "%d", errno));
	}
	output_write("\n", 1);
}

EXPORT("sandpool_v1_describe") uint32_t describe(void) {
	static const char about[] = "{\"sdk\":\"c\",\"functions\":[{\"name\":\"files\",\"in\":\"bytes\",\"out\":\"bytes\"}]}";
	output_write(about, sizeof about - 1);
	return 0;
}

EXPORT("sandpool_v1_call") uint32_t call(uint32_t function, uint32_t size, uint32_t codecs) {
	if (function != 0 || codecs != 0) {
		static const char why[] = "files takes and returns raw bytes";
		fail(CODE_INPUT, why, sizeof why - 1, NULL, 0);
		return 1;
	}
	char *input = malloc((size_t)size + 1);
	if (input == NULL) {
		static const char why[] = "out of memory";
		fail(CODE_ERROR, why, sizeof why - 1, NULL, 0);
		return 1;
	}
	input[input_read(input, 0, size)] = 0;
	for (char *next = input, *l; (l = strsep(&next, "\n")) != NULL;)
		if (*l != 0)
			line(l);
	free(input);
	return 0;
}
