/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio memory balloon: free memory of the guest goes back to the host.
 *
 * What the guest's kernel finds free it reports by itself, in blocks of 2 MiB and more (free page
 * reporting); the host drops them, and they are zero when touched again. The balloon proper, with
 * which the host asks for memory, is there too, and lets go when the guest runs short.
 *
 * Spec: virtio 1.2, 5.5
 */
#ifndef RSM_VMM_BALLOON_H
#define RSM_VMM_BALLOON_H

#include "base/loop.h"
#include "vmm/vdev.h"

/**
 * balloon_new() - Make the device
 * @loop:	serves its queues
 * Return: 0 or -errno
 */
int balloon_new(struct rsm_loop *loop, struct vdev **ret);

/* The queues are stopped. NULL is fine. */
void balloon_free(struct vdev *d);

/**
 * balloon_set_target() - Ask the guest to give up @pages of 4 KiB in all
 *
 * The caller tells the driver of the changed configuration (mmio_transport_config_changed()).
 */
void balloon_set_target(struct vdev *d, uint32_t pages);

/* Pages of 4 KiB the driver says it has given up; a guest's word. */
uint32_t balloon_actual(const struct vdev *d);

#endif
