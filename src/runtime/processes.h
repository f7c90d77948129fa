/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a container, as its guest counts them.
 *
 * A paused VM cannot be asked. So `pause` writes down, right before, what `ps` will show then: file
 * "processes" of the state directory, a packed ProcessesResponse.
 */
#ifndef RSM_RUNTIME_PROCESSES_H
#define RSM_RUNTIME_PROCESSES_H

#include "runtime/ctr_client.h"

/* Ask the guest. @ret: freed with runsm__processes_response__free_unpacked() */
int processes_ask(struct ctr *c, Runsm__ProcessesResponse **ret, struct rsm_error *err);

/* Ask, and write it down. */
int processes_remember(struct ctr *c, struct rsm_error *err);

/* What was written down last. */
int processes_recall(struct ctr *c, Runsm__ProcessesResponse **ret, struct rsm_error *err);

#endif
