// A program that looks at all it can see of the world through the C library.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++)
		printf("arg %s\n", argv[i]);
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	printf("A is %s\n", getenv("A"));

	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("real %lld.%09ld\n", (long long)ts.tv_sec, ts.tv_nsec);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	printf("mono %lld.%09ld\n", (long long)ts.tv_sec, ts.tv_nsec);

	unsigned char random[4];
	if (getentropy(random, sizeof random) != 0)
		return 1;
	printf("random %d %d %d %d\n", random[0], random[1], random[2], random[3]);

	ts.tv_sec = 1, ts.tv_nsec = 5;
	printf("sleep %d\n", nanosleep(&ts, NULL));
	struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
	printf("poll %d", poll(fds, 2, 1000));
	printf(" %d %d\n", (fds[0].revents & POLLIN) != 0, (fds[1].revents & POLLOUT) != 0);

	struct stat st;
	printf("isatty %d, fstat %d %d\n", isatty(1), fstat(1, &st), S_ISCHR(st.st_mode));
	printf("getchar %d, eof %d\n", getchar(), feof(stdin));
	off_t at = lseek(1, 0, SEEK_CUR);
	printf("lseek %d %s\n", (int)at, strerror(errno));
	FILE *f = fopen("/etc/passwd", "r");
	printf("fopen %d\n", f != NULL);

	fprintf(stderr, "last words\n");
	fclose(stderr);
	printf("closed %d\n", write(2, "x", 1) < 0 && errno == EBADF);
	printf("unfinished");
	exit(7);
}
