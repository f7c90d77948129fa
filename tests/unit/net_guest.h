/* SPDX-License-Identifier: Apache-2.0 */
/* A driver of the network device in a few lines: guest memory, two rings, buffers. */
#ifndef TESTS_UNIT_NET_GUEST_H
#define TESTS_UNIT_NET_GUEST_H

#include "vmm/net.h"

#include "base/log.h"
#include "cmocka_all.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_net.h>

#define NG_MEM   (4U << 20)
#define NG_QSIZE 256
#define NG_RING  0x4000U /* bytes per queue, from 0 */
#define NG_RX    0x100000U
#define NG_TX    0x200000U
#define NG_HDR   sizeof(struct virtio_net_hdr_v1)
#define NG_F(f)  (1ULL << VIRTIO_NET_F_##f)

/**
 * struct net_guest - The driver
 * @avail, @seen: entries offered and taken back
 * @resets:	how often the device asked for one
 * @changes:	of its configuration
 */
struct net_guest {
	struct rsm_loop *loop;
	struct gmem mem;
	uint8_t *ram;
	struct vdev *d;
	uint16_t avail[2], seen[2];
	unsigned resets, changes;
};

static inline struct vring_desc *ng_desc(struct net_guest *g, unsigned q)
{
	return (void *)(g->ram + q * NG_RING);
}

static inline struct vring_avail *ng_avail(struct net_guest *g, unsigned q)
{
	return (void *)(g->ram + q * NG_RING + 0x1000);
}

static inline struct vring_used *ng_used(struct net_guest *g, unsigned q)
{
	return (void *)(g->ram + q * NG_RING + 0x2000);
}

static inline void ng_needs_reset(void *cookie, struct vdev *d)
{
	((struct net_guest *)cookie)->resets++;
}

static inline void ng_config_changed(void *cookie)
{
	((struct net_guest *)cookie)->changes++;
}

/* Negotiate @features of those offered and start both queues, from index 0. */
static inline void ng_negotiate(struct net_guest *g, uint64_t features)
{
	struct vdev *d = g->d;

	d->acked = d->offered & (features | VDEV_RING_FEATURES);
	memset(g->ram, 0, 2 * NG_RING);
	for (unsigned q = 0; q < 2; q++) {
		g->avail[q] = g->seen[q] = 0;
		d->vq[q].last_avail = 0;
		assert_int_equal(virtq_map(&d->vq[q], &g->mem, NG_QSIZE, ng_desc(g, q),
					   ng_avail(g, q), ng_used(g, q)),
				 0);
		assert_int_equal(d->ops->queue_start(d, q), 0);
	}
}

static inline void ng_reset(struct net_guest *g)
{
	for (unsigned q = 0; q < 2; q++)
		g->d->ops->queue_stop(g->d, q);
	g->d->ops->reset(g->d);
}

static inline void ng_start(struct net_guest *g, const struct net_config *config, uint64_t features)
{
	struct gmem_region r = {.len = NG_MEM, .fd = -1};
	struct rsm_error err = RSM_ERROR_INIT;

	memset(g, 0, sizeof(*g));
	g->ram = mmap(NULL, NG_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	r.host = g->ram;
	assert_int_equal(gmem_add(&g->mem, &r), 0);
	assert_int_equal(rsm_loop_new(&g->loop), 0);
	if (net_new(g->loop, config, &g->d, &err) < 0)
		fail_msg("%s", err.message);
	g->d->mem = &g->mem;
	g->d->transport = g;
	g->d->needs_reset = ng_needs_reset;
	g->d->config_changed = ng_config_changed;
	for (unsigned q = 0; q < 2; q++) {
		g->d->vq[q].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		g->d->vq[q].call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	ng_negotiate(g, features);
}

static inline void ng_stop(struct net_guest *g)
{
	for (unsigned q = 0; q < 2; q++) {
		close(g->d->vq[q].call_fd);
		g->d->ops->queue_stop(g->d, q);
		close(g->d->vq[q].kick_fd);
	}
	net_free(g->d);
	rsm_loop_free(g->loop);
	munmap(g->ram, NG_MEM);
}

static inline void ng_run(struct net_guest *g)
{
	for (int i = 0; i < 12; i++)
		assert_int_equal(rsm_loop_once(g->loop, 0), 0);
}

static inline void ng_publish(struct net_guest *g, unsigned q, uint16_t head)
{
	ng_avail(g, q)->ring[g->avail[q]++ % NG_QSIZE] = head;
	__atomic_store_n(&ng_avail(g, q)->idx, g->avail[q], __ATOMIC_RELEASE);
}

static inline void ng_kick(struct net_guest *g, unsigned q)
{
	eventfd_write(g->d->vq[q].kick_fd, 1);
	ng_run(g);
}

/* Offer @n receive buffers of @len bytes, each one segment; buffer i lies at NG_RX + i * @len. */
static inline void ng_give(struct net_guest *g, unsigned n, uint32_t len)
{
	for (; n; n--) {
		uint16_t i = g->avail[0] % NG_QSIZE;

		ng_desc(g, 0)[i] = (struct vring_desc){NG_RX + i * len, len, VRING_DESC_F_WRITE, 0};
		ng_publish(g, 0, i);
	}
	ng_kick(g, 0);
}

/* A chain of one segment to send: @data is the header and the packet. */
static inline void ng_send(struct net_guest *g, const void *data, uint32_t len)
{
	uint16_t i = g->avail[1] % NG_QSIZE;
	uint32_t at = NG_TX + (i % 8) * 0x20000U;

	if (len)
		memcpy(g->ram + at, data, len);
	ng_desc(g, 1)[i] = (struct vring_desc){at, len, 0, 0};
	ng_publish(g, 1, i);
	ng_kick(g, 1);
}

static inline unsigned ng_nused(struct net_guest *g, unsigned q)
{
	return (uint16_t)(__atomic_load_n(&ng_used(g, q)->idx, __ATOMIC_ACQUIRE) - g->seen[q]);
}

/* Take the next packet, from buffers of @len bytes. Return: its length with the header, 0: none */
static inline size_t ng_recv(struct net_guest *g, uint32_t len, uint8_t *packet, size_t size)
{
	struct virtio_net_hdr_v1 h;
	unsigned n = 1;
	size_t got = 0;

	if (!ng_nused(g, 0))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		struct vring_used_elem *e;

		assert_true(ng_nused(g, 0) > 0);
		e = &ng_used(g, 0)->ring[g->seen[0]++ % NG_QSIZE];
		assert_true(e->len <= len && got + e->len <= size);
		memcpy(packet + got, g->ram + NG_RX + e->id * len, e->len);
		got += e->len;
		if (i == 0) {
			memcpy(&h, packet, sizeof(h));
			n = le16toh(h.num_buffers);
			assert_true(n >= 1);
		}
	}
	return got;
}

#endif
