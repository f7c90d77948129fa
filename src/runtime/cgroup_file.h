/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a cgroup and of the saved plan. Private to cgroup*.c. */
#ifndef RSM_RUNTIME_CGROUP_FILE_H
#define RSM_RUNTIME_CGROUP_FILE_H

#include "runtime/cgroup.h"

#include <stdint.h>

#define CGROUP_FILE_MAX (1U << 20)

/* One write(2) of @text to the file @name of the directory. Return: 0 or -errno */
int cgroup_write(int dirfd, const char *name, const char *text);

/* The number in a file; "max" is UINT64_MAX. Return: 0 or -errno */
int cgroup_read_u64(int dirfd, const char *name, uint64_t *ret);

/* Write the plan to the state directory. */
int cgroup_save(const struct cgroup *cg, int statefd, struct rsm_error *err);

#endif
