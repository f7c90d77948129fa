// SPDX-License-Identifier: Apache-2.0
/*
 * The device: takes packets off the tx queue, puts packets on the rx queue.
 *
 * A kick of either queue, and everything an endpoint does, ends in vsock_leave(): what streams owe
 * is sent as far as there are rx buffers, then the guest is notified once. Only when the guest's
 * own packets make us owe more RSTs than fit in @rsts is tx left alone until rx buffers come.
 */
#include "vmm/vsock.h"

#include "base/error.h"
#include "base/math.h"
#include "vmm/vsock_internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define QUEUE_SIZE 256
#define TX_MAX     128 /* packets per round of the loop: others want their turn */

static struct vsock *from_vdev(struct vdev *d)
{
	return rsm_container_of(d, struct vsock, vdev);
}

/* ---- failing */

static void lose_all(struct vsock *v)
{
	struct vsock_stream *s, *next;

	for (s = LIST_FIRST(&v->all); s; s = next) {
		next = LIST_NEXT(s, all);
		/* Nobody is there to be told anything: a stream is done once it is delivered. */
		vsock_stream_lost(s, -ECONNRESET);
	}
	v->nrsts = 0;
}

static void stop_queue(struct vsock *v, unsigned i)
{
	rsm_loop_remove(v->kicks[i]);
	v->kicks[i] = NULL;
	v->started[i] = false;
}

static int fail(struct vsock *v, const char *why)
{
	for (unsigned i = 0; i < VSOCK_NQUEUES; i++)
		stop_queue(v, i);
	vdev_fail(&v->vdev, why);
	lose_all(v);
	return -EBADMSG;
}

/* ---- rx: host to guest */

/* Segments of @in from byte @skip on. Return: how many, *@room bytes in all */
static unsigned slice(struct iovec *out, const struct iovec *in, unsigned n, size_t skip,
		      size_t len, size_t *room)
{
	unsigned k = 0;

	*room = 0;
	for (unsigned i = 0; i < n && len; i++) {
		size_t here = in[i].iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = rsm_min(here - skip, len);
		out[k++] = (struct iovec){(uint8_t *)in[i].iov_base + skip, here};
		skip = 0;
		len -= here;
		*room += here;
	}
	return k;
}

/* Is there an rx buffer? If not, its coming will be kicked. */
static bool rx_ready(struct vsock *v)
{
	struct virtq *vq = &v->vdev.vq[VSOCK_Q_RX];

	return v->started[VSOCK_Q_RX] && (virtq_pending(vq) || virtq_enable_kicks(vq));
}

int vsock_rx_begin(struct vsock *v, struct virtq_req *req, size_t *ret_room, unsigned *ret_n)
{
	int ret;

	req->iov = v->rx_iov;
	if (!rx_ready(v))
		return 0;
	ret = virtq_pop(&v->vdev.vq[VSOCK_Q_RX], req);
	if (ret == 0) /* the guest took it back */
		return 0;
	if (ret < 0)
		return fail(v, "malformed rx queue");
	*ret_n = slice(v->rx_payload, virtq_in(req), req->nin, sizeof(struct virtio_vsock_hdr),
		       SIZE_MAX, ret_room);
	if (*ret_room == 0)
		return fail(v, "rx buffer without room for a packet");
	return 1;
}

void vsock_rx_commit(struct vsock *v, struct virtq_req *req, struct virtio_vsock_hdr *hdr,
		     uint32_t len)
{
	(void)virtq_iov_write(virtq_in(req), req->nin, 0, hdr, sizeof(*hdr));
	virtq_push(&v->vdev.vq[VSOCK_Q_RX], req->head, (uint32_t)sizeof(*hdr) + len);
	v->rx_pushed = true;
}

void vsock_rx_abort(struct vsock *v)
{
	virtq_unpop(&v->vdev.vq[VSOCK_Q_RX]);
}

static int send_rsts(struct vsock *v)
{
	while (v->nrsts) {
		struct virtio_vsock_hdr hdr = {
			.src_cid = htole64(VSOCK_HOST_CID),
			.dst_cid = htole64(VSOCK_GUEST_CID),
			.src_port = htole32(v->rsts[v->nrsts - 1].host_port),
			.dst_port = htole32(v->rsts[v->nrsts - 1].guest_port),
			.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
			.op = htole16(VIRTIO_VSOCK_OP_RST),
		};
		struct virtq_req req;
		size_t room;
		unsigned n;
		int ret = vsock_rx_begin(v, &req, &room, &n);

		if (ret <= 0)
			return ret;
		vsock_rx_commit(v, &req, &hdr, 0);
		v->nrsts--;
	}
	return 1;
}

/* Send what is owed, oldest first, until rx buffers run out. */
static void flush(struct vsock *v)
{
	struct vsock_stream *s;

	if (send_rsts(v) <= 0)
		return;
	while ((s = TAILQ_FIRST(&v->due))) {
		if (s->pending && vsock_stream_send_pending(s) <= 0)
			return;
		if (!s->listed_due) /* that was the last of it */
			continue;
		if (s->blocked && !rx_ready(v))
			return;
		TAILQ_REMOVE(&v->due, s, due);
		s->listed_due = false;
		vsock_stream_unblock(s);
	}
}

void vsock_enter(struct vsock *v)
{
	v->depth++;
}

void vsock_leave(struct vsock *v)
{
	struct vsock_stream *s;

	rsm_assert(v->depth > 0);
	if (v->depth == 1 && v->started[VSOCK_Q_RX])
		flush(v);
	if (--v->depth > 0)
		return;
	if (v->rx_pushed) {
		v->rx_pushed = false;
		virtq_notify(&v->vdev.vq[VSOCK_Q_RX]);
	}
	while ((s = SLIST_FIRST(&v->dead))) {
		SLIST_REMOVE_HEAD(&v->dead, dead);
		vsock_stream_free(s);
	}
}

/* ---- tx: guest to host */

static void owe_rst(struct vsock *v, const struct virtio_vsock_hdr *hdr)
{
	if (le16toh(hdr->op) == VIRTIO_VSOCK_OP_RST)
		return;
	rsm_assert(v->nrsts < VSOCK_RSTS_MAX);
	v->rsts[v->nrsts].guest_port = le32toh(hdr->src_port);
	v->rsts[v->nrsts].host_port = le32toh(hdr->dst_port);
	v->nrsts++;
}

static void connect_request(struct vsock *v, const struct virtio_vsock_hdr *hdr)
{
	struct vsock_port *p = vsock_port_find(v, le32toh(hdr->dst_port));
	vsock_accept_fn accept;
	struct vsock_stream *s;
	void *cookie;

	if (!p || v->nstreams >= VSOCK_STREAMS_MAX ||
	    vsock_stream_new(v, le32toh(hdr->src_port), le32toh(hdr->dst_port), &s) < 0) {
		rsm_log_limited(&v->vdev.guest_faults, RSM_LOG_DEBUG,
				"vsock: refused a connection to port %u", le32toh(hdr->dst_port));
		owe_rst(v, hdr);
		return;
	}
	accept = p->accept;
	cookie = p->cookie;
	if (p->once)
		vsock_port_remove(v, p);
	s->peer_buf_alloc = le32toh(hdr->buf_alloc);
	s->peer_fwd_cnt = le32toh(hdr->fwd_cnt);
	vsock_stream_owe(s, VIRTIO_VSOCK_OP_RESPONSE);
	if (accept(cookie, s) < 0)
		vsock_stream_close(s);
	else
		rsm_assert(s->ops);
}

static int packet(struct vsock *v, const struct virtq_req *req)
{
	struct virtio_vsock_hdr hdr;
	struct vsock_stream *s;
	size_t room;
	unsigned n;

	if (virtq_iov_read(virtq_out(req), req->nout, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return fail(v, "packet shorter than its header");
	n = slice(v->payload, virtq_out(req), req->nout, sizeof(hdr), le32toh(hdr.len), &room);
	if (le64toh(hdr.src_cid) != VSOCK_GUEST_CID || le64toh(hdr.dst_cid) != VSOCK_HOST_CID ||
	    le16toh(hdr.type) != VIRTIO_VSOCK_TYPE_STREAM) {
		owe_rst(v, &hdr);
		return 0;
	}
	s = vsock_stream_find(v, le32toh(hdr.src_port), le32toh(hdr.dst_port));
	if (room < le32toh(hdr.len)) {
		/* The header promises more than the chain has: no byte of it can be trusted. */
		if (s)
			vsock_stream_lost(s, -ECONNRESET);
		owe_rst(v, &hdr);
	} else if (s) {
		vsock_stream_packet(s, &hdr, v->payload, n);
	} else if (le16toh(hdr.op) == VIRTIO_VSOCK_OP_REQUEST) {
		connect_request(v, &hdr);
	} else {
		owe_rst(v, &hdr);
	}
	return 0;
}

static void serve_tx(struct vsock *v)
{
	struct virtq *vq = &v->vdev.vq[VSOCK_Q_TX];
	struct virtq_req req = {.iov = v->iov};
	int ret = 1, budget = TX_MAX;

	v->tx_stalled = false;
	virtq_disable_kicks(vq);
	while (v->started[VSOCK_Q_TX] && budget-- > 0) {
		if (v->nrsts == VSOCK_RSTS_MAX && send_rsts(v) <= 0) {
			v->tx_stalled = true;
			break;
		}
		ret = virtq_pop(vq, &req);
		if (ret == 0 && virtq_enable_kicks(vq)) {
			virtq_disable_kicks(vq);
			continue;
		}
		if (ret < 0)
			(void)fail(v, "malformed tx queue");
		if (ret <= 0 || packet(v, &req) < 0)
			break;
		if (v->started[VSOCK_Q_TX])
			virtq_push(vq, req.head, 0);
	}
	if (!v->started[VSOCK_Q_TX])
		return;
	virtq_notify(vq);
	if (ret > 0 && !v->tx_stalled) /* out of budget: come back in the next round */
		(void)eventfd_write(vq->kick_fd, 1);
}

static void tx_kicked(void *cookie, int fd, uint32_t events)
{
	struct vsock *v = cookie;

	virtq_clear_kick(&v->vdev.vq[VSOCK_Q_TX]);
	vsock_enter(v);
	serve_tx(v);
	vsock_leave(v);
}

static void rx_kicked(void *cookie, int fd, uint32_t events)
{
	struct vsock *v = cookie;

	virtq_clear_kick(&v->vdev.vq[VSOCK_Q_RX]);
	virtq_disable_kicks(&v->vdev.vq[VSOCK_Q_RX]);
	vsock_enter(v);
	flush(v);
	if (v->tx_stalled && v->nrsts < VSOCK_RSTS_MAX)
		serve_tx(v);
	vsock_leave(v);
}

/* ---- vdev */

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	struct virtio_vsock_config config = {.guest_cid = htole64(VSOCK_GUEST_CID)};

	memcpy(buf, (const uint8_t *)&config + offset, len);
}

static int queue_start(struct vdev *d, unsigned i)
{
	struct vsock *v = from_vdev(d);
	rsm_io_fn fn = i == VSOCK_Q_TX ? tx_kicked : rx_kicked;
	int fd = d->vq[i].kick_fd;
	int ret = 0;

	if (i == VSOCK_Q_EVENT) /* nothing ever happens that is told there */
		return 0;
	stop_queue(v, i);
	if (fd >= 0)
		ret = rsm_loop_add(v->loop, fd, EPOLLIN, fn, v, &v->kicks[i]);
	if (ret < 0)
		return ret;
	v->started[i] = true;
	/* What came before we listened. */
	fn(v, fd, EPOLLIN);
	return 0;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	stop_queue(from_vdev(d), i);
}

static void device_reset(struct vdev *d)
{
	struct vsock *v = from_vdev(d);

	vsock_enter(v);
	lose_all(v);
	vsock_leave(v);
}

static const struct vdev_ops vsock_ops = {
	.name = "vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.nqueues = VSOCK_NQUEUES,
	.queue_size = QUEUE_SIZE,
	.config_len = sizeof(struct virtio_vsock_config),
	.read_config = read_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = device_reset,
};

int vsock_new(struct rsm_loop *loop, struct vsock **ret)
{
	struct vsock *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->loop = loop;
	vdev_init(&v->vdev, &vsock_ops, 0);
	TAILQ_INIT(&v->due);
	*ret = v;
	return 0;
}

void vsock_free(struct vsock *v)
{
	struct vsock_stream *s;

	if (!v)
		return;
	for (unsigned i = 0; i < VSOCK_NQUEUES; i++)
		stop_queue(v, i);
	vsock_enter(v);
	lose_all(v);
	while ((s = LIST_FIRST(&v->all))) {
		/* Its endpoint does not take the rest. */
		if (!s->closed && s->ops->closed)
			s->ops->closed(s->cookie, -ECONNRESET);
		vsock_stream_close(s);
	}
	vsock_leave(v);
	vsock_port_forget_all(v);
	free(v);
}

struct vdev *vsock_vdev(struct vsock *v)
{
	return &v->vdev;
}
