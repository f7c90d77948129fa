/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes. A child never outlives its parent thread (PR_SET_PDEATHSIG) unless asked to,
 * gets exactly the fds it is told to, default signal dispositions and an empty or a full signal mask,
 * and is waited for through a pidfd.
 */
#ifndef RSM_BASE_PROC_H
#define RSM_BASE_PROC_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct rsm_spawn - How to start a program
 * @path:	what is executed; NULL for argv[0], searched in PATH without a slash
 * @argv:	NULL-terminated
 * @envp:	NULL for the caller's environment
 * @fds:	child's fd i is the caller's fds[i]; -1 gives /dev/null. Everything else is closed.
 * @namespaces: CLONE_NEW* the child gets; of a new pid namespace it is PID 1, which its parent sees
 *		under the pid that is returned, and which takes only signals that it handles or
 *		blocks, and SIGKILL and SIGSTOP
 * @blocked:	with all signals blocked from its first instruction on, so that none is lost before it
 *		handles them; the program unblocks them. False: none is blocked
 * @outlive:	do not die with the parent
 * @new_session: setsid()
 * @place:	runs in the caller while the child, just forked, waits: moves it to where it shall be
 *		(its cgroup); a failure ends the child and is rsm_spawn()'s
 * @before_exec: runs in the child right before exec, after the fds are in place; async-signal-safe
 *		calls only; a negative return ends the child and is reported by rsm_spawn()
 */
struct rsm_spawn {
	const char *path;
	const char *const *argv;
	const char *const *envp;
	const int *fds;
	size_t nfds;
	unsigned long namespaces;
	bool blocked;
	bool outlive;
	bool new_session;
	int (*place)(void *cookie, pid_t pid, struct rsm_error *err);
	int (*before_exec)(void *cookie);
	void *cookie;
};

/**
 * rsm_spawn() - fork and exec
 * @ret_pid:	of the child; the caller reaps it
 * @ret_pidfd:	may be NULL; close-on-exec
 *
 * Return: 0 once the exec succeeded; -errno with @err naming the program if the child could not be
 * started (nothing to reap then)
 */
int rsm_spawn(const struct rsm_spawn *how, pid_t *ret_pid, int *ret_pidfd, struct rsm_error *err);

/* Process start time in clock ticks since boot (proc(5), stat field 22), 0 if there is no such
 * process. Together with the pid it identifies a process for the life of the machine. */
uint64_t rsm_proc_start_time(pid_t pid);

/* 'R', 'S', 'Z', …, 0 if there is no such process */
char rsm_proc_state(pid_t pid);

int rsm_pidfd_open(pid_t pid);
int rsm_pidfd_send_signal(int pidfd, int sig);

/* Without the rights of the machine's root: another user, or uid 0 of a user namespace of its own. */
bool rsm_rootless(void);

/* Shell-style exit status from a wait status: exit code, or 128 + signal. */
int rsm_exit_status(int wstatus);

#endif
