// SPDX-License-Identifier: Apache-2.0
/*
 * Served on the main loop, BALLOON_BATCH chains at a time: giving memory back costs the kernel some
 * 100 µs per 2 MiB, and others want their turn.
 *
 * A guest can make us drop only what gmem says is its RAM, and only whole pages of it. It loses the
 * contents; that is its own affair.
 */
#include "vmm/balloon.h"

#include "base/math.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define BALLOON_BATCH      4
#define BALLOON_QUEUE_SIZE 128
#define PAGE               4096UL
#define PFNS_MAX           256 /* of one chain: what Linux puts there */

enum {
	QUEUE_INFLATE,
	QUEUE_DEFLATE,
	QUEUE_REPORTING, /* behind those that are not offered: statistics, free page hints */
	QUEUES,
};

/**
 * struct balloon - The device
 * @config:	as the driver sees it; @config.actual and @config.poison_val are the driver's
 * @kick:	sources of the queues' eventfds while they are started
 */
struct balloon {
	struct vdev d;
	struct rsm_loop *loop;
	struct virtio_balloon_config config;
	struct balloon_queue {
		struct balloon *owner;
		struct rsm_source *kick;
	} q[QUEUES];
	struct iovec iov[VIRTQ_SEGS_MAX];
};

static struct balloon *from_vdev(const struct vdev *d)
{
	return rsm_container_of(d, struct balloon, d);
}

/* Drop the whole pages of [@at, @at + @len). */
static void drop(void *at, size_t len)
{
	uintptr_t start = ((uintptr_t)at + PAGE - 1) & ~(PAGE - 1);
	uintptr_t end = ((uintptr_t)at + len) & ~(PAGE - 1);

	if (start < end)
		madvise((void *)start, end - start, MADV_DONTNEED);
}

/* Page numbers, 32 bits each; neighbours go together. */
static void inflate(struct balloon *b, const struct virtq_req *req)
{
	uint32_t pfns[PFNS_MAX];
	size_t n = virtq_iov_read(virtq_out(req), req->nout, 0, pfns, sizeof(pfns)) / 4;
	uint8_t *run = NULL;
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		gpa_t gpa = {(uint64_t)le32toh(pfns[i]) << VIRTIO_BALLOON_PFN_SHIFT};
		uint8_t *at = gmem_ptr(b->d.mem, gpa, PAGE);

		if (!at)
			continue; /* not RAM: nothing to drop */
		if (run && at == run + len) {
			len += PAGE;
			continue;
		}
		if (run && at + PAGE == run) {
			run = at;
			len += PAGE;
			continue;
		}
		if (run)
			drop(run, len);
		run = at;
		len = PAGE;
	}
	if (run)
		drop(run, len);
}

/* Free ranges, as the segments themselves. */
static void reported(struct balloon *b, const struct virtq_req *req)
{
	/* A guest that fills its free pages with a pattern must find it there again. */
	if (b->d.acked & 1ULL << VIRTIO_BALLOON_F_PAGE_POISON && b->config.poison_val)
		return;
	for (unsigned i = 0; i < req->nin; i++)
		drop(virtq_in(req)[i].iov_base, virtq_in(req)[i].iov_len);
}

static void kicked(void *cookie, int fd, uint32_t events)
{
	struct balloon_queue *q = cookie;
	struct balloon *b = q->owner;
	unsigned index = (unsigned)(q - b->q);
	struct virtq *vq = &b->d.vq[index];
	struct virtq_req req = {.iov = b->iov};
	int r = 0;

	virtq_clear_kick(vq);
	for (unsigned i = 0; i < BALLOON_BATCH; i++) {
		r = virtq_pop(vq, &req);
		if (r <= 0)
			break;
		if (index == QUEUE_INFLATE)
			inflate(b, &req);
		else if (index == QUEUE_REPORTING)
			reported(b, &req);
		virtq_push(vq, req.head, 0);
	}
	virtq_notify(vq);
	if (r < 0) {
		rsm_source_pause(q->kick);
		vdev_fail(&b->d, "malformed ring");
	} else if (r > 0 || virtq_enable_kicks(vq)) {
		eventfd_write(fd, 1); /* more: after the others */
	}
}

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, (const char *)&from_vdev(d)->config + offset, len);
}

static void write_config(struct vdev *d, uint32_t offset, const void *buf, uint32_t len)
{
	struct balloon *b = from_vdev(d);
	struct virtio_balloon_config new = b->config;

	memcpy((char *)&new + offset, buf, len);
	b->config.actual = new.actual; /* the rest is not the driver's */
	b->config.poison_val = new.poison_val;
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct balloon *b = from_vdev(d);
	int r = rsm_loop_add(b->loop, d->vq[i].kick_fd, EPOLLIN, kicked, &b->q[i], &b->q[i].kick);

	if (r == 0)
		eventfd_write(d->vq[i].kick_fd, 1); /* what came before we listened */
	return r;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	struct balloon *b = from_vdev(d);

	rsm_loop_remove(b->q[i].kick);
	b->q[i].kick = NULL;
}

static void reset(struct vdev *d)
{
	struct balloon *b = from_vdev(d);

	b->config.actual = 0;
	b->config.poison_val = 0;
}

int balloon_new(struct rsm_loop *loop, struct vdev **ret)
{
	static const struct vdev_ops ops = {
		.name = "balloon",
		.device_id = VIRTIO_ID_BALLOON,
		.nqueues = QUEUES,
		.queue_size = BALLOON_QUEUE_SIZE,
		.config_len = sizeof(struct virtio_balloon_config),
		.read_config = read_config,
		.write_config = write_config,
		.queue_start = queue_start,
		.queue_stop = queue_stop,
		.reset = reset,
	};
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	vdev_init(&b->d, &ops,
		  1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ULL << VIRTIO_BALLOON_F_PAGE_POISON |
			  1ULL << VIRTIO_BALLOON_F_REPORTING);
	b->loop = loop;
	for (unsigned i = 0; i < QUEUES; i++)
		b->q[i].owner = b;
	*ret = &b->d;
	return 0;
}

void balloon_free(struct vdev *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < QUEUES; i++)
		queue_stop(d, i);
	free(from_vdev(d));
}

void balloon_set_target(struct vdev *d, uint32_t pages)
{
	from_vdev(d)->config.num_pages = htole32(pages);
}

uint32_t balloon_actual(const struct vdev *d)
{
	return le32toh(from_vdev(d)->config.actual);
}
