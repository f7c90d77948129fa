/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's cgroup of the VM has used, as members of runc's "stats" event. Each function
 * writes one member of the object that its caller has opened. A figure that the host's kernel or
 * cgroups do not have is left out, or 0 where runc prints it always.
 */
#ifndef RSM_RUNTIME_CGROUP_STATS_H
#define RSM_RUNTIME_CGROUP_STATS_H

#include "base/json.h"
#include "runtime/cgroup.h"

#include <stdint.h>

/**
 * struct cgroup_cpu_time - CPU time in us
 */
struct cgroup_cpu_time {
	uint64_t usage, user, system;
};

/* @inside: what the guest says; taken where the host does not account for CPU time */
void cgroup_stats_cpu(struct rsm_jsongen *g, const struct cgroup *cg,
		      const struct cgroup_cpu_time *inside);
void cgroup_stats_cpuset(struct rsm_jsongen *g, const struct cgroup *cg);
void cgroup_stats_blkio(struct rsm_jsongen *g, const struct cgroup *cg);
void cgroup_stats_hugetlb(struct rsm_jsongen *g, const struct cgroup *cg);

/* A member that runc leaves out when it is 0. */
void cgroup_stats_put(struct rsm_jsongen *g, const char *key, uint64_t value);

#endif
