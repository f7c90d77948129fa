/* SPDX-License-Identifier: Apache-2.0 */
/* What `exec` runs: config.json's process with the command line's changes, or a process.json. */
#ifndef RSM_RUNTIME_EXEC_PROCESS_H
#define RSM_RUNTIME_EXEC_PROCESS_H

#include "runtime/cmd.h"
#include "runtime/ctr.h"
#include "runtime/oci.h"

struct exec_opts {
	const char *console_socket, *cwd, *user, *process, *pid_file, *process_label, *apparmor;
	struct cmd_list env, additional_gids, cap, cgroup;
	bool tty, detach, no_new_privs, ignore_paused;
	unsigned preserve_fds;
};

/**
 * exec_process_load() - Put the process together
 * @ret:	its ->process is what to run, its ->linux_.seccomp the container's filter
 * @argc, @argv: the command; unused with --process
 */
int exec_process_load(const struct ctr *c, const struct exec_opts *o, int argc, char **argv,
		      struct oci_spec **ret, struct rsm_error *err);

/**
 * exec_cgroup() - What --cgroup says, as the guest is told
 * @args:	PATH, or any number of CONTROLLER[,CONTROLLER...]:PATH, which only cgroup v1 has
 * @ret:	normalised path, absolute below the container's cgroup; "" without the option; of @size
 */
int exec_cgroup(const struct cmd_list *args, char *ret, size_t size, struct rsm_error *err);

#endif
