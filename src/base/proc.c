// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SPAWN_FDS_MAX 32

/*
 * Move the wanted fds to 0..n-1: first all of them above the range, so that none is overwritten
 * before it was copied, then down.
 */
static int place_fds(const struct rsm_spawn *how, int keep)
{
	int high[SPAWN_FDS_MAX], min = (int)how->nfds + 1;

	for (size_t i = 0; i < how->nfds; i++) {
		int fd = how->fds[i];

		high[i] = fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fd;
		if (high[i] < 0)
			return -errno;
		high[i] = fcntl(high[i], F_DUPFD_CLOEXEC, min);
		if (high[i] < 0)
			return -errno;
	}
	if (keep < min) {
		keep = fcntl(keep, F_DUPFD_CLOEXEC, min);
		if (keep < 0)
			return -errno;
	}
	for (size_t i = 0; i < how->nfds; i++)
		if (dup2(high[i], (int)i) < 0)
			return -errno;
	/* Only the report pipe stays open, until exec. */
	if (dup3(keep, (int)how->nfds, O_CLOEXEC) < 0)
		return -errno;
	if (close_range((unsigned)how->nfds + 1, ~0U, 0) < 0)
		return -errno;
	return (int)how->nfds;
}

/* Until the parent has placed us; an end of file: it failed, or is gone. */
static void wait_placed(const int gate[2])
{
	char c;

	close(gate[1]);
	if (rsm_read_full(gate[0], &c, 1) != 1)
		_exit(127);
}

_Noreturn static void child(const struct rsm_spawn *how, pid_t parent, int report,
			    const int gate[2])
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int ret = 0;

	if (how->place)
		wait_placed(gate);

	if (!how->outlive) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* it died before the prctl; from another pid namespace that cannot be told */
		if (!(how->namespaces & CLONE_NEWPID) && getppid() != parent)
			_exit(127);
	}
	if (how->new_session)
		(void)setsid();
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	if (!how->blocked)
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
	ret = place_fds(how, report);
	if (ret >= 0) {
		report = ret;
		ret = how->before_exec ? how->before_exec(how->cookie) : 0;
	}
	if (ret >= 0) {
		if (how->path)
			execve(how->path, (char *const *)how->argv,
			       how->envp ? (char *const *)how->envp : environ);
		else if (how->envp)
			execvpe(how->argv[0], (char *const *)how->argv, (char *const *)how->envp);
		else
			execvp(how->argv[0], (char *const *)how->argv);
		ret = -errno;
	}
	if (write(report, &ret, sizeof(ret)) < 0)
		_exit(126);
	_exit(127);
}

/* not unshare(), whose pid namespace would have all later children of ours too */
static pid_t make_child(const struct rsm_spawn *how)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	if (how->blocked)
		(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = how->namespaces
		      ? (pid_t)syscall(SYS_clone, how->namespaces | SIGCHLD, NULL, NULL, NULL, NULL)
		      : fork();
	if (how->blocked && pid != 0) {
		int saved_errno = errno;

		(void)sigprocmask(SIG_SETMASK, &old, NULL);
		errno = saved_errno;
	}
	return pid;
}

int rsm_spawn(const struct rsm_spawn *how, pid_t *ret_pid, int *ret_pidfd, struct rsm_error *err)
{
	_cleanup_close_ int report_r = -1, report_w = -1, gate_r = -1, gate_w = -1, pidfd = -1;
	pid_t parent = getpid(), pid;
	int pipefd[2], failure = 0, ret = 0;
	ssize_t n;

	rsm_assert(how->nfds <= SPAWN_FDS_MAX);
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	report_r = pipefd[0];
	report_w = pipefd[1];
	if (how->place && pipe2(pipefd, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	if (how->place) {
		gate_r = pipefd[0];
		gate_w = pipefd[1];
	}
	pid = make_child(how);
	if (pid < 0)
		return rsm_fail_errno(err, errno, "fork for '%s'", how->argv[0]);
	if (pid == 0)
		child(how, parent, report_w, (const int[]){gate_r, gate_w});
	rsm_close(&report_w);
	if (how->place) {
		ret = how->place(how->cookie, pid, err);
		if (ret == 0) /* one that died meanwhile is reported below */
			(void)rsm_write_full(gate_w, "", 1);
		rsm_close(&gate_w);
	}
	pidfd = rsm_pidfd_open(pid);
	n = rsm_read_full(report_r, &failure, sizeof(failure));
	if (n == 0 && pidfd >= 0 && ret == 0) {
		*ret_pid = pid;
		if (ret_pidfd)
			*ret_pidfd = rsm_steal_fd(pidfd);
		return 0;
	}
	if (n != sizeof(failure))
		failure = pidfd < 0 ? pidfd : -EIO;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (ret < 0)
		return ret;
	return rsm_fail_errno(err, failure, "execute '%s'", how->path ? how->path : how->argv[0]);
}

/* Text behind the ")" that ends the command name, which may itself contain ")" and spaces. */
static const char *stat_fields(pid_t pid, char *buf, size_t size)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t n;
	char *p;

	(void)rsm_format(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = rsm_read_full(fd, buf, size - 1);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p && p[1] == ' ' ? p + 2 : NULL;
}

uint64_t rsm_proc_start_time(pid_t pid)
{
	char buf[1024];
	const char *p = stat_fields(pid, buf, sizeof(buf));

	/* p is at field 3; field 22 is 19 fields on */
	for (int i = 0; p && i < 19; i++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	return p ? strtoull(p, NULL, 10) : 0;
}

char rsm_proc_state(pid_t pid)
{
	char buf[1024];
	const char *p = stat_fields(pid, buf, sizeof(buf));

	return p ? *p : 0;
}

int rsm_pidfd_open(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

int rsm_pidfd_send_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int rsm_exit_status(int wstatus)
{
	return WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
}

/* The initial user namespace maps every id to itself (user_namespaces(7)). */
bool rsm_rootless(void)
{
	_cleanup_free_ char *map = NULL;
	unsigned inside, outside, count;

	if (geteuid() != 0)
		return true;
	if (rsm_read_file_at(AT_FDCWD, "/proc/self/uid_map", 65536, &map, NULL) < 0)
		return false;
	return sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 &&
	       (inside != 0 || outside != 0 || count != UINT32_MAX);
}
