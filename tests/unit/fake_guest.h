/* SPDX-License-Identifier: Apache-2.0 */
/* A vsock driver in a few lines: fills the rings of a device by hand. */
#ifndef TESTS_UNIT_FAKE_GUEST_H
#define TESTS_UNIT_FAKE_GUEST_H

#include "base/loop.h"
#include "vmm/vsock.h"

#include "cmocka_all.h"

#include <endian.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define FG_QSIZE  64
#define FG_MEM    (8U << 20)
#define FG_RX_BUF 4096U /* payload room of one rx buffer, bytes */
#define FG_RING   0x4000U
#define FG_RX_AT  0x100000U
#define FG_TX_AT  0x200000U
#define FG_TX_BUF 0x10400U

struct fake_guest {
	struct rsm_loop *loop;
	struct vsock *vsock;
	struct gmem mem;
	uint8_t *ram;
	uint16_t avail[2], seen[2];
	uint32_t buf_alloc, fwd_cnt; /* told to the host in every packet */
	uint64_t src_cid;
};

static inline struct vring_desc *fg_desc(struct fake_guest *g, unsigned q)
{
	return (void *)(g->ram + q * FG_RING);
}

static inline struct vring_avail *fg_avail(struct fake_guest *g, unsigned q)
{
	return (void *)(g->ram + q * FG_RING + 0x1000);
}

static inline struct vring_used *fg_used(struct fake_guest *g, unsigned q)
{
	return (void *)(g->ram + q * FG_RING + 0x2000);
}

static inline void fg_run(struct fake_guest *g)
{
	for (int i = 0; i < 8; i++)
		assert_int_equal(rsm_loop_once(g->loop, 0), 0);
}

static inline void fg_publish(struct fake_guest *g, unsigned q, uint16_t head)
{
	fg_avail(g, q)->ring[g->avail[q]++ % FG_QSIZE] = head;
	__atomic_store_n(&fg_avail(g, q)->idx, g->avail[q], __ATOMIC_RELEASE);
	assert_int_equal(eventfd_write(vsock_vdev(g->vsock)->vq[q].kick_fd, 1), 0);
}

static inline void fg_start(struct fake_guest *g)
{
	struct gmem_region r = {.len = FG_MEM, .fd = -1};
	struct vdev *d;

	memset(g, 0, sizeof(*g));
	g->ram = mmap(NULL, FG_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	r.host = g->ram;
	assert_int_equal(gmem_add(&g->mem, &r), 0);
	assert_int_equal(rsm_loop_new(&g->loop), 0);
	assert_int_equal(vsock_new(g->loop, &g->vsock), 0);
	g->buf_alloc = 64U << 10;
	g->src_cid = VSOCK_GUEST_CID;
	d = vsock_vdev(g->vsock);
	d->mem = &g->mem;
	for (unsigned q = 0; q < 2; q++) {
		d->vq[q].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		d->vq[q].call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(virtq_map(&d->vq[q], &g->mem, FG_QSIZE, fg_desc(g, q),
					   fg_avail(g, q), fg_used(g, q)),
				 0);
		assert_int_equal(d->ops->queue_start(d, q), 0);
	}
}

static inline void fg_stop(struct fake_guest *g)
{
	struct vdev *d = vsock_vdev(g->vsock);
	int fds[] = {d->vq[0].kick_fd, d->vq[0].call_fd, d->vq[1].kick_fd, d->vq[1].call_fd};

	vsock_free(g->vsock);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
	rsm_loop_free(g->loop);
	munmap(g->ram, FG_MEM);
}

/* Offer @n rx buffers, each a header segment and a payload segment as Linux does. */
static inline void fg_give_rx(struct fake_guest *g, unsigned n)
{
	while (n--) {
		unsigned i = g->avail[0] % (FG_QSIZE / 2);
		uint64_t at = FG_RX_AT + i * (FG_RX_BUF + 64);

		fg_desc(g, 0)[2 * i] = (struct vring_desc){
			at, 44, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, (uint16_t)(2 * i + 1)};
		fg_desc(g, 0)[2 * i + 1] =
			(struct vring_desc){at + 44, FG_RX_BUF, VRING_DESC_F_WRITE, 0};
		fg_publish(g, 0, (uint16_t)(2 * i));
	}
	fg_run(g);
}

/* Put one chain of @len raw bytes on tx. */
static inline void fg_send_raw(struct fake_guest *g, const void *packet, uint32_t len)
{
	unsigned i = g->avail[1] % FG_QSIZE;
	uint64_t at = FG_TX_AT + i * FG_TX_BUF;

	assert_true(len <= FG_TX_BUF);
	memcpy(g->ram + at, packet, len);
	fg_desc(g, 1)[i] = (struct vring_desc){at, len, 0, 0};
	fg_publish(g, 1, (uint16_t)i);
}

static inline void fg_queue(struct fake_guest *g, uint32_t src_port, uint32_t dst_port, unsigned op,
			    uint32_t flags, const void *data, uint32_t len)
{
	static uint8_t packet[FG_TX_BUF];
	struct virtio_vsock_hdr hdr = {
		.src_cid = htole64(g->src_cid),
		.dst_cid = htole64(2),
		.src_port = htole32(src_port),
		.dst_port = htole32(dst_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16((uint16_t)op),
		.flags = htole32(flags),
		.buf_alloc = htole32(g->buf_alloc),
		.fwd_cnt = htole32(g->fwd_cnt),
	};

	memcpy(packet, &hdr, sizeof(hdr));
	if (len)
		memcpy(packet + sizeof(hdr), data, len);
	fg_send_raw(g, packet, (uint32_t)sizeof(hdr) + len);
}

static inline void fg_send(struct fake_guest *g, uint32_t src_port, uint32_t dst_port, unsigned op,
			   uint32_t flags, const void *data, uint32_t len)
{
	fg_queue(g, src_port, dst_port, op, flags, data, len);
	fg_run(g);
}

/* Next packet from the host. Return: its op, 0 if there is none; @data has room for FG_RX_BUF */
static inline unsigned fg_recv(struct fake_guest *g, struct virtio_vsock_hdr *hdr, void *data)
{
	struct vring_used_elem *e;
	uint64_t at;

	fg_run(g);
	if (__atomic_load_n(&fg_used(g, 0)->idx, __ATOMIC_ACQUIRE) == g->seen[0])
		return 0;
	e = &fg_used(g, 0)->ring[g->seen[0]++ % FG_QSIZE];
	at = FG_RX_AT + e->id / 2 * (FG_RX_BUF + 64);
	memcpy(hdr, g->ram + at, sizeof(*hdr));
	assert_int_equal(e->len, 44 + le32toh(hdr->len));
	if (data)
		memcpy(data, g->ram + at + 44, le32toh(hdr->len));
	return le16toh(hdr->op);
}

static inline void fg_expect(struct fake_guest *g, unsigned op)
{
	struct virtio_vsock_hdr hdr;

	assert_int_equal(fg_recv(g, &hdr, NULL), op);
}

#endif
