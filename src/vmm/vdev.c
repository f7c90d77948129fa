// SPDX-License-Identifier: Apache-2.0
#include "vmm/vdev.h"

#include "base/error.h"

#include <string.h>

void vdev_init(struct vdev *d, const struct vdev_ops *ops, uint64_t features)
{
	memset(d, 0, sizeof(*d));
	rsm_assert(ops->nqueues <= VDEV_QUEUES_MAX);
	d->ops = ops;
	d->nqueues = ops->nqueues;
	d->offered = features | VDEV_RING_FEATURES;
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++) {
		d->vq[i].kick_fd = -1;
		d->vq[i].call_fd = -1;
	}
}

void vdev_fail(struct vdev *d, const char *why)
{
	rsm_log_limited(&d->guest_faults, RSM_LOG_WARNING,
			"%s: the guest broke the protocol: %s; the device waits for a reset",
			d->ops->name, why);
	if (d->needs_reset)
		d->needs_reset(d->transport, d);
}

void vdev_config_changed(struct vdev *d)
{
	if (d->config_changed)
		d->config_changed(d->transport);
}

int vdev_jail(struct vdev *d, enum jail_thread kind)
{
	int r = jail_thread(kind);

	if (r == 0)
		return 0;
	rsm_log(RSM_LOG_ERROR, "%s: seccomp filter: %s; the device does not work", d->ops->name,
		strerror(-r));
	if (d->needs_reset)
		d->needs_reset(d->transport, d);
	return r;
}
