/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup through a container's life, whichever driver makes it.
 *
 *	moment			cgroupfs			systemd
 *	cgroup_plan()		directories			name of the unit; is systemd there?
 *	cgroup_prepare()	make them, write limits		check the properties
 *	cgroup_enter()		move the VMM in			start the unit with the VMM, find
 *								its directories, write limits
 *	cgroup_rates(),		write limits			set properties, write limits
 *	cgroup_update()
 *	cgroup_remove_saved()	remove the directories		stop the unit, then the same
 *
 * systemd knows fewer limits than there are files, and fewer hierarchies than a version 1 host has
 * (cpuset, freezer): what it does not do is done as without it.
 */
#ifndef RSM_RUNTIME_CGROUP_DRIVER_H
#define RSM_RUNTIME_CGROUP_DRIVER_H

#include "runtime/cgroup_limits.h"

/**
 * struct cgroup_use - What the cgroup is for
 * @statefd:	the state directory; -1: it is there already
 * @asked_for:	config.json names one
 * @limits:	linux of config.json, or what update changes of it
 * @annotations: of config.json; of them, @n_annotations, systemd's driver takes what is for it
 */
struct cgroup_use {
	int statefd;
	bool asked_for;
	const struct oci_linux *limits;
	struct cgroup_vm vm;
	const struct oci_pair *annotations;
	size_t n_annotations;
};

/* Before the VMM is. */
int cgroup_prepare(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);

/* While the VMM waits for its first instruction. */
int cgroup_enter(struct cgroup *cg, const struct cgroup_use *use, pid_t vmm, struct rsm_error *err);

/* When the VM has booted: what would have slowed that down. */
int cgroup_rates(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);

/* Later: limits change, those that are given. */
int cgroup_update(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);

#endif
