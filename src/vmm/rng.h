/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio entropy device: the host's random numbers. Spec: virtio 1.2, 5.4 */
#ifndef RSM_VMM_RNG_H
#define RSM_VMM_RNG_H

#include "base/cleanup.h"
#include "base/loop.h"
#include "vmm/vdev.h"

/**
 * rng_new() - Make the device
 * @loop:	serves its queue
 * Return: 0 or -errno
 */
int rng_new(struct rsm_loop *loop, struct vdev **ret);

/* The queue is stopped. NULL is fine. */
void rng_free(struct vdev *d);

#endif
