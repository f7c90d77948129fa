/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO: one page of registers in front of a struct vdev.
 *
 * Theory of operation
 *
 * The registers are written by vCPU threads, the device is changed on the main loop's thread only.
 * So most registers are plain fields under a lock, and the few that do something to the device
 * (status, queue ready, configuration) are carried over to the main thread, while the vCPU waits.
 *
 *	        status 0 ──ACKNOWLEDGE──DRIVER──FEATURES_OK──▶ queues ready ──DRIVER_OK──▶ running
 *	           ▲                        (subset, VERSION_1)   (checked, mapped)   (queue_start)
 *	           └──── 0 written: queue_stop, reset ◀── NEEDS_RESET: the driver broke a rule ◀┘
 *
 * A driver that breaks a rule (bits taken back, features beyond the offered, rings outside its
 * memory, writes in the wrong state) gets NEEDS_RESET on this device; the device stops and
 *everything else goes on.
 *
 * Kicks do not come here: each queue's eventfd is bound to a write of its number to QueueNotify.
 * Interrupts do not come from here: all queues share the eventfd bound to the device's GSI. We do
 * not see them, so InterruptStatus always says "a buffer was used", which at worst makes the driver
 * look at a ring in vain; the bit for configuration changes is kept as the specification says.
 *
 * Locks: t->lock guards the registers; nothing is called with it but the device's ops, on the main
 * thread. needs_reset comes from any device thread and uses atomics only: the main thread may hold
 * the lock while it waits for that very thread in queue_stop().
 *
 * Not here: the legacy interface, VIRTIO_F_RING_RESET, per-queue interrupts.
 *
 * Spec: virtio 1.2, 4.2 (virtio over MMIO), 2.1 (status), 3.1 (initialization)
 */
#ifndef RSM_VMM_MMIO_TRANSPORT_H
#define RSM_VMM_MMIO_TRANSPORT_H

#include "base/error.h"
#include "vmm/gmem.h"
#include "vmm/mmio_bus.h"
#include "vmm/vdev.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define MMIO_TRANSPORT_LEN        0x1000
#define MMIO_TRANSPORT_CONFIG_MAX 256
#define MMIO_TRANSPORT_SHM_MAX    2

/**
 * struct mmio_board - What a transport needs of the machine it sits in
 * @call:	run @fn on the main thread and wait for it
 * @ioeventfd:	bind @fd to writes of @value to @addr, for the life of the VM
 * @irqfd:	bind @fd to @gsi
 */
struct mmio_board {
	void (*call)(void *cookie, void (*fn)(void *arg), void *arg);
	int (*ioeventfd)(void *cookie, int fd, gpa_t addr, uint32_t value);
	int (*irqfd)(void *cookie, int fd, uint32_t gsi);
	void *cookie;
};

/* Registers of one queue, as the driver wrote them. */
struct mmio_queue {
	uint32_t num;
	uint64_t desc, avail, used;
	bool ready, started;
};

struct mmio_shm {
	uint64_t base, len; /* 0: none */
};

/**
 * struct mmio_transport - The registers
 * @failed:	NEEDS_RESET; atomic
 * @config_changed: bit 1 of InterruptStatus; atomic
 * @config:	the device's configuration space, read when the device or its driver changes it
 * @quiesced:	queues are stopped though the driver runs
 */
struct mmio_transport {
	struct vdev *d;
	struct mmio_board board;
	gpa_t base;
	int irq_fd;
	pthread_mutex_t lock;
	bool failed, config_changed;
	bool quiesced;
	uint32_t status;
	uint32_t device_features_sel, driver_features_sel, queue_sel, shm_sel;
	uint64_t driver_features;
	uint32_t generation;
	struct mmio_queue q[VDEV_QUEUES_MAX];
	struct mmio_shm shm[MMIO_TRANSPORT_SHM_MAX];
	uint8_t config[MMIO_TRANSPORT_CONFIG_MAX];
};

/**
 * mmio_transport_new() - Put @d behind registers at @base
 * @board:	copied
 * @mem:	the guest's; outlives the transport, as @d does
 *
 * Context: main thread
 */
int mmio_transport_new(const struct mmio_board *board, struct vdev *d, struct gmem *mem, gpa_t base,
		       uint32_t gsi, struct mmio_transport **ret, struct rsm_error *err);

/* Stop and reset the device. Context: main thread; no vCPU runs. */
void mmio_transport_free(struct mmio_transport *t);

/* Announce shared memory @id (virtio-fs: its DAX window) at [@base, @base + @len). */
void mmio_transport_set_shm(struct mmio_transport *t, unsigned id, gpa_t base, uint64_t len);

/* The device's configuration changed: tell the driver. Context: main thread. */
void mmio_transport_config_changed(struct mmio_transport *t);

/**
 * mmio_transport_quiesce() - Stop all queues as they are; nothing of the device touches guest
 * memory Context: main thread; no vCPU runs
 */
void mmio_transport_quiesce(struct mmio_transport *t);
void mmio_transport_resume(struct mmio_transport *t);

/* Register accesses; @cookie is the transport. */
extern const struct mmio_ops mmio_transport_ops;

#endif
