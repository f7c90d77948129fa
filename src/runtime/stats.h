/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a container, and the record of them that `events` prints.
 *
 * What the VM takes of the host is the host's to say: CPU time, CPU sets, block I/O, huge pages
 * (cgroup_stats.h). What happens inside it only the guest knows: memory and processes of the
 * container. Its answer is checked here: names and their number are the guest's choice.
 *
 * A paused VM cannot be asked. So `pause` writes down, right before, what the guest says: file
 * "stats" of the state directory, a packed StatsResponse.
 */
#ifndef RSM_RUNTIME_STATS_H
#define RSM_RUNTIME_STATS_H

#include "runtime/cgroup.h"
#include "runtime/ctr_client.h"

/* More entries of memory.stat than any kernel has are not printed. */
#define STATS_RAW_MAX 256

/* Ask the guest, and write it down. */
int stats_remember(struct ctr *c, struct rsm_error *err);

/* What was written down last. @ret: freed with runsm__stats_response__free_unpacked() */
int stats_recall(struct ctr *c, Runsm__StatsResponse **ret, struct rsm_error *err);

/**
 * stats_event() - The record of type "stats", as runc prints it
 * @g:		not pretty; the record is all that is in it
 * @cg:		the VM's cgroup; NULL or without directories: there is none
 * @guest:	the guest's answer; any value in it may be nonsense
 */
void stats_event(struct rsm_jsongen *g, const char *id, const struct cgroup *cg,
		 const Runsm__StatsResponse *guest);

#endif
