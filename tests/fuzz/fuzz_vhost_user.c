// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile vhost-user master. Input: records {u8 fds, u8 len, len bytes}, each sent in one piece
 * with 0 to 3 fds: of guest memory, or an eventfd. The device pops what its queues have when it is
 * started.
 */
#include "vmm/vhost_user.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEM 65536

static bool started[2];

static int start(struct vdev *d, unsigned i)
{
	static struct iovec iov[VIRTQ_SEGS_MAX];
	struct virtq_req req = {.iov = iov};

	rsm_assert(!started[i]);
	started[i] = true;
	for (unsigned n = 0; n < 64 && virtq_pop(&d->vq[i], &req) > 0; n++)
		virtq_push(&d->vq[i], req.head, 0);
	(void)virtq_notify(&d->vq[i]);
	return 0;
}

static void stop(struct vdev *d, unsigned i)
{
	rsm_assert(started[i]);
	started[i] = false;
}

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	memset(buf, 'c', len);
}

static void reset(struct vdev *d)
{
	rsm_assert(!started[0] && !started[1]);
}

static const struct vdev_ops ops = {
	.name = "fuzz",
	.nqueues = 2,
	.config_len = 40,
	.read_config = read_config,
	.queue_start = start,
	.queue_stop = stop,
	.reset = reset,
};

static void closed(void *cookie, const struct rsm_error *err)
{
	*(bool *)cookie = true;
}

/* Send the records one by one, and let the back end work each off. */
static void play(struct rsm_loop *loop, int sock, const bool *over, const uint8_t *data,
		 size_t size)
{
	int fds[3] = {memfd_create("guest", MFD_CLOEXEC), -1, eventfd(0, EFD_CLOEXEC)};
	char drain[4096];

	fds[1] = fds[0];
	if (ftruncate(fds[0], MEM) == 0) {
		while (size > 2 && !*over) {
			size_t len = data[1] < size - 2 ? data[1] : size - 2;
			unsigned n = data[0] & 3;

			/* odd records begin with the eventfd, as kicks and calls do */
			if (len && rsm_send_fds(sock, data + 2, len, data[0] & 4 ? fds + 2 : fds,
						data[0] & 4 && n > 1 ? 1 : n) < 0)
				break;
			for (unsigned i = 0; i < 3; i++)
				(void)rsm_loop_once(loop, 0);
			while (recv(sock, drain, sizeof(drain), MSG_DONTWAIT) > 0)
				;
			data += 2 + len;
			size -= 2 + len;
		}
	}
	close(fds[0]);
	close(fds[2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsm_loop *loop;
	struct vhost_user *vu;
	struct vdev dev;
	bool over = false;
	int pair[2];

	vdev_init(&dev, &ops, 0);
	if (rsm_loop_new(&loop) < 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
		if (vhost_user_new(loop, &dev, pair[0], closed, &over, &vu, NULL) == 0) {
			play(loop, pair[1], &over, data, size);
			vhost_user_free(vu);
			rsm_assert(!started[0] && !started[1]);
		} else {
			close(pair[0]);
		}
		close(pair[1]);
	}
	rsm_loop_free(loop);
	return 0;
}
