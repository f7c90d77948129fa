// SPDX-License-Identifier: Apache-2.0
#include "agent/setup.h"

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LOWEST_OWN_FD 64

static void reset_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---------------------------------------------------------------- fds */

/* Move an fd out of the way of those the process gets; false if it is there and cannot be moved. */
static bool lift(int *fd, int min, int *kept, size_t *nkept)
{
	if (*fd < 0)
		return true;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, min);
	kept[(*nkept)++] = *fd;
	return *fd >= 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close everything but 0, 1, 2 and @kept. */
static int close_others(int *kept, size_t n)
{
	unsigned from = 3;

	qsort(kept, n, sizeof(*kept), by_number);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned)kept[i] > from && close_range(from, (unsigned)kept[i] - 1, 0) < 0)
			return -errno;
		from = rsm_max(from, (unsigned)kept[i] + 1);
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

/*
 * stdio and extra fds get their numbers, what the child needs itself goes above them, the agent's
 * other fds are closed at once: until execve() the container's processes can see what is open here.
 */
static int place_fds(struct setup *s)
{
	_cleanup_free_ int *kept = calloc(s->ntrees + s->nnodes + 2 * s->nextra + 5, sizeof(int));
	int min = LOWEST_OWN_FD, null;
	size_t n = 0;
	bool ok;

	if (!kept)
		return -ENOMEM;
	for (size_t i = 0; i < s->nextra; i++) {
		if (s->extra[i].target < 3 || s->extra[i].target >= 1 << 20)
			return -EBADF;
		min = rsm_max(min, s->extra[i].target + 1);
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] < 0)
			s->stdio[i] = null;
	ok = lift(&s->sync, min, kept, &n) && lift(&s->join, min, kept, &n);
	for (size_t i = 0; ok && i < s->ntrees; i++)
		ok = lift(&s->trees[i], min, kept, &n);
	for (size_t i = 0; ok && i < s->nnodes; i++)
		ok = lift(&s->nodes[i], min, kept, &n);
	for (size_t i = 0; ok && i < s->nextra; i++)
		ok = lift(&s->extra[i].fd, min, kept, &n);
	/* Those of the agent are never 0, 1 or 2: it opened them on its console first. */
	for (int i = 0; ok && i < 3; i++)
		ok = dup2(s->stdio[i], i) == i;
	for (size_t i = 0; ok && i < s->nextra; i++) {
		ok = dup2(s->extra[i].fd, s->extra[i].target) >= 0;
		kept[n++] = s->extra[i].target;
	}
	return ok ? close_others(kept, n) : -errno;
}

/* ---------------------------------------------------------------- report */

static void report(const struct setup *s, const struct rsm_error *err, int master)
{
	struct setup_report r = {.err = *err};

	/* The agent sees a failure here as the end of the socket without a report. */
	(void)rsm_send_fds(s->sync, &r, sizeof(r), &master, master >= 0 ? 1 : 0);
}

_Noreturn static void failed(const struct setup *s, const struct rsm_error *err)
{
	report(s, err, -1);
	_exit(1);
}

/* Nobody is told any more but the program's own stderr: as runc does it. */
_Noreturn static void exec_failed(const struct setup *s, const char *path, int code)
{
	struct rsm_error err = RSM_ERROR_INIT;
	char text[64];

	(void)rsm_format(text, sizeof(text), "%s", strerror(code));
	text[0] = (char)tolower((unsigned char)text[0]);
	(void)rsm_fail(&err, code, "exec %s: %s", path, text);
	err.exit_status = code == ENOENT ? 127 : 126;
	if (!s->request)
		failed(s, &err);
	(void)dprintf(STDERR_FILENO, "%s\n", err.message);
	_exit(255);
}

/* ---------------------------------------------------------------- init */

static int set_sysctl(const Runsm__Sysctl *sysctl)
{
	_cleanup_close_ int fd = -1;
	char path[256];
	int ret = rsm_format(path, sizeof(path), "/proc/sys/%s", sysctl->key);

	if (ret < 0 || strstr(sysctl->key, ".."))
		return -EINVAL;
	for (char *p = path + strlen("/proc/sys/"); *p; p++)
		if (*p == '.')
			*p = '/';
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : rsm_write_full(fd, sysctl->value, strlen(sysctl->value));
}

static int set_names_and_sysctls(const Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	if (r->hostname[0] && sethostname(r->hostname, strlen(r->hostname)) < 0)
		return rsm_fail_errno(err, errno, "set hostname '%s'", r->hostname);
	if (r->domainname[0] && setdomainname(r->domainname, strlen(r->domainname)) < 0)
		return rsm_fail_errno(err, errno, "set domainname '%s'", r->domainname);
	for (size_t i = 0; i < r->n_sysctls; i++) {
		int ret = set_sysctl(r->sysctls[i]);

		if (ret < 0)
			return rsm_fail_errno(err, ret, "linux.sysctl.%s: set it to '%.100s'",
					      r->sysctls[i]->key, r->sysctls[i]->value);
	}
	return 0;
}

static int make_cwd(const Runsm__Process *process, struct rsm_error *err)
{
	int ret = process->cwd[0] ? setup_mkdir_p(process->cwd, 0755) : 0;

	return ret < 0 ? rsm_fail_errno(err, ret, "make cwd '%s'", process->cwd) : 0;
}

/* @ret_master: of the terminal, if there is one; else left alone */
static int make_container(const struct setup *s, int *ret_master, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;
	int ret;

	/* Only now: the new namespace's root is the cgroup the child was cloned into. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return rsm_fail_errno(err, errno, "make a cgroup namespace");
	ret = r->namespaces & CLONE_NEWNET ? loopback_up(err) : 0;
	if (ret == 0)
		ret = set_names_and_sysctls(r, err);
	if (ret == 0 && !s->userns)
		ret = setup_oom_score_adj(0, s->process, err);
	if (ret == 0)
		ret = setup_timens(r, err);
	if (ret == 0)
		ret = setup_userns_mounts(s, err);
	if (ret == 0)
		ret = setup_root_enter(s, err);
	if (ret == 0)
		ret = setup_userns_root(s, err);
	if (ret == 0)
		ret = setup_mounts(s, err);
	if (ret == 0)
		ret = setup_dev(s, err);
	if (ret == 0 && s->process->terminal) {
		ret = setup_terminal(s->process, true, err);
		*ret_master = ret;
	}
	setup_reopen_null();
	if (ret >= 0)
		ret = make_cwd(s->process, err);
	return ret < 0 ? ret : setup_root_finish(s, err);
}

/* ---------------------------------------------------------------- exec */

static int join_container(const struct setup *s, int *ret_master, struct rsm_error *err)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP |
			 (s->namespaces & (CLONE_NEWUSER | CLONE_NEWTIME));
	int ret = setup_cpus(&s->process->exec_cpus_initial, "process.execCPUAffinity.initial", err);

	if (ret == 0 && !s->userns)
		ret = setup_oom_score_adj(0, s->process, err);
	if (ret < 0)
		return ret;
	if (setns(s->join, (int)flags) < 0)
		return rsm_fail_errno(err, errno, "join the container's namespaces");
	ret = setup_userns_root(s, err);
	if (ret < 0)
		return ret;
	setup_reopen_null();
	if (!s->process->terminal)
		return 0;
	*ret_master = setup_terminal(s->process, false, err);
	return rsm_min(*ret_master, 0);
}

_Noreturn static void execute(const struct setup *s, int master)
{
	struct rsm_error err = RSM_ERROR_INIT;
	_cleanup_free_ char **argv = NULL;
	char **env = setup_environment(s->process), *path, go;

	argv = calloc(s->process->n_args + 1, sizeof(*argv));
	if (!env || !argv) {
		(void)rsm_fail_errno(&err, ENOMEM, "prepare the arguments");
		failed(s, &err);
	}
	memcpy(argv, s->process->args, s->process->n_args * sizeof(*argv));
	if (!s->request && setup_cpus(&s->process->exec_cpus_final,
				      "process.execCPUAffinity.final", &err) < 0)
		failed(s, &err);
	if (setup_become(s, &err) < 0)
		failed(s, &err);
	path = setup_find_program(s->process, &err);
	if (!path)
		failed(s, &err);
	report(s, &err, master);
	rsm_close(&master);
	/* The end of the socket instead: the agent does not want it any more. */
	if (s->request && read(s->sync, &go, 1) != 1)
		_exit(1);
	if (setup_late_seccomp(s->process, &err) < 0)
		failed(s, &err);
	if (s->request && setup_start_hooks(s->request, env, &err) < 0)
		failed(s, &err);
	(void)execve(path, argv, env);
	exec_failed(s, path, errno);
}

void setup_child(struct setup *s)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int master = -1, ret;

	if (s->die_with_parent)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What runs in the container already must not look into this process. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	reset_signals();
	umask(0);
	(void)setsid();
	ret = place_fds(s);
	if (ret < 0) {
		(void)rsm_fail_errno(&err, ret, "give the process its fds");
		failed(s, &err);
	}
	ret = setup_wait(s, &err);
	if (ret == 0)
		ret = s->request ? make_container(s, &master, &err)
				 : join_container(s, &master, &err);
	if (ret < 0)
		failed(s, &err);
	execute(s, master);
}
