// SPDX-License-Identifier: Apache-2.0
/*
 * One request at a time, on the queue's thread: data goes between the file and guest memory
 * directly, in one system call for most requests.
 *
 * A request is a header (16 bytes), data, and one status byte that is the last one the device may
 * write; how these are spread over descriptors is the driver's choice. A request that has no room
 * for a header or a status breaks the protocol, any other mistake is answered with a status.
 */
#include "vmm/blk.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define SECTOR         512ULL
#define BLOCK          4096U
#define BLK_QUEUE_SIZE 128
/* Most segments of one request besides header and status. */
#define BLK_SEGS       (BLK_QUEUE_SIZE - 2)
/* Of one request to discard or to zero: ranges, and sectors of a range. */
#define RANGES_MAX     16
#define RANGE_SECTORS  (1U << 22)

static const char serial[VIRTIO_BLK_ID_BYTES] = "runsm-scratch";

/**
 * struct blk - The device
 * @fd:		the file
 * @size:	bytes of it that are the disk
 * @stop_fd:	eventfd that wakes @thread to end it
 * @iov:	of the request being served
 */
struct blk {
	struct vdev d;
	int fd;
	uint64_t size;
	struct virtio_blk_config config;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	int stop_fd;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

static struct blk *from_vdev(struct vdev *d)
{
	return rsm_container_of(d, struct blk, d);
}

/* ---- requests */

/* Leave out the first @skip bytes and everything behind @len more. Return: segments left */
static unsigned cut(struct iovec **iov, unsigned n, size_t skip, size_t len)
{
	unsigned i = 0;

	while (n && skip >= (*iov)->iov_len) {
		skip -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n && skip) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + skip;
		(*iov)->iov_len -= skip;
	}
	for (; i < n && len; i++) {
		(*iov)[i].iov_len = rsm_min((*iov)[i].iov_len, len);
		len -= (*iov)[i].iov_len;
	}
	return i;
}

/* Is [@sector, @sector + @len bytes) whole sectors of the disk? */
static bool on_disk(const struct blk *b, uint64_t sector, uint64_t len)
{
	return len % SECTOR == 0 && len <= b->size && sector <= (b->size - len) / SECTOR;
}

static uint8_t transfer(const struct blk *b, bool write, uint64_t sector, struct iovec *iov,
			unsigned n, size_t len)
{
	off_t at = (off_t)(sector * SECTOR);

	if (!on_disk(b, sector, len))
		return VIRTIO_BLK_S_IOERR;
	while (len) {
		ssize_t done = write ? pwritev(b->fd, iov, (int)n, at)
				     : preadv(b->fd, iov, (int)n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) /* a full host disk, or a file that was cut */
			return VIRTIO_BLK_S_IOERR;
		at += done;
		len -= (size_t)done;
		n = cut(&iov, n, (size_t)done, len);
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t zero(const struct blk *b, bool discard, const struct virtio_blk_discard_write_zeroes *r)
{
	uint64_t sector = le64toh(r->sector), len = le32toh(r->num_sectors) * SECTOR;
	uint32_t flags = le32toh(r->flags), unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (flags & ~(discard ? 0 : unmap))
		return VIRTIO_BLK_S_UNSUPP;
	if (!on_disk(b, sector, len) || len > RANGE_SECTORS * SECTOR)
		return VIRTIO_BLK_S_IOERR;
	if (len == 0)
		return VIRTIO_BLK_S_OK;
	/* zeroes without "unmap" could keep their blocks, but no file of ours has any to itself */
	return fallocate(b->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 (off_t)(sector * SECTOR), (off_t)len) < 0
		       ? VIRTIO_BLK_S_IOERR
		       : VIRTIO_BLK_S_OK;
}

static uint8_t zero_all(const struct blk *b, bool discard, const struct iovec *iov, unsigned n,
			size_t len)
{
	struct virtio_blk_discard_write_zeroes r[RANGES_MAX];
	uint8_t status = VIRTIO_BLK_S_OK;

	if (len % sizeof(r[0]) || len > sizeof(r))
		return VIRTIO_BLK_S_IOERR;
	virtq_iov_read(iov, n, 0, r, len);
	for (size_t i = 0; i < len / sizeof(r[0]) && status == VIRTIO_BLK_S_OK; i++)
		status = zero(b, discard, &r[i]);
	return status;
}

/* Return: bytes written to the guest, or -EBADMSG */
static int64_t serve(struct blk *b, const struct virtq_req *req)
{
	size_t nout = virtq_iov_len(virtq_out(req), req->nout);
	size_t nin = virtq_iov_len(virtq_in(req), req->nin);
	struct iovec *out = virtq_out(req), *in = virtq_in(req);
	struct virtio_blk_outhdr h;
	uint8_t status = VIRTIO_BLK_S_UNSUPP, *status_at;
	const struct iovec *last;
	int64_t written = 0;
	unsigned n;

	if (nout < sizeof(h) || nin < 1)
		return -EBADMSG;
	for (last = &in[req->nin - 1]; !last->iov_len; last--)
		;
	status_at = (uint8_t *)last->iov_base + last->iov_len - 1;
	virtq_iov_read(out, req->nout, 0, &h, sizeof(h));
	nout -= sizeof(h);
	nin--;
	switch (le32toh(h.type)) {
	case VIRTIO_BLK_T_IN:
		n = cut(&in, req->nin, 0, nin);
		status = transfer(b, false, le64toh(h.sector), in, n, nin);
		written = status == VIRTIO_BLK_S_OK ? (int64_t)nin : 0;
		break;
	case VIRTIO_BLK_T_OUT:
		n = cut(&out, req->nout, sizeof(h), nout);
		status = transfer(b, true, le64toh(h.sector), out, n, nout);
		break;
	case VIRTIO_BLK_T_GET_ID:
		written = (int64_t)virtq_iov_write(in, req->nin, 0, serial,
						   rsm_min(nin, sizeof(serial)));
		status = VIRTIO_BLK_S_OK;
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		n = cut(&out, req->nout, sizeof(h), nout);
		status = zero_all(b, le32toh(h.type) == VIRTIO_BLK_T_DISCARD, out, n, nout);
		break;
	default:
		break;
	}
	*status_at = status;
	return written + 1;
}

/* ---- the queue */

static int serve_available(struct blk *b)
{
	struct virtq_req req = {.iov = b->iov};
	struct virtq *vq = &b->d.vq[0];
	int r = 0;

	while (!atomic_load_explicit(&b->stop, memory_order_relaxed) &&
	       (r = virtq_pop(vq, &req)) > 0) {
		int64_t len = serve(b, &req);

		if (len < 0)
			return (int)len;
		virtq_push(vq, req.head, (uint32_t)len);
		virtq_notify(vq);
	}
	return r;
}

static void *worker(void *arg)
{
	struct blk *b = arg;
	struct virtq *vq = &b->d.vq[0];
	struct pollfd fds[] = {{.fd = vq->kick_fd, .events = POLLIN},
			       {.fd = b->stop_fd, .events = POLLIN}};

	if (vdev_jail(&b->d, JAIL_DISK) < 0)
		return NULL;
	while (!atomic_load_explicit(&b->stop, memory_order_acquire)) {
		virtq_disable_kicks(vq);
		if (serve_available(b) < 0) {
			vdev_fail(&b->d, "malformed request");
			break;
		}
		if (virtq_enable_kicks(vq))
			continue;
		(void)poll(fds, 2, -1);
		virtq_clear_kick(vq);
	}
	(void)virtq_enable_kicks(vq);
	return NULL;
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct blk *b = from_vdev(d);
	sigset_t all, old;
	int rc;

	b->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->stop_fd < 0)
		return -errno;
	atomic_store(&b->stop, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&b->thread, NULL, worker, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		rsm_close(&b->stop_fd);
	b->running = rc == 0;
	return -rc;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	struct blk *b = from_vdev(d);

	if (!b->running)
		return;
	atomic_store(&b->stop, true);
	(void)eventfd_write(b->stop_fd, 1);
	pthread_join(b->thread, NULL);
	rsm_close(&b->stop_fd);
	b->running = false;
}

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, (const uint8_t *)&from_vdev(d)->config + offset, len);
}

static void reset(struct vdev *d)
{
}

/* ---- life */

static void set_config(struct blk *b)
{
	b->config = (struct virtio_blk_config){
		.capacity = htole64(b->size / SECTOR),
		.seg_max = htole32(BLK_SEGS),
		.blk_size = htole32(BLOCK),
		.num_queues = htole16(1),
		.max_discard_sectors = htole32(RANGE_SECTORS),
		.max_discard_seg = htole32(RANGES_MAX),
		.discard_sector_alignment = htole32(BLOCK / SECTOR),
		.max_write_zeroes_sectors = htole32(RANGE_SECTORS),
		.max_write_zeroes_seg = htole32(RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};
}

int blk_new(int fd, struct vdev **ret, struct rsm_error *err)
{
	static const struct vdev_ops ops = {
		.name = "blk",
		.device_id = VIRTIO_ID_BLOCK,
		.nqueues = 1,
		.queue_size = BLK_QUEUE_SIZE,
		.config_len = sizeof(struct virtio_blk_config),
		.read_config = read_config,
		.queue_start = queue_start,
		.queue_stop = queue_stop,
		.reset = reset,
	};
	struct stat st;
	struct blk *b;

	if (fstat(fd, &st) < 0)
		return rsm_fail_errno(err, errno, "disk");
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)BLOCK)
		return rsm_fail(err, EINVAL, "disk: not a regular file of 4 KiB at least");
	b = calloc(1, sizeof(*b));
	if (!b)
		return rsm_fail_errno(err, ENOMEM, "disk");
	vdev_init(&b->d, &ops,
		  1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
			  1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES);
	b->fd = fd;
	b->stop_fd = -1;
	b->size = (uint64_t)st.st_size & ~(uint64_t)(BLOCK - 1);
	set_config(b);
	*ret = &b->d;
	return 0;
}

void blk_free(struct vdev *d)
{
	struct blk *b;

	if (!d)
		return;
	b = from_vdev(d);
	queue_stop(d, 0);
	rsm_close(&b->fd);
	free(b);
}
