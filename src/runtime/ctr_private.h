/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by ctr_*.c only. */
#ifndef RSM_RUNTIME_CTR_PRIVATE_H
#define RSM_RUNTIME_CTR_PRIVATE_H

#include "runtime/ctr.h"

/* Fill c->state from state.json. Return: 0; -ENOENT if there is none */
int ctr_state_load(struct ctr *c, struct rsm_error *err);

#endif
