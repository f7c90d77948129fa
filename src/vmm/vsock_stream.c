// SPDX-License-Identifier: Apache-2.0
/*
 * One stream: credit, shutdown, buffering.
 *
 *	established ──guest: RST, both SHUTDOWNs──▶ gone ──buffer empty──▶ closed ──nothing owed──▶
 *dead └──────────────owner: vsock_stream_close()───────────────────▶
 *
 * Both SHUTDOWN flags of the guest (it closed its socket) are answered with RST at once; what it
 * sent before is still delivered: a "gone" stream is one that exists only on our side.
 */
#include "vmm/vsock_internal.h"

#include "base/error.h"
#include "base/math.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN     4096U
#define PUMP_MAX    32 /* packets per readiness of a source: others want their turn */
/* The guest is told of freed buffer space in steps of this, bytes. */
#define CREDIT_STEP (VSOCK_BUF_ALLOC / 4)

static struct vsock_stream_list *bucket(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	return &v->streams[vsock_bucket(guest_port, host_port)];
}

struct vsock_stream *vsock_stream_find(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_stream *s;

	LIST_FOREACH(s, bucket(v, guest_port, host_port), hash)
	if (s->guest_port == guest_port && s->host_port == host_port)
		return s;
	return NULL;
}

int vsock_stream_new(struct vsock *v, uint32_t guest_port, uint32_t host_port,
		     struct vsock_stream **ret)
{
	struct vsock_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->dev = v;
	s->guest_port = guest_port;
	s->host_port = host_port;
	LIST_INSERT_HEAD(bucket(v, guest_port, host_port), s, hash);
	LIST_INSERT_HEAD(&v->all, s, all);
	v->nstreams++;
	*ret = s;
	return 0;
}

void vsock_stream_free(struct vsock_stream *s)
{
	free(s->buf);
	free(s);
}

static void die(struct vsock_stream *s)
{
	if (s->is_dead)
		return;
	s->is_dead = true;
	if (s->listed_due)
		TAILQ_REMOVE(&s->dev->due, s, due);
	s->listed_due = false;
	LIST_REMOVE(s, all);
	s->dev->nstreams--;
	SLIST_INSERT_HEAD(&s->dev->dead, s, dead);
}

static void list_due(struct vsock_stream *s)
{
	if (s->listed_due)
		return;
	TAILQ_INSERT_TAIL(&s->dev->due, s, due);
	s->listed_due = true;
}

void vsock_stream_owe(struct vsock_stream *s, unsigned op)
{
	s->pending |= 1U << op;
	list_due(s);
}

/* ---- buffer */

static uint32_t kept(const struct vsock_stream *s)
{
	return s->rx_cnt - s->fwd_cnt;
}

static void drop_kept(struct vsock_stream *s)
{
	s->fwd_cnt = s->rx_cnt;
	free(s->buf);
	s->buf = NULL;
	s->buf_size = s->buf_head = 0;
}

static unsigned kept_iov(const struct vsock_stream *s, uint32_t len, struct iovec iov[2])
{
	uint32_t first = rsm_min(len, s->buf_size - s->buf_head);

	iov[0] = (struct iovec){s->buf + s->buf_head, first};
	iov[1] = (struct iovec){s->buf, len - first};
	return len > first ? 2 : 1;
}

/* Make room for @len bytes in all; they are at most VSOCK_BUF_ALLOC. */
static int grow(struct vsock_stream *s, uint32_t have, uint32_t len)
{
	uint32_t size = s->buf_size ? s->buf_size : BUF_MIN;
	struct iovec iov[2];
	uint8_t *buf;

	while (size < len)
		size *= 2;
	if (size == s->buf_size)
		return 0;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	if (have) {
		unsigned n = kept_iov(s, have, iov);

		(void)virtq_iov_read(iov, n, 0, buf, have);
	}
	free(s->buf);
	s->buf = buf;
	s->buf_size = size;
	s->buf_head = 0;
	return 0;
}

/* Keep the @len bytes at @skip of @iov behind the @have bytes that are kept already. */
static int keep(struct vsock_stream *s, uint32_t have, const struct iovec *iov, unsigned n,
		size_t skip, uint32_t len)
{
	uint32_t tail, first;

	if (grow(s, have, have + len) < 0)
		return -ENOMEM;
	tail = (s->buf_head + have) & (s->buf_size - 1);
	first = rsm_min(len, s->buf_size - tail);
	(void)virtq_iov_read(iov, n, skip, s->buf + tail, first);
	(void)virtq_iov_read(iov, n, skip + first, s->buf, len - first);
	return 0;
}

/* ---- the ends */

/* The guest is done with the stream; @owe_rst: it waits for our RST. */
static void begin_gone(struct vsock_stream *s, int error, bool owe_rst)
{
	if (s->gone)
		return;
	s->gone = true;
	s->error = error;
	s->blocked = false;
	s->guest_shut = VSOCK_SHUT_BOTH;
	LIST_REMOVE(s, hash);
	s->pending = 0;
	if (owe_rst)
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_RST);
}

/* After anything that may have been the last thing to happen. */
static void settle(struct vsock_stream *s)
{
	if (!s->closed && kept(s) == 0 && (s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)) {
		if (!s->eof_told && !(s->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) && s->ops->eof) {
			s->eof_told = true;
			s->ops->eof(s->cookie);
		}
		if (s->gone && !s->closed) {
			s->closed = true;
			s->ops->closed(s->cookie, s->error);
		}
	}
	if (s->closed && s->gone && !s->pending)
		die(s);
}

void vsock_stream_lost(struct vsock_stream *s, int error)
{
	begin_gone(s, error, false);
	s->pending = 0;
	settle(s);
}

/* The guest broke the rules of this stream. */
static void reset(struct vsock_stream *s)
{
	begin_gone(s, -ECONNRESET, true);
	settle(s);
}

void vsock_stream_close(struct vsock_stream *s)
{
	struct vsock *v = s->dev;

	vsock_enter(v);
	if (!s->closed) {
		s->closed = true;
		drop_kept(s);
		begin_gone(s, 0, true);
		settle(s);
	}
	vsock_leave(v);
}

void vsock_stream_attach(struct vsock_stream *s, const struct vsock_stream_ops *ops, void *cookie)
{
	s->ops = ops;
	s->cookie = cookie;
}

uint64_t vsock_stream_taken(const struct vsock_stream *s)
{
	return s->taken;
}

/* ---- guest to host */

static void shut_rcv(struct vsock_stream *s)
{
	s->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	drop_kept(s);
	if (!s->gone && !(s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND))
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_SHUTDOWN);
}

/* Return: how many of the @len bytes need not be kept: taken by the endpoint, or dropped. */
static uint32_t give(struct vsock_stream *s, const struct iovec *iov, unsigned n, uint32_t len)
{
	ssize_t did;

	if (s->closed || (s->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		return len;
	did = s->ops->write ? s->ops->write(s->cookie, iov, n) : -EPIPE;
	if (s->closed)
		return len;
	if (did == -EAGAIN)
		return 0;
	if (did < 0) {
		shut_rcv(s);
		return len;
	}
	rsm_assert((size_t)did <= len);
	s->taken += (uint64_t)did;
	return (uint32_t)did;
}

static void tell_credit(struct vsock_stream *s)
{
	if (!(s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	    s->fwd_cnt - s->told_fwd_cnt >= CREDIT_STEP)
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

static void receive(struct vsock_stream *s, uint32_t len, const struct iovec *iov, unsigned n)
{
	uint32_t have = kept(s), did = 0;

	if ((s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) || len > VSOCK_BUF_ALLOC - have) {
		reset(s);
		return;
	}
	if (len == 0)
		return;
	if (have == 0)
		did = give(s, iov, n, len);
	if (s->closed || (s->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		s->rx_cnt += len;
		s->fwd_cnt = s->rx_cnt;
	} else if (did < len && keep(s, have, iov, n, did, len - did) < 0) {
		reset(s);
		return;
	} else {
		s->rx_cnt += len;
		s->fwd_cnt += did;
	}
	tell_credit(s);
}

void vsock_stream_writable(struct vsock_stream *s)
{
	struct vsock *v = s->dev;
	struct iovec iov[2];

	vsock_enter(v);
	while (kept(s)) {
		uint32_t len = kept(s);
		unsigned n = kept_iov(s, len, iov);
		uint32_t did = give(s, iov, n, len);

		if (kept(s) == 0 || did == 0) /* dropped meanwhile, or nothing taken */
			break;
		s->fwd_cnt += did;
		s->buf_head = (s->buf_head + did) & (s->buf_size - 1);
		if (did < len)
			break;
	}
	if (kept(s) == 0)
		drop_kept(s);
	tell_credit(s);
	settle(s);
	vsock_leave(v);
}

void vsock_stream_refuse(struct vsock_stream *s)
{
	struct vsock *v = s->dev;

	vsock_enter(v);
	if (!s->closed && !(s->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		shut_rcv(s);
		settle(s);
	}
	vsock_leave(v);
}

/* ---- host to guest */

static uint32_t credit(const struct vsock_stream *s)
{
	uint32_t in_flight = s->tx_cnt - s->peer_fwd_cnt;

	return in_flight >= s->peer_buf_alloc ? 0 : s->peer_buf_alloc - in_flight;
}

static void fill_header(struct vsock_stream *s, struct virtio_vsock_hdr *hdr, unsigned op,
			uint32_t len)
{
	*hdr = (struct virtio_vsock_hdr){
		.src_cid = htole64(VSOCK_HOST_CID),
		.dst_cid = htole64(VSOCK_GUEST_CID),
		.src_port = htole32(s->host_port),
		.dst_port = htole32(s->guest_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16((uint16_t)op),
		.flags = htole32(op == VIRTIO_VSOCK_OP_SHUTDOWN ? s->host_shut : 0),
		.buf_alloc = htole32(VSOCK_BUF_ALLOC),
		.fwd_cnt = htole32(s->fwd_cnt),
	};
	s->told_fwd_cnt = s->fwd_cnt;
}

int vsock_stream_send_pending(struct vsock_stream *s)
{
	/* RESPONSE has to come first, and RST last; every packet tells our credit. */
	static const unsigned order[] = {VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
					 VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
					 VIRTIO_VSOCK_OP_RST};

	for (unsigned i = 0; s->pending && i < RSM_ARRAY_SIZE(order); i++) {
		struct virtio_vsock_hdr hdr;
		struct virtq_req req;
		size_t room;
		unsigned n;
		int ret;

		if (!(s->pending & (1U << order[i])))
			continue;
		ret = vsock_rx_begin(s->dev, &req, &room, &n);
		if (ret <= 0)
			return ret;
		fill_header(s, &hdr, order[i], 0);
		vsock_rx_commit(s->dev, &req, &hdr, 0);
		s->pending &= ~(1U << order[i] | 1U << VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	rsm_assert(s->pending == 0);
	settle(s);
	return 1;
}

void vsock_stream_unblock(struct vsock_stream *s)
{
	if (!s->blocked || s->closed || s->gone || credit(s) == 0)
		return;
	s->blocked = false;
	if (s->ops->unblock)
		s->ops->unblock(s->cookie);
}

static unsigned trim(struct iovec *iov, unsigned n, size_t len)
{
	for (unsigned i = 0; i < n; i++) {
		if (len <= iov[i].iov_len) {
			iov[i].iov_len = len;
			return i + 1;
		}
		len -= iov[i].iov_len;
	}
	return n;
}

/* Wait for the guest. @for_credit: otherwise for rx buffers. */
static bool block(struct vsock_stream *s, bool for_credit)
{
	s->blocked = true;
	if (for_credit)
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	else
		list_due(s);
	return false;
}

/* One packet of data. Return: as vsock_stream_readable(); *@more: there may be more to read */
static bool pump(struct vsock_stream *s, bool *more)
{
	struct virtio_vsock_hdr hdr;
	struct vsock *v = s->dev;
	struct virtq_req req;
	size_t room;
	unsigned n;
	ssize_t len;

	*more = false;
	if (s->closed || s->gone || (s->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    (s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		return false;
	if (credit(s) == 0)
		return block(s, true);
	if (vsock_stream_send_pending(s) <= 0 || vsock_rx_begin(v, &req, &room, &n) <= 0)
		return s->gone ? false : block(s, false);
	n = trim(v->rx_payload, n, rsm_min(room, (size_t)credit(s)));
	len = s->ops->read ? s->ops->read(s->cookie, v->rx_payload, n) : 0;
	if (len <= 0 || s->closed) {
		vsock_rx_abort(v);
		if (s->closed || len == -EAGAIN)
			return !s->closed;
		s->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_SHUTDOWN);
		return false;
	}
	s->tx_cnt += (uint32_t)len;
	fill_header(s, &hdr, VIRTIO_VSOCK_OP_RW, (uint32_t)len);
	vsock_rx_commit(v, &req, &hdr, (uint32_t)len);
	*more = true;
	return true;
}

bool vsock_stream_readable(struct vsock_stream *s)
{
	struct vsock *v = s->dev;
	bool more = true, watch = true;

	vsock_enter(v);
	for (int i = 0; more && i < PUMP_MAX; i++)
		watch = pump(s, &more);
	vsock_leave(v);
	return watch;
}

/* ---- dispatch */

void vsock_stream_packet(struct vsock_stream *s, const struct virtio_vsock_hdr *hdr,
			 struct iovec *iov, unsigned n)
{
	s->peer_buf_alloc = le32toh(hdr->buf_alloc);
	s->peer_fwd_cnt = le32toh(hdr->fwd_cnt);
	switch (le16toh(hdr->op)) {
	case VIRTIO_VSOCK_OP_RST:
		vsock_stream_lost(s, s->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ? 0 : -ECONNRESET);
		return;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		s->guest_shut |= le32toh(hdr->flags) & VSOCK_SHUT_BOTH;
		if (s->guest_shut == VSOCK_SHUT_BOTH)
			begin_gone(s, 0, true);
		settle(s);
		break;
	case VIRTIO_VSOCK_OP_RW:
		receive(s, le32toh(hdr->len), iov, n);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_stream_owe(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		break;
	default: /* REQUEST for a connection that exists, RESPONSE to no request, unknown */
		reset(s);
	}
	vsock_stream_unblock(s);
}
