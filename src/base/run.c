// SPDX-License-Identifier: Apache-2.0
#include "base/run.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* Of what a program writes, the end is kept, for the message. */
#define OUTPUT_KEPT  160
/* Children this process had before the program, which are not the program's. */
#define CHILDREN_MAX 64
#define FDS_MAX      8

/* The end of what arrived on one of its outputs. */
struct output {
	int fd;
	char text[OUTPUT_KEPT + 1];
	size_t len;
};

/**
 * struct running - A program at work
 * @others:	children of this process that are not the program's
 */
struct running {
	const struct rsm_run *run;
	pid_t pid;
	int pidfd;
	struct output out, err;
	pid_t others[CHILDREN_MAX];
	size_t n_others;
};

/* Return: how many, at most @max */
static size_t own_children(pid_t *pids, size_t max)
{
	char path[64];
	FILE *f;
	size_t n = 0;
	int pid;

	(void)rsm_format(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (n < max && fscanf(f, "%d", &pid) == 1)
		pids[n++] = pid;
	(void)fclose(f);
	return n;
}

static bool is_other(const struct running *r, pid_t pid)
{
	for (size_t i = 0; i < r->n_others; i++)
		if (r->others[i] == pid)
			return true;
	return false;
}

/* What is orphaned meanwhile becomes our child, so that in the end all of the tree was one. */
static void kill_tree(struct running *r)
{
	pid_t pids[CHILDREN_MAX];
	bool any;

	(void)kill(-r->pid, SIGKILL);
	do {
		size_t n = own_children(pids, RSM_ARRAY_SIZE(pids));

		any = false;
		for (size_t i = 0; i < n; i++) {
			if (is_other(r, pids[i]))
				continue;
			any = true;
			(void)kill(pids[i], SIGKILL);
			while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
				;
		}
	} while (any);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Return: fd or -errno */
static int input_fd(const char *text)
{
	_cleanup_close_ int fd = memfd_create("runsm-stdin", MFD_CLOEXEC);
	int ret = fd < 0 ? -errno : rsm_write_full(fd, text, strlen(text));

	if (ret == 0 && lseek(fd, 0, SEEK_SET) < 0)
		ret = -errno;
	return ret < 0 ? ret : rsm_steal_fd(fd);
}

/* In the child: async-signal-safe calls only. */
static int enter(void *cookie)
{
	const struct rsm_spawn *spawn = cookie;

	if (setpgid(0, 0) < 0)
		return -errno;
	return spawn->before_exec ? spawn->before_exec(spawn->cookie) : 0;
}

static int output_pipe(struct output *o, int *ret_theirs, struct rsm_error *err)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	o->fd = pipes[0];
	*ret_theirs = pipes[1];
	return rsm_set_nonblock(o->fd, true);
}

static int spawn(struct running *r, struct rsm_error *err)
{
	const struct rsm_spawn *wanted = &r->run->spawn;
	_cleanup_close_ int in = input_fd(r->run->input), out = -1, errfd = -1;
	struct rsm_spawn how = *wanted;
	int fds[FDS_MAX], ret = in;

	rsm_assert(wanted->nfds <= FDS_MAX);
	if (in < 0) {
		in = -1;
		return rsm_fail_errno(err, ret, "write the program's input");
	}
	ret = output_pipe(&r->out, &out, err);
	if (ret == 0)
		ret = output_pipe(&r->err, &errfd, err);
	if (ret < 0)
		return ret;
	fds[0] = in;
	fds[1] = out;
	fds[2] = errfd;
	for (size_t i = 3; i < wanted->nfds; i++)
		fds[i] = wanted->fds[i];
	how.fds = fds;
	how.nfds = rsm_max(wanted->nfds, (size_t)3);
	how.before_exec = enter;
	how.cookie = (void *)wanted;
	return rsm_spawn(&how, &r->pid, &r->pidfd, err);
}

/* Take what there is, keeping its end. */
static void collect(struct output *o)
{
	char buf[4096];
	ssize_t n;

	if (o->fd < 0)
		return;
	while ((n = read(o->fd, buf, sizeof(buf))) > 0) {
		size_t got = rsm_min((size_t)n, (size_t)OUTPUT_KEPT);
		size_t keep = rsm_min(o->len, OUTPUT_KEPT - got);

		memmove(o->text, o->text + o->len - keep, keep);
		memcpy(o->text + keep, buf + n - got, got);
		o->len = keep + got;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		rsm_close(&o->fd);
}

/* As one line, for a message. */
static const char *one_line(struct output *o)
{
	size_t n = 0;

	while (o->len > 0 && (unsigned char)o->text[o->len - 1] <= ' ')
		o->len--;
	for (size_t i = 0; i < o->len; i++)
		if ((unsigned char)o->text[i] > ' ' && o->text[i] != 0x7f)
			o->text[n++] = o->text[i];
		else if (n > 0 && o->text[n - 1] != ' ')
			o->text[n++] = ' ';
	o->text[n] = '\0';
	return o->text;
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the hook ends by itself: 0. Else why it is to be killed. */
static int attend(struct running *r, struct rsm_error *err)
{
	const int64_t end = r->run->timeout ? now_ms() + (int64_t)r->run->timeout * 1000 : 0;

	for (;;) {
		struct pollfd p[] = {{.fd = r->pidfd, .events = POLLIN},
				     {.fd = r->out.fd, .events = POLLIN},
				     {.fd = r->err.fd, .events = POLLIN},
				     {.fd = r->run->watch[0], .events = POLLIN},
				     {.fd = r->run->watch[1], .events = POLLIN}};
		int64_t left = end ? rsm_max(end - now_ms(), (int64_t)0) : -1;
		int n = poll(p, RSM_ARRAY_SIZE(p), (int)left);

		if (n < 0 && errno != EINTR)
			return rsm_fail_errno(err, errno, "poll");
		if (n < 0)
			continue;
		collect(&r->out);
		collect(&r->err);
		if (p[0].revents)
			return 0;
		if (p[3].revents || p[4].revents)
			return rsm_fail(err, ECANCELED, "was stopped");
		if (n == 0 && left == 0)
			return rsm_fail(err, ETIMEDOUT, "ran past its timeout of %u s",
					r->run->timeout);
	}
}

/* In the words of Go, which callers know from runc: "exit status 3", "signal: bad system call" */
static void describe(int status, char *to, size_t size)
{
	if (WIFSIGNALED(status)) {
		const char *name = strsignal(WTERMSIG(status));

		(void)rsm_format(to, size, "signal: %c%s", tolower((unsigned char)name[0]),
				 name + 1);
	} else {
		(void)rsm_format(to, size, "exit status %d", WEXITSTATUS(status));
	}
}

static int judge(struct running *r, struct rsm_error *err)
{
	char how[64];
	int status = 0;

	while (waitpid(r->pid, &status, 0) < 0)
		if (errno != EINTR)
			return rsm_fail_errno(err, errno, "wait");
	if (status == 0)
		return 0;
	describe(status, how, sizeof(how));
	return rsm_fail(err, EIO, "%s, stdout: %s, stderr: %s", how, one_line(&r->out),
			one_line(&r->err));
}

int rsm_run(const struct rsm_run *run, struct rsm_error *err)
{
	struct running r = {.run = run, .pidfd = -1, .out.fd = -1, .err.fd = -1};
	int ret;

	r.n_others = own_children(r.others, RSM_ARRAY_SIZE(r.others));
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	ret = spawn(&r, err);
	if (ret == 0) {
		ret = attend(&r, err);
		if (ret == 0)
			ret = judge(&r, err);
		else
			kill_tree(&r);
	}
	(void)prctl(PR_SET_CHILD_SUBREAPER, 0);
	rsm_close(&r.pidfd);
	rsm_close(&r.out.fd);
	rsm_close(&r.err.fd);
	return ret;
}
