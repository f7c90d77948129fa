/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's driver: what cgroup_driver.h does when the cgroup has a unit.
 *
 * The unit's name is in the state directory before the unit is, with its description, which names
 * the container and its state directory: whoever deletes it later stops the unit of that name only
 * if it has that description. A unit of the same name of somebody else's is left alone, with its
 * cgroup.
 *
 * systemd says nothing about where a unit's cgroup is that holds for a caller in another cgroup
 * namespace; /proc/PID/cgroup of the first process in it does, and so it is looked for there.
 */
#ifndef RSM_RUNTIME_CGROUP_SCOPE_H
#define RSM_RUNTIME_CGROUP_SCOPE_H

#include "runtime/cgroup_driver.h"
#include "runtime/cgroup_unit.h"

/* Give the cgroup its unit, and find systemd; nothing is started. */
int cgroup_scope_plan(struct cgroup *cg, const struct cgroup_where *where, struct rsm_error *err);

/* Are the annotations for it right? */
int cgroup_scope_prepare(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);

/* Start it with the VMM in it; the cgroup's directories are known then, and saved. */
int cgroup_scope_start(struct cgroup *cg, const struct cgroup_use *use, pid_t vmm,
		       struct rsm_error *err);

/* Set properties that are given. */
int cgroup_scope_limits(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);
int cgroup_scope_rates(struct cgroup *cg, const struct cgroup_use *use, struct rsm_error *err);

/**
 * cgroup_scope_stop() - Stop the unit
 *
 * Return: 0; 1 if the unit, and with it the cgroup, is somebody else's by now
 */
int cgroup_scope_stop(struct cgroup *cg, struct rsm_error *err);

#endif
