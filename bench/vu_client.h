/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user master for tests and benchmarks: has guest memory (a memfd), drives split rings the
 * way the Linux virtio driver does (indirect tables, event index), and knows no device.
 *
 * One thread owns a client. Functions return 0/count or -errno.
 */
#ifndef BENCH_VU_CLIENT_H
#define BENCH_VU_CLIENT_H

#include "vmm/vhost_user_proto.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VUC_QUEUES_MAX  3
#define VUC_QUEUE_SIZE  128
#define VUC_SEGS_MAX    8
#define VUC_GPA         0x100000ULL /* where guest memory begins, so that 0 is never valid */
#define VUC_RINGS_BYTES 0x8000U     /* per queue at the start of guest memory */

struct vuc_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc (*tables)[VUC_SEGS_MAX]; /* one indirect table per slot */
	uint16_t avail_idx;                        /* what the next submit fills */
	uint16_t kicked_idx;                       /* avail index at the last vuc_kick() */
	uint16_t last_used;
	int kick_fd, call_fd;
	int wait_fd; /* edge-triggered epoll over call_fd */
	uint64_t kicks, waits;
};

/**
 * struct vuc - One connection
 * @mem:	guest memory, @mem_len bytes, at guest-physical VUC_GPA; rings first, then @data
 * @data:	what is left for the user, @data_len bytes
 */
struct vuc {
	int sock;
	int mem_fd;
	uint8_t *mem;
	size_t mem_len;
	uint8_t *data;
	size_t data_len;
	uint64_t features;
	uint64_t protocol_features;
	unsigned nqueues;
	struct vuc_queue q[VUC_QUEUES_MAX];
};

struct vuc_seg {
	void *buf; /* inside guest memory */
	uint32_t len;
};

/* Connect and make guest memory; says nothing to the back end yet. @sock is taken over. */
int vuc_new(int sock, size_t mem_len, struct vuc *ret);
int vuc_connect(const char *path, size_t mem_len, struct vuc *ret);
void vuc_close(struct vuc *c);

/* The sequence QEMU sends: features, memory table, rings, enable. @features are the ring's to ack.
 */
int vuc_start(struct vuc *c, unsigned nqueues, uint64_t features);
/* GET_VRING_BASE on every queue; @bases may be NULL. vuc_resume() sets them up again. */
int vuc_stop(struct vuc *c, uint16_t *bases);
int vuc_resume(struct vuc *c, const uint16_t *bases);

/* ---- messages, raw enough to misbehave with */
int vuc_send(struct vuc *c, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
	     const int *fds, unsigned nfds);
/* Return: bytes of payload in @payload; -ECONNRESET if the back end hung up, -ETIMEDOUT after 5 s
 */
int vuc_recv(struct vuc *c, uint32_t *request, void *payload, uint32_t max);
/* Send, and read the reply: of the message's own, or the acknowledgement if @ack. */
int vuc_call(struct vuc *c, uint32_t request, const void *payload, uint32_t len, void *reply,
	     uint32_t reply_len);
int vuc_set_mem_table(struct vuc *c);

/* ---- rings */
/* Put a chain on queue @q, described by the indirect table of @slot (below VUC_QUEUE_SIZE, not in
 * flight); not seen by the device before vuc_kick(). */
void vuc_submit(struct vuc *c, unsigned q, uint16_t slot, const struct vuc_seg *out, unsigned nout,
		const struct vuc_seg *in, unsigned nin);
/* Publish what was submitted, and kick if the device wants to know. */
void vuc_kick(struct vuc *c, unsigned q);
/* Take one finished chain. Return: 1, or 0 if there is none */
int vuc_reap(struct vuc *c, unsigned q, uint16_t *slot, uint32_t *len);
/* Sleep until something is finished. Return: 0 or -ETIMEDOUT */
int vuc_wait(struct vuc *c, unsigned q, int timeout_ms);

static inline uint64_t vuc_gpa(const struct vuc *c, const void *p)
{
	return VUC_GPA + (uint64_t)((const uint8_t *)p - c->mem);
}

#endif
