// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sys/utsname.h>

/*
 * From Linux 6.3 on, what a process leaves unwritten when it is killed is flushed to the FUSE
 * server in the background ("fuse: in fuse_flush only wait if someone wants the return code");
 * before, its exit waits for that.
 */
static bool kernel_flushes_late(void)
{
	struct utsname uts;
	unsigned major = 0, minor = 0;

	if (uname(&uts) < 0 || sscanf(uts.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 6 || (major == 6 && minor >= 3);
}

static void on_signal(void *cookie, int fd, uint32_t events)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		;
	containers_reap(cookie);
}

static int serve(struct agent *a, int fd, struct rsm_error *err)
{
	sigset_t mask;
	int ret;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	a->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	a->pidns_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (a->signal_fd < 0 || a->pidns_fd < 0)
		return rsm_fail_errno(err, errno, "watch for children");
	ret = rsm_loop_new(&a->loop);
	if (ret == 0)
		ret = rsm_loop_add(a->loop, a->signal_fd, EPOLLIN, on_signal, a, NULL);
	if (ret == 0)
		ret = ttrpc_conn_new(a->loop, fd, &rpc_server, a, &a->conn);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "serve the host");
	if (!a->test)
		modules_load_late(a);
	ret = rsm_loop_run(a->loop);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "the connection to the host has failed");
	return rsm_fail(err, ECONNRESET, "the host has closed the connection");
}

/* ---------------------------------------------------------------- in the guest */

_Noreturn static void run_in_guest(struct agent *a)
{
	struct rsm_error err = RSM_ERROR_INIT;
	int fd;

	if (boot_guest(a, &err) < 0)
		boot_failed(&err);
	a->sync_at_exit = kernel_flushes_late();
	fd = transport_connect_wait(a, AGENT_PORT);
	if (fd < 0)
		(void)rsm_fail_errno(&err, fd, "connect to vsock port %d of the host", AGENT_PORT);
	else
		(void)serve(a, fd, &err);
	boot_failed(&err);
}

/* ---------------------------------------------------------------- for tests, never as PID 1 */

static void kill_all(struct agent *a)
{
	for (struct container *c = a->containers; c; c = c->next) {
		(void)cgroup_signal(c->cgroup_fd, SIGKILL);
		for (struct process *p = c->processes; p; p = p->next)
			if (p->state < PROCESS_EXITED)
				(void)kill(p->pid, SIGKILL);
	}
	while (a->containers) {
		for (struct process *p = a->containers->processes; p; p = p->next)
			if (p->state < PROCESS_EXITED)
				(void)waitpid(p->pid, NULL, 0);
		container_free(a->containers);
	}
}

static int run_as_test(struct agent *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"test-socket", required_argument, NULL, 's'},
		{"exports", required_argument, NULL, 'e'},
		{"ports", required_argument, NULL, 'p'},
		{"cgroup", required_argument, NULL, 'c'},
		{"staging", required_argument, NULL, 't'},
		{0},
	};
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = -1, opt;

	a->test = true;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			fd = atoi(optarg);
			(void)rsm_set_cloexec(fd, true);
			break;
		case 'e':
			a->exports_fd = open(optarg, O_PATH | O_DIRECTORY | O_CLOEXEC);
			break;
		case 'p':
			a->ports_fd = open(optarg, O_PATH | O_DIRECTORY | O_CLOEXEC);
			break;
		case 'c':
			a->cgroup_fd = open(optarg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			break;
		case 't':
			a->staging = optarg;
			break;
		default:
			return 2;
		}
	}
	if (fd < 0 || a->exports_fd < 0 || a->ports_fd < 0 || a->cgroup_fd < 0 || !a->staging) {
		(void)fprintf(stderr, "runsm-agent is the init of runsm's guests; it does nothing "
				      "when started by hand\n");
		return 2;
	}
	(void)serve(a, fd, &err);
	kill_all(a);
	return 0;
}

int main(int argc, char **argv)
{
	struct agent a = {
		.exports_fd = -1, .cgroup_fd = -1, .ports_fd = -1, .pidns_fd = -1, .signal_fd = -1};

	if (getpid() == 1)
		run_in_guest(&a);
	return run_as_test(&a, argc, argv);
}
