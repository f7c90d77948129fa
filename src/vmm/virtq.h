/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, device side: the one implementation, for every device and both transports.
 *
 * The driver owns the descriptor table and the available ring and may rewrite them at any moment;
 * each guest field is read once into a local copy, checked, and only the copy is used. Whoever pops
 * is the queue's one consumer; virtq_push() and virtq_notify() may come from other threads only
 * under a lock of the device's.
 *
 * Spec: virtio 1.2, 2.7
 */
#ifndef RSM_VMM_VIRTQ_H
#define RSM_VMM_VIRTQ_H

#include "vmm/gmem.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQ_SIZE_MAX 1024
/* Segments of one chain after indirect tables are resolved: a queue-long chain at most. */
#define VIRTQ_SEGS_MAX VIRTQ_SIZE_MAX

/**
 * struct virtq - One queue
 * @size:	entries, a power of two, at most VIRTQ_SIZE_MAX; 0 while not configured
 * @desc, @avail, @used: ring parts in host memory, checked to lie inside guest memory
 * @last_avail:	next available-ring index to take, free-running
 * @used_idx:	next used-ring index to fill, free-running
 * @signalled_used: value of @used_idx at the last notification (event index)
 * @event_idx:	VIRTIO_F_EVENT_IDX (RING_EVENT_IDX) negotiated
 * @indirect:	RING_INDIRECT_DESC negotiated
 * @kick_fd:	eventfd the driver (ioeventfd or vhost-user master) writes; -1: none
 * @call_fd:	eventfd that interrupts the driver (irqfd or vhost-user call); -1: none
 * @broken:	a malformed ring was seen; nothing is popped until the device is reset
 */
struct virtq {
	const struct gmem *mem;
	uint16_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t signalled_used;
	bool signalled_used_valid;
	bool event_idx;
	bool indirect;
	bool broken;
	int kick_fd;
	int call_fd;
};

/**
 * struct virtq_req - One descriptor chain
 * @head:	index to give back with virtq_push()
 * @out:	device-readable segments, first @nout of @iov
 * @in:		device-writable segments, the @nin after them
 * @iov:	caller's array of VIRTQ_SEGS_MAX entries
 */
struct virtq_req {
	uint16_t head;
	unsigned nout, nin;
	struct iovec *iov;
};

/* Bytes of the parts of a ring of @size entries, event indices included (2.7, table of layout). */
static inline size_t virtq_desc_bytes(uint16_t size)
{
	return sizeof(struct vring_desc) * size;
}

static inline size_t virtq_avail_bytes(uint16_t size)
{
	return sizeof(uint16_t) * (3U + size);
}

static inline size_t virtq_used_bytes(uint16_t size)
{
	return sizeof(uint16_t) * 3U + sizeof(struct vring_used_elem) * size;
}

/**
 * virtq_map() - Give a queue its rings
 * @mem:	must outlive the mapping
 * @desc, @avail, @used: host pointers to at least virtq_*_bytes(@size), from gmem_ptr() or
 *		gmem_user_ptr(), whose NULL is refused here
 *
 * Takes the used index from the ring, so that a queue can be resumed; @vq->last_avail is left to
 * the transport, as are the negotiated flags and the eventfds.
 *
 * Return: 0, or -EINVAL for a bad size, address or alignment
 */
int virtq_map(struct virtq *vq, const struct gmem *mem, uint16_t size, void *desc, void *avail,
	      void *used);

static inline struct iovec *virtq_out(const struct virtq_req *r)
{
	return r->iov;
}

static inline struct iovec *virtq_in(const struct virtq_req *r)
{
	return r->iov + r->nout;
}

/**
 * virtq_pop() - Take the next available descriptor chain
 * @vq:		queue; its one consumer is the caller
 * @req:	@req->iov given by the caller; filled on success; iovecs point into guest memory,
 *		valid until virtq_push()
 *
 * Reads each descriptor exactly once, into a local copy, before checking it. A chain is at most
 * VIRTQ_SEGS_MAX long, indirect included; readable segments come before writable ones.
 *
 * Context: queue worker; takes no lock.
 * Spec: virtio 1.2, 2.7.5 (descriptors), 2.7.6 (available ring)
 * Return: 1 and @req, 0 if the ring is empty, -EBADMSG if the ring is malformed (@vq->broken is
 * set; the caller marks the device NEEDS_RESET)
 */
int virtq_pop(struct virtq *vq, struct virtq_req *req);

/**
 * virtq_get() - Resolve the chain at @head again
 * @head:	of a chain popped before and not pushed yet
 *
 * For replies that come long after the pop, when the segments found then may be stale: the queue
 * may have been stopped and guest memory mapped anew in between. Any thread.
 * Return: 0 or -EBADMSG (@vq is not marked broken: that is its consumer's to do)
 */
int virtq_get(const struct virtq *vq, uint16_t head, struct virtq_req *req);

/* Is there anything to pop, and how much? One read of the available index. The depth is what the
 * driver says and may exceed the queue's size; virtq_pop() judges it. */
bool virtq_pending(const struct virtq *vq);
unsigned virtq_depth(const struct virtq *vq);

/* Put the last popped, not yet pushed chain back. */
void virtq_unpop(struct virtq *vq);

/**
 * virtq_push() - Give a chain back
 * @len:	bytes written to the writable segments
 * Spec: 2.7.8 (used ring)
 */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t len);

/**
 * virtq_push_all() - Give @n chains back at once: the driver sees all of them or none
 * @used:	heads and lengths, in the order of their use
 * Spec: 5.1.6.4 (a packet in several receive buffers)
 */
void virtq_push_all(struct virtq *vq, const struct vring_used_elem *used, unsigned n);

/**
 * virtq_notify() - Interrupt the driver if it wants to know of the pushes since the last call
 * Return: true if it was interrupted
 * Spec: 2.7.7 (used buffer notification suppression), 2.7.10 (event index)
 */
bool virtq_notify(struct virtq *vq);

/* Interrupt the driver whether it asked for it or not (a new call_fd may have missed one). */
void virtq_interrupt(struct virtq *vq);

/* Ask the driver not to kick while we are looking anyway. */
void virtq_disable_kicks(struct virtq *vq);

/* Ask for kicks again. Return: true if something became available meanwhile (look again first). */
bool virtq_enable_kicks(struct virtq *vq);

/* Read and clear the kick eventfd; never blocks. */
void virtq_clear_kick(struct virtq *vq);

/* ---- helpers over segments; all bounded by what the chain has */
size_t virtq_iov_len(const struct iovec *iov, unsigned n);
/* Copy from segments at @offset; Return: bytes copied, short at the end of the chain. */
size_t virtq_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *dst, size_t len);
size_t virtq_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *src,
		       size_t len);

#endif
