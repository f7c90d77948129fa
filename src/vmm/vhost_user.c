// SPDX-License-Identifier: Apache-2.0
/*
 * Theory of operation
 *
 * Messages are assembled without blocking on the loop's thread, looked up in a table {size, fds,
 * what must stand still, handler} and handled one at a time. Before the handler the queues it
 * touches are stopped, afterwards every queue that can run is started again ("settle"), so that no
 * handler deals with a running queue.
 *
 * A queue runs while: it has a size, addresses that resolve to guest memory, a kick fd, and is
 * enabled (by SET_VRING_ENABLE, or by itself when the master has not acked
 * VHU_F_PROTOCOL_FEATURES). GET_VRING_BASE takes its kick fd away.
 *
 * A guest that reboots is not announced (QEMU 7.2 stops and starts the queues, as for a pause), but
 * after a pause each queue goes on at the index where it stopped, and a new driver begins at 0: a
 * SET_VRING_BASE that differs from the last index resets the device.
 *
 * VHOST_USER_PROTOCOL_F_STATUS is not offered on purpose: QEMU sets the status to 0 whenever the
 * machine is paused, and a device that took this for a reset would lose its FUSE session or its
 * connections on every pause. RESET_DEVICE is sent for real resets only.
 *
 * Not done: dirty logging (no live migration), in-flight descriptors across a reconnect, the back
 * end's own request channel, packed rings.
 */
#include "vmm/vhost_user.h"

#include "base/io.h"
#include "base/math.h"
#include "vmm/vhost_user_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void vhu_stop_queue(struct vhost_user *vu, unsigned i)
{
	if (!vu->queues[i].running)
		return;
	vu->dev->ops->queue_stop(vu->dev, i);
	vu->queues[i].running = false;
}

void vhu_stop_queues(struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev->nqueues; i++)
		vhu_stop_queue(vu, i);
}

/* Resolve ring addresses and start; false if the queue is not ready yet or its rings are bad. */
static int start_queue(struct vhost_user *vu, unsigned i)
{
	struct vhu_queue *q = &vu->queues[i];
	struct virtq *vq = &vu->dev->vq[i];
	int ret;

	if (q->running || !q->enabled || !q->has_addr || !q->num || vq->kick_fd < 0)
		return 0;
	ret = virtq_map(vq, &vu->mem, q->num,
			gmem_user_ptr(&vu->mem, q->addr.desc, virtq_desc_bytes(q->num)),
			gmem_user_ptr(&vu->mem, q->addr.avail, virtq_avail_bytes(q->num)),
			gmem_user_ptr(&vu->mem, q->addr.used, virtq_used_bytes(q->num)));
	if (ret < 0)
		return 0; /* a memory table without this ring: it waits for the next one */
	vq->event_idx = vu->dev->acked & (1ULL << VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = vu->dev->acked & (1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	ret = vu->dev->ops->queue_start(vu->dev, i);
	if (ret < 0)
		return ret;
	q->running = true;
	return 0;
}

static int settle(struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev->nqueues; i++) {
		int ret = start_queue(vu, i);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The device as it was made: queues stopped and unconfigured, nothing negotiated. */
void vhu_reset_device(struct vhost_user *vu)
{
	vhu_stop_queues(vu);
	for (unsigned i = 0; i < vu->dev->nqueues; i++) {
		struct vhu_queue *q = &vu->queues[i];
		struct virtq *vq = &vu->dev->vq[i];

		rsm_close(&vq->kick_fd);
		rsm_close(&vq->call_fd);
		rsm_close(&q->err_fd);
		*q = (struct vhu_queue){.err_fd = -1};
		*vq = (struct virtq){.kick_fd = -1, .call_fd = -1};
	}
	vu->dev->acked = 0;
	if (vu->dev->ops->reset)
		vu->dev->ops->reset(vu->dev);
}

void vhu_driver_is_new(struct vhost_user *vu)
{
	vhu_stop_queues(vu);
	for (unsigned i = 0; i < vu->dev->nqueues; i++)
		vu->dev->vq[i].last_avail = 0;
	if (vu->dev->ops->reset)
		vu->dev->ops->reset(vu->dev);
}

/* ---- connection */

static void rx_forget(struct vhost_user *vu)
{
	for (size_t i = 0; i < vu->rx_nfds; i++)
		rsm_close(&vu->rx_fds[i]);
	vu->rx_nfds = 0;
	vu->rx_len = 0;
}

static void disconnect(struct vhost_user *vu)
{
	rsm_loop_remove(vu->conn_source);
	vu->conn_source = NULL;
	rsm_close(&vu->conn_fd);
	rx_forget(vu);
	vhu_reset_device(vu);
	gmem_clear(&vu->mem);
	vu->protocol_features = 0;
}

/* End the connection, tell the owner. @vu may be gone afterwards. */
static void hang_up(struct vhost_user *vu, const struct rsm_error *err)
{
	vhost_user_closed_fn closed = vu->closed;
	void *cookie = vu->cookie;

	disconnect(vu);
	if (vu->listen_source)
		(void)rsm_source_set_events(vu->listen_source, EPOLLIN);
	if (closed)
		closed(cookie, err);
}

static int send_reply(struct vhost_user *vu, uint32_t request, const void *payload, uint32_t len,
		      struct rsm_error *err)
{
	struct {
		struct vhu_header h;
		uint8_t payload[sizeof(union vhu_payload)];
	} msg = {.h = {request, VHU_VERSION | VHU_FLAG_REPLY, len}};
	ssize_t n;

	rsm_assert(len <= sizeof(msg.payload));
	memcpy(msg.payload, payload, len);
	/* A peer that leaves its socket full has not read hundreds of replies. */
	n = send(vu->conn_fd, &msg, sizeof(msg.h) + len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return rsm_fail_errno(err, errno, "vhost-user: send reply to request %u", request);
	if ((size_t)n != sizeof(msg.h) + len)
		return rsm_fail(err, EIO, "vhost-user: short write of reply to request %u",
				request);
	return 0;
}

/* The message is complete: check it against the table, handle it, answer. */
static int dispatch(struct vhost_user *vu, struct rsm_error *err)
{
	const struct vhu_header h = vu->rx;
	const struct vhu_handler *handler = vhu_handler(h.request);
	struct rsm_error why = RSM_ERROR_INIT;
	bool need_reply =
		h.flags & VHU_FLAG_NEED_REPLY && vu->protocol_features & VHU_PROTOCOL_F_REPLY_ACK;
	int ret, settled;

	if ((h.flags & VHU_FLAG_VERSION_MASK) != VHU_VERSION || h.flags & VHU_FLAG_REPLY)
		return rsm_fail(err, EPROTO, "vhost-user: request %u has flags %#x", h.request,
				h.flags);
	if (handler && (h.size < handler->min_size || h.size > handler->max_size))
		return rsm_fail(err, EPROTO, "vhost-user: %s has %u bytes", handler->name, h.size);
	if (handler && vu->rx_nfds > handler->max_fds)
		return rsm_fail(err, EPROTO, "vhost-user: %s carries %zu fds", handler->name,
				vu->rx_nfds);
	if (handler && handler->stops_all)
		vhu_stop_queues(vu);
	ret = handler ? handler->fn(vu, &vu->rx_payload, h.size, &why)
		      : rsm_fail(&why, ENOTSUP, "vhost-user: request %u is not supported",
				 h.request);
	settled = ret >= 0 ? settle(vu) : 0;
	if (settled < 0)
		ret = rsm_fail_errno(&why, settled, "vhost-user: start queues of %s",
				     vu->dev->ops->name);
	if (ret >= 0 && handler->replies)
		return send_reply(vu, h.request, &vu->rx_payload, (uint32_t)ret, err);
	if (need_reply && (ret >= 0 || why.code != EPROTO)) {
		uint64_t nack = ret < 0;

		if (nack)
			rsm_log_debug("%s", why.message);
		return send_reply(vu, h.request, &nack, sizeof(nack), err);
	}
	if (ret < 0 && err)
		*err = why;
	return ret < 0 ? ret : 0;
}

/* Return: 1 more may follow, 0 nothing to read now, -errno, -ENOTCONN when the peer hung up */
static int receive(struct vhost_user *vu, struct rsm_error *err)
{
	size_t want = sizeof(vu->rx) - vu->rx_len, nfds = 0;
	char *at = (char *)&vu->rx + vu->rx_len;
	int fds[RSM_FDS_MAX];
	ssize_t n;

	if (vu->rx_len >= sizeof(vu->rx)) {
		if (vu->rx.size > sizeof(vu->rx_payload))
			return rsm_fail(err, EPROTO, "vhost-user: request %u claims %u bytes",
					vu->rx.request, vu->rx.size);
		want = sizeof(vu->rx) + vu->rx.size - vu->rx_len;
		at = (char *)&vu->rx_payload + vu->rx_len - sizeof(vu->rx);
	}
	n = rsm_recv_fds(vu->conn_fd, at, want, fds, &nfds);
	if (n == -EAGAIN || n == -EWOULDBLOCK)
		return 0;
	if (n < 0)
		return rsm_fail_errno(err, (int)-n, "vhost-user: receive");
	for (size_t i = 0; i < nfds; i++) {
		if (vu->rx_nfds < RSM_FDS_MAX)
			vu->rx_fds[vu->rx_nfds++] = fds[i];
		else
			close(fds[i]);
	}
	if (n == 0 && vu->rx_len)
		return rsm_fail(err, EPROTO, "vhost-user: the master hung up within a message");
	if (n == 0)
		return -ENOTCONN;
	vu->rx_len += (size_t)n;
	return 1;
}

static bool is_complete(const struct vhost_user *vu)
{
	return vu->rx_len >= sizeof(vu->rx) && vu->rx_len == sizeof(vu->rx) + (size_t)vu->rx.size;
}

static void on_message(void *cookie, int fd, uint32_t events)
{
	struct vhost_user *vu = cookie;
	struct rsm_error err = RSM_ERROR_INIT;
	int ret;

	/* one message a round: other sources of the loop get their turn */
	do
		ret = receive(vu, &err);
	while (ret == 1 && !is_complete(vu));
	if (ret == 1) {
		ret = dispatch(vu, &err);
		rx_forget(vu);
	}
	if (ret < 0)
		hang_up(vu, &err);
}

static int attach(struct vhost_user *vu, int fd, struct rsm_error *err)
{
	int ret = rsm_set_nonblock(fd, true);

	if (ret < 0)
		return rsm_fail_errno(err, ret, "vhost-user: make the socket non-blocking");
	ret = rsm_loop_add(vu->loop, fd, EPOLLIN, on_message, vu, &vu->conn_source);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "vhost-user: watch the socket");
	vu->conn_fd = fd;
	return 0;
}

static void on_listen(void *cookie, int listen_fd, uint32_t events)
{
	struct vhost_user *vu = cookie;
	struct rsm_error err = RSM_ERROR_INIT;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (attach(vu, fd, &err) < 0) {
		close(fd);
		if (vu->closed)
			vu->closed(vu->cookie, &err);
		return;
	}
	(void)rsm_source_pause(vu->listen_source);
}

/* Any thread of the device: tell the master through the err eventfd. */
static void needs_reset(void *cookie, struct vdev *d)
{
	struct vhost_user *vu = cookie;
	uint64_t one = 1;

	for (unsigned i = 0; i < d->nqueues; i++) {
		if (d->vq[i].broken && vu->queues[i].err_fd >= 0) {
			ssize_t ignored = write(vu->queues[i].err_fd, &one, sizeof(one));

			(void)ignored;
		}
	}
}

static int is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return -errno;
	return listening;
}

int vhost_user_new(struct rsm_loop *loop, struct vdev *dev, int fd, vhost_user_closed_fn closed,
		   void *cookie, struct vhost_user **ret, struct rsm_error *err)
{
	struct vhost_user *vu;
	int rc = is_listening(fd);

	if (rc < 0)
		return rsm_fail_errno(err, rc, "vhost-user: look at the socket");
	vu = calloc(1, sizeof(*vu));
	if (!vu)
		return rsm_fail_errno(err, ENOMEM, "vhost-user");
	*vu = (struct vhost_user){.loop = loop,
				  .dev = dev,
				  .conn_fd = -1,
				  .listen_fd = -1,
				  .closed = closed,
				  .cookie = cookie};
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++)
		vu->queues[i].err_fd = -1;
	if (rc) {
		(void)rsm_set_nonblock(fd, true);
		rc = rsm_loop_add(loop, fd, EPOLLIN, on_listen, vu, &vu->listen_source);
		if (rc < 0)
			rsm_fail_errno(err, rc, "vhost-user: watch the socket");
		else
			vu->listen_fd = fd;
	} else {
		rc = attach(vu, fd, err);
	}
	if (rc < 0) {
		free(vu);
		return rc;
	}
	dev->mem = &vu->mem;
	dev->transport = vu;
	dev->needs_reset = needs_reset;
	*ret = vu;
	return 0;
}

void vhost_user_free(struct vhost_user *vu)
{
	if (!vu)
		return;
	disconnect(vu);
	rsm_loop_remove(vu->listen_source);
	rsm_close(&vu->listen_fd);
	vu->dev->mem = NULL;
	vu->dev->transport = NULL;
	vu->dev->needs_reset = NULL;
	free(vu);
}
