/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side: from clone3() to execve(). Private to src/agent.
 *
 * The child is a copy of the agent in the container's pid namespace and cgroup, with one thread. It
 * owns nothing but the fds in struct setup, and ends by execve() or _exit(). It talks to the agent
 * over a SOCK_SEQPACKET pair:
 *
 *	child → agent	struct setup_report: ready (with the terminal's master as SCM_RIGHTS, if it
 *			has one), or what failed
 *	agent → child	one byte, if it waits for the agent's part (user namespace, network interface)
 *	agent → child	one byte: init may execute. A child of exec does so at once.
 *	end of file	at the agent: the child executed, or died
 *
 * Order of an init: own namespaces; what needs the guest's /proc; pivot_root() into the root, from
 * where every path is the container's; mounts in order; /dev; terminal; masked and read-only paths;
 * then what becoming the process means, rights last.
 */
#ifndef RSM_AGENT_SETUP_H
#define RSM_AGENT_SETUP_H

#include "base/error.h"
#include "ttrpc/agent.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct setup_report {
	struct rsm_error err; /* code 0: ready */
};

struct setup_extra {
	int fd;     /* in the agent */
	int target; /* in the process */
};

/**
 * struct setup - What a child is given
 * @request:	of init; NULL for exec
 * @trees:	detached mounts: the root, then one per element of request->mounts (-1: not a bind)
 * @stdio:	fds to become 0, 1, 2; -1: /dev/null, or all three the terminal
 * @nodes:	device nodes to mount, in a user namespace: it may make none (setup_dev.c)
 * @join:	exec: pidfd of the container's init
 * @cgroup:	the child is born in
 * @namespaces:	CLONE_NEW* that the container asked for
 * @userns:	the child is in a user namespace, or will be
 */
struct setup {
	const Runsm__CreateContainerRequest *request;
	const Runsm__Process *process;
	const char *staging;
	int sync;
	int *trees;
	size_t ntrees;
	int stdio[3];
	struct setup_extra *extra;
	size_t nextra;
	int *nodes;
	size_t nnodes;
	int join;
	int cgroup;
	uint64_t namespaces;
	bool userns;
	bool die_with_parent;
};

/* Does the agent do something to the child, and tell it to go on by one byte? */
static inline bool setup_waits(const struct setup *s)
{
	return s->userns || (s->request && s->request->nic);
}

/* Never returns. */
_Noreturn void setup_child(struct setup *s);

/* ---- setup_root.c */

/* Detached copy of an export's tree with the flags of @m, NULL being the root's; Return: mount fd or
 * -errno */
int setup_open_tree(int exports_fd, const char *name, const Runsm__Mount *m, struct rsm_error *err);
/* Detached mount of the scratch disk; Return: mount fd or -errno */
int setup_open_scratch(struct rsm_error *err);
/* Its root directory looks like the one it covers, and is empty; 0 or -errno */
int setup_dress_scratch(int tree, int covered);
/* Detached mount of a device's node; Return: mount fd or -errno */
int setup_open_device(const Runsm__Mount *m, struct rsm_error *err);
/* MS_* of one mount by its fd; 0 or -errno */
int setup_mount_flags(int fd, uint64_t ms_flags);
int setup_root_enter(const struct setup *s, struct rsm_error *err);
int setup_mounts(const struct setup *s, struct rsm_error *err);
int setup_root_finish(const struct setup *s, struct rsm_error *err);

/* ---- setup_copyup.c */

/* Copy a directory, which now is below the tmpfs at @destination, into that; 0 or -errno */
int setup_copy_up(int from, const char *destination);

/* ---- setup_path.c: paths of the container, from inside its root */

/* O_PATH fd of @path, magic links refused; -errno */
int setup_path_open(const char *path);
/* The same, made where missing: as an empty file or as a directory; missing parents too. */
int setup_path_make(const char *path, bool is_file);
/* mkdir -p that follows symlinks to what is not there yet */
int setup_mkdir_p(const char *path, mode_t mode);

/* ---- setup_dev.c */

/* By the agent, for a user namespace: fill @s->nodes, which the child will mount.
 * @ret_dir: where they are, malloc'ed, also after a failure unless NULL */
int setup_open_nodes(struct setup *s, char **ret_dir, struct rsm_error *err);
void setup_remove_nodes(const char *dir);
int setup_dev(const struct setup *s, struct rsm_error *err);
/* Those of stdin, stdout, stderr that are the guest's /dev/null become the container's: what
 * /proc/self/fd shows should be there to open. Left as they are if the container has none. */
void setup_reopen_null(void);
/* New terminal of the container's devpts as stdin, stdout, stderr and controlling terminal;
 * @console: and as /dev/console. Return: master or -errno */
int setup_terminal(const Runsm__Process *process, bool console, struct rsm_error *err);

/* ---- setup_userns.c: what is needed only in a user namespace, and time namespaces */

/* Until the agent has done its part, if it has one. */
int setup_wait(const struct setup *s, struct rsm_error *err);
int setup_userns_root(const struct setup *s, struct rsm_error *err);
/* proc and sysfs, which the kernel gives to such a namespace only while it sees others of them: they
 * go into @s->trees before the root is changed. */
int setup_userns_mounts(const struct setup *s, struct rsm_error *err);
int setup_timens(const Runsm__CreateContainerRequest *request, struct rsm_error *err);

/* ---- setup_sched.c */

/* Scheduler and I/O priority of @pid, 0 being the caller. */
int setup_scheduling(pid_t pid, const Runsm__Process *process, struct rsm_error *err);
/* @field:	of config.json, for messages */
int setup_cpus(const ProtobufCBinaryData *cpus, const char *field, struct rsm_error *err);
int setup_personality(const Runsm__Process *process, struct rsm_error *err);

/* ---- setup_hooks.c */

/* @env: of the process, for hooks that bring none */
int setup_start_hooks(const Runsm__CreateContainerRequest *r, char **env, struct rsm_error *err);

/* ---- setup_process.c */

/* User, rights, limits, directory. */
int setup_become(const struct setup *s, struct rsm_error *err);
/* -1000 … 1000, through the /proc at hand; @pid: 0 is the caller */
int setup_oom_score_adj(pid_t pid, const Runsm__Process *process, struct rsm_error *err);
int setup_late_seccomp(const Runsm__Process *process, struct rsm_error *err);
char *setup_find_program(const Runsm__Process *process, struct rsm_error *err);
char **setup_environment(const Runsm__Process *process);

#endif
