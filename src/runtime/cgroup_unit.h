/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.cgroupsPath as systemd's driver reads it: "SLICE:PREFIX:NAME". The container becomes the
 * scope PREFIX-NAME.scope in SLICE. As runc has it:
 *
 *	SLICE	empty: system.slice, for a caller without root's rights user.slice, which the user's
 *		own manager has below its cgroup. "a-b.slice" is below "a.slice", "-" or "-.slice"
 *		is the root.
 *	PREFIX	empty: the scope is NAME.scope
 *	none	(no path, or an empty one) :runsm:ID
 */
#ifndef RSM_RUNTIME_CGROUP_UNIT_H
#define RSM_RUNTIME_CGROUP_UNIT_H

#include "runtime/cgroup.h"

#define CGROUP_UNIT_MAX 256 /* with its NUL; systemd's limit */

struct cgroup_unit {
	char name[CGROUP_UNIT_MAX], slice[CGROUP_UNIT_MAX];
};

/**
 * cgroup_unit_of() - The unit of a container
 * @user:	of a user's manager
 *
 * Return: 0; -EINVAL, -EOPNOTSUPP or -ENAMETOOLONG naming linux.cgroupsPath
 */
int cgroup_unit_of(const struct cgroup_where *where, bool user, struct cgroup_unit *ret,
		   struct rsm_error *err);

#endif
