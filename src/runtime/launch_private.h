/* SPDX-License-Identifier: Apache-2.0 */
/* One launch. Private to launch*.c. */
#ifndef RSM_RUNTIME_LAUNCH_PRIVATE_H
#define RSM_RUNTIME_LAUNCH_PRIVATE_H

#include "runtime/cgroup.h"
#include "runtime/launch.h"
#include "runtime/vmconfig.h"

#include <limits.h>

/* Everything one launch holds. */
struct launch {
	const struct cmd_env *env;
	const struct launch_opts *o;
	struct settings settings;
	enum accel accel;
	bool no_acpi; /* the guest's kernel has none */
	char bundle[PATH_MAX], rootfs[PATH_MAX], vmm[PATH_MAX], qemu[PATH_MAX];
	char *text; /* config.json */
	size_t text_len;
	struct oci_spec *spec;
	struct arena arena;
	Runsm__VmConfig *config;
	struct ctr *c;
	struct cgroup *cgroup;
	pid_t pid;
	int console, memfd, sync, pidfd, signals, scratch;
};

/**
 * launch_report() - Wait for the VMM's report
 * @ready:	the one that asks for the hooks, after which another one comes
 *
 * Return: 0; -errno with what the VMM says, or that it died, or that a signal came
 */
int launch_report(struct launch *l, bool ready, struct rsm_error *err);

#endif
