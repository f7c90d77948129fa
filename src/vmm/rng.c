// SPDX-License-Identifier: Apache-2.0
/*
 * One queue, served on the main loop: a kernel asks for some bytes at boot and now and then.
 *
 * What a guest can cost us is bounded twice: RNG_BYTES for one buffer (a device may return less
 * than the buffer holds) and RNG_BATCH buffers before others have their turn.
 */
#include "vmm/rng.h"

#include "base/math.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#define RNG_BYTES      256 /* getrandom() gives as many at once, always (random(7)) */
#define RNG_BATCH      16
#define RNG_QUEUE_SIZE 64

/**
 * struct rng - The device
 * @kick:	source of the queue's eventfd while it is started
 */
struct rng {
	struct vdev d;
	struct rsm_loop *loop;
	struct rsm_source *kick;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

static struct rng *from_vdev(struct vdev *d)
{
	return rsm_container_of(d, struct rng, d);
}

static uint32_t fill(const struct virtq_req *req)
{
	uint8_t bytes[RNG_BYTES];
	size_t want = rsm_min(virtq_iov_len(virtq_in(req), req->nin), sizeof(bytes));
	ssize_t n = getrandom(bytes, want, 0);

	if (n <= 0)
		return 0;
	return (uint32_t)virtq_iov_write(virtq_in(req), req->nin, 0, bytes, (size_t)n);
}

static void kicked(void *cookie, int fd, uint32_t events)
{
	struct rng *rng = cookie;
	struct virtq *vq = &rng->d.vq[0];
	struct virtq_req req = {.iov = rng->iov};
	int r = 0;

	virtq_clear_kick(vq);
	for (unsigned i = 0; i < RNG_BATCH; i++) {
		r = virtq_pop(vq, &req);
		if (r <= 0)
			break;
		virtq_push(vq, req.head, fill(&req));
	}
	virtq_notify(vq);
	if (r < 0) {
		rsm_source_pause(rng->kick);
		vdev_fail(&rng->d, "malformed ring");
	} else if (r > 0 || virtq_enable_kicks(vq)) {
		eventfd_write(fd, 1); /* more: after the others */
	}
}

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct rng *rng = from_vdev(d);
	int r = rsm_loop_add(rng->loop, d->vq[0].kick_fd, EPOLLIN, kicked, rng, &rng->kick);

	if (r == 0)
		eventfd_write(d->vq[0].kick_fd, 1); /* what came before we listened */
	return r;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	struct rng *rng = from_vdev(d);

	rsm_loop_remove(rng->kick);
	rng->kick = NULL;
}

static void reset(struct vdev *d)
{
}

int rng_new(struct rsm_loop *loop, struct vdev **ret)
{
	static const struct vdev_ops ops = {
		.name = "rng",
		.device_id = VIRTIO_ID_RNG,
		.nqueues = 1,
		.queue_size = RNG_QUEUE_SIZE,
		.read_config = read_config,
		.queue_start = queue_start,
		.queue_stop = queue_stop,
		.reset = reset,
	};
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	vdev_init(&rng->d, &ops, 0);
	rng->loop = loop;
	*ret = &rng->d;
	return 0;
}

void rng_free(struct vdev *d)
{
	if (!d)
		return;
	queue_stop(d, 0);
	free(from_vdev(d));
}
