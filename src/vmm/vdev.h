/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices, apart from how the driver reaches them.
 *
 *	driver ── transport ──▶ struct vdev ──ops──▶ device (virtio-fs, vsock, …)
 *	          vhost-user: QEMU or Cloud Hypervisor is the board, we hold rings and eventfds
 *	          virtio-mmio: our own machine, ioeventfd and irqfd
 *
 * A transport fills in the queues (addresses, sizes, eventfds) and calls the ops; a device pops,
 * pushes, and notifies through the queue's eventfds. Neither knows the other.
 *
 * Life: [offered] → features acked → queue_start(i) … queue_stop(i) → reset → again.
 * queue_stop() is synchronous: when it returns no thread of the device touches that queue. It is
 *the quiesce point for pause, snapshot and memory-table changes; queue_start() resumes.
 *
 * Context: every op is called on the main loop's thread.
 */
#ifndef RSM_VMM_VDEV_H
#define RSM_VMM_VDEV_H

#include "base/log.h"
#include "vmm/jail.h"
#include "vmm/virtq.h"

#include <stdbool.h>
#include <stdint.h>

#define VDEV_QUEUES_MAX 16

struct vdev;

/**
 * struct vdev_ops - What a device implements
 * @name:	for messages
 * @device_id:	VIRTIO_ID_*
 * @nqueues:	how many virtqueues there are
 * @queue_size:	largest size offered
 * @config_len:	bytes of device configuration space
 * @board_config: a vhost-user master has this device's configuration space itself, and QEMU warns
 *		when the back end offers one
 * @read_config: copy @len bytes at @offset, both checked by the transport to lie inside
 * @write_config: may be NULL: configuration is read-only then
 * @queue_start: the queue is configured and its eventfds are set; begin serving it
 * @queue_stop:	synchronous; harmless when not started
 * @reset:	all queues are stopped; forget everything the driver negotiated
 */
struct vdev_ops {
	const char *name;
	uint32_t device_id;
	unsigned nqueues;
	uint16_t queue_size;
	uint32_t config_len;
	bool board_config;
	void (*read_config)(struct vdev *d, uint32_t offset, void *buf, uint32_t len);
	void (*write_config)(struct vdev *d, uint32_t offset, const void *buf, uint32_t len);
	int (*queue_start)(struct vdev *d, unsigned i);
	void (*queue_stop)(struct vdev *d, unsigned i);
	void (*reset)(struct vdev *d);
};

/**
 * struct vdev - Common part, embedded first in each device's own struct
 * @offered:	feature bits the device and ring implementation offer
 * @acked:	what the driver accepted; a subset of @offered
 * @mem:	guest memory; set by the transport before the first queue_start()
 * @nqueues:	queues in use; ops->nqueues unless the device was made with fewer
 * @needs_reset: called by vdev_fail(), set by the transport; may be NULL
 * @config_changed: called by vdev_config_changed(), set by a transport that can tell the driver
 */
struct vdev {
	const struct vdev_ops *ops;
	uint64_t offered;
	uint64_t acked;
	struct gmem *mem;
	unsigned nqueues;
	struct virtq vq[VDEV_QUEUES_MAX];
	void (*needs_reset)(void *cookie, struct vdev *d);
	void (*config_changed)(void *cookie);
	void *transport;
	struct rsm_ratelimit guest_faults;
};

/* Feature bits every device offers through the ring implementation. */
#define VDEV_RING_FEATURES                                                                         \
	((1ULL << VIRTIO_F_VERSION_1) | (1ULL << VIRTIO_RING_F_INDIRECT_DESC) |                    \
	 (1ULL << VIRTIO_RING_F_EVENT_IDX))

/* Make the common part: everything zero, eventfds -1, @features and the ring's offered. */
void vdev_init(struct vdev *d, const struct vdev_ops *ops, uint64_t features);

/**
 * vdev_fail() - The guest broke the protocol: this device stops and asks to be reset
 *
 * Logs, rate-limited. May be called from any thread of the device; the queue it happened on must
 * not be touched again before queue_stop().
 */
void vdev_fail(struct vdev *d, const char *why);

/**
 * vdev_jail() - jail_thread() for a thread of the device, before it looks at its queue
 *
 * Return: 0, or -errno when the thread must end; logged, and the device asks to be reset
 */
int vdev_jail(struct vdev *d, enum jail_thread kind);

/* The device's configuration space changed: tell the driver. Context: main loop's thread */
void vdev_config_changed(struct vdev *d);

#endif
