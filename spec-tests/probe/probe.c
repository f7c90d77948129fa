/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	return close(fd) < 0 || n != (ssize_t)strlen(text) ? -1 : 0;
}

int holds(const char *path, const char *text)
{
	char buf[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

int in_child(int (*fn)(const void *cookie), const void *cookie)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		status = fn(cookie);
		fflush(stdout);
		_exit(status & 0xff);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 255;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct user_call {
	unsigned int uid;
	int (*fn)(const void *cookie);
	const void *cookie;
};

static int become(const void *cookie)
{
	const struct user_call *u = cookie;

	if (setgroups(0, NULL) < 0 || setgid(u->uid) < 0 || setuid(u->uid) < 0)
		return 254;
	return u->fn(u->cookie);
}

int as_user(unsigned int uid, int (*fn)(const void *cookie), const void *cookie)
{
	struct user_call u = {uid, fn, cookie};

	return in_child(become, &u);
}

static int run_check(const void *cookie)
{
	const struct check *c = cookie;

	alarm(60); /* a check that hangs fails alone */
	umask(022);
	if ((mkdir(c->name, 0755) < 0 && errno != EEXIST) || chdir(c->name) < 0)
		FAIL("mkdir %s", c->name);
	return c->run();
}

static int run_checks(const struct check *c)
{
	for (; c->name; c++) {
		int rc = in_child(run_check, c);

		if (rc == 0)
			printf("ok %s\n", c->name);
		else
			printf("not ok %s: status %d\n", c->name, rc);
		fflush(stdout);
	}
	return 0;
}

/* Say every signal that arrives, those included that the C library keeps for itself. */
static int tell_signals(void)
{
	uint64_t all = ~0ULL;
	long sig;

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, sizeof(all)) < 0)
		FAIL("rt_sigprocmask");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		sig = syscall(SYS_rt_sigtimedwait, &all, NULL, NULL, sizeof(all));
		if (sig > 0)
			printf("got %ld\n", sig);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "segv"))
		return *(volatile char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
					      -1, 0);
	if (!strcmp(what, "trap"))
		__builtin_trap();
	if (!strcmp(what, "signals"))
		return tell_signals();
	if (!strcmp(what, "files") && argc == 3) {
		if (chdir(argv[2]) < 0)
			FAIL("chdir %s", argv[2]);
		run_checks(file_checks);
		run_checks(tree_checks);
		run_checks(share_checks);
		return 0;
	}
	if (!strcmp(what, "old-files") && argc == 3) {
		if (chdir(argv[2]) < 0)
			FAIL("chdir %s", argv[2]);
		return run_checks(old_checks);
	}
	if (!strcmp(what, "setxattr") && argc == 4) {
		if (setxattr(argv[2], argv[3], "x", 1, 0) < 0)
			FAIL("setxattr %s", argv[3]);
		return 0;
	}
	fprintf(stderr, "usage: probe segv | trap | signals | files DIRECTORY | old-files DIRECTORY "
			"| setxattr FILE NAME\n");
	return 2;
}
