/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio block device, for scratch space that lives as long as the VM: a sparse file without a
 * name behind it.
 *
 * As nothing of it outlives the VM there is nothing to flush: the device does not offer FLUSH, and
 * drivers then take a finished write for a lasting one and ask for nothing more. What the guest
 * discards is cut out of the file.
 *
 * Spec: virtio 1.2, 5.2
 */
#ifndef RSM_VMM_BLK_H
#define RSM_VMM_BLK_H

#include "base/error.h"
#include "vmm/vdev.h"

#include <stdint.h>

/**
 * blk_new() - Make the device
 * @fd:		regular file, readable and writable; the device's on success. Its size, rounded down
 *		to 4 KiB, is the disk's
 *
 * The queue is served by a thread of its own, so that a slow disk delays nobody else.
 *
 * Return: 0; -EINVAL if @fd is no regular file or smaller than 4 KiB; -ENOMEM
 */
int blk_new(int fd, struct vdev **ret, struct rsm_error *err);

/* The queue is stopped. NULL is fine. */
void blk_free(struct vdev *d);

#endif
