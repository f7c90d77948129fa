/* SPDX-License-Identifier: Apache-2.0 */
/* From a bundle to a created container: what create and run share. */
#ifndef RSM_RUNTIME_LAUNCH_H
#define RSM_RUNTIME_LAUNCH_H

#include "runtime/cmd.h"
#include "runtime/ctr.h"

/**
 * struct launch_opts - Options of create and run
 * @detach:	the caller does not stay: a terminal needs a console socket
 */
struct launch_opts {
	const char *bundle, *console_socket, *pid_file;
	unsigned preserve_fds;
	bool detach;
	bool no_pivot, no_new_keyring;
};

/* Highest --preserve-fds: what one message to the VMM can carry. */
#define LAUNCH_EXTRA_FDS_MAX 12

/* The option rows both verbs have; T is their option struct, with a struct launch_opts l first. */
#define LAUNCH_OPTS(T)                                                                                  \
	{"bundle", 'b', CMD_STRING, offsetof(T, l.bundle),                                              \
	 "path to the root of the bundle directory, defaults to the current directory"},                \
		{"console-socket", 0, CMD_STRING, offsetof(T, l.console_socket),                        \
		 "path to an AF_UNIX socket that receives the master end of the container's terminal"}, \
		{"pid-file", 0, CMD_STRING, offsetof(T, l.pid_file),                                    \
		 "file to write the process id of the VMM to"},                                         \
		{"no-pivot", 0, CMD_FLAG, offsetof(T, l.no_pivot),                                      \
		 "accepted without effect: the root file system is the guest's own"},                   \
		{"no-new-keyring", 0, CMD_FLAG, offsetof(T, l.no_new_keyring),                          \
		 "accepted without effect: keyrings are the guest's own"},                              \
	{                                                                                               \
		"preserve-fds", 0, CMD_UINT, offsetof(T, l.preserve_fds),                               \
			"pass N additional file descriptors, from 3 on, as byte streams (default: 0)"   \
	}

/**
 * launch() - Create the container
 * @ret:	locked; its state is saved and its VMM has reported success
 * @ret_pidfd:	of the VMM, which is a child of this process
 *
 * On failure, or when SIGINT, SIGTERM or SIGHUP arrive meanwhile, nothing is left: no process, no
 * state directory, no pid file.
 */
int launch(const struct cmd_env *env, const char *id, const struct launch_opts *o, struct ctr **ret,
	   int *ret_pidfd, struct rsm_error *err);

/* Are the fds of --preserve-fds there? To be asked before this process opens any of its own. */
int launch_check_fds(unsigned n, struct rsm_error *err);

/* Kill the VMM, reap it, and remove the container: the way back from any failure. */
void launch_undo(struct ctr *c);

/* Write @pid to @path by rename, as runc does. */
int write_pid_file(const char *path, pid_t pid, struct rsm_error *err);

#endif
