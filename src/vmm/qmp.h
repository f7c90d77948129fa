/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's machine protocol, as much of it as stop and cont take. One command at a time. */
#ifndef RSM_VMM_QMP_H
#define RSM_VMM_QMP_H

#include "base/loop.h"
#include "vmm/machine.h"

struct qmp;

/* @fd: connected stream socket, taken over on success; set non-blocking */
int qmp_new(struct rsm_loop *loop, int fd, struct qmp **ret);
void qmp_free(struct qmp *q);

/**
 * qmp_execute() - Run a command without arguments
 * Return: 0, @done will be called from the loop; -EBUSY while another one runs; -ENOTCONN
 */
int qmp_execute(struct qmp *q, const char *command, machine_done_fn done, void *cookie);

#endif
