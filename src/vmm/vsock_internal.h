/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to vsock*.c: device, streams and ports.
 *
 *	vsock.c		queues: takes packets off tx, puts packets on rx
 *	vsock_stream.c	one stream: credit, shutdown, buffering; decides what is to be sent
 *	vsock_port.c	who waits on which port
 *
 * What is to be sent to the guest is never queued as packets: a stream has one bit per kind of
 * packet it owes (@pending), and hangs on the device's list of streams that owe something until rx
 * buffers are there. RSTs for streams that do not exist have a short list of their own; when it is
 * full no more tx packets are taken. So a guest that gives no rx buffers stalls itself and costs no
 * memory.
 *
 * Streams are freed when the outermost vsock_enter()/vsock_leave() pair ends: endpoints may close
 * streams from within their ops.
 */
#ifndef RSM_VMM_VSOCK_INTERNAL_H
#define RSM_VMM_VSOCK_INTERNAL_H

#include "vmm/vsock.h"

#include <assert.h>
#include <linux/virtio_vsock.h>
#include <sys/queue.h>

#define VSOCK_HOST_CID     2U
#define VSOCK_HASH_BUCKETS 256U
#define VSOCK_PORTS_MAX    16384U
#define VSOCK_RSTS_MAX     64U

enum { VSOCK_Q_RX, VSOCK_Q_TX, VSOCK_Q_EVENT, VSOCK_NQUEUES };

#define VSOCK_SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

static_assert(sizeof(struct virtio_vsock_hdr) == 44, "virtio 1.2, 5.10.6");

/**
 * struct vsock_stream - One connection
 * @pending:	1 << VIRTIO_VSOCK_OP_* of the packets owed to the guest
 * @guest_shut:	VIRTIO_VSOCK_SHUTDOWN_*: SEND: the guest sends no more, RCV: it takes no more
 * @host_shut:	the same for our side
 * @tx_cnt, @peer_buf_alloc, @peer_fwd_cnt: sent to the guest; its credit. Free-running, and the
 *		guest's are worth nothing but a difference that is checked on use
 * @rx_cnt, @fwd_cnt, @told_fwd_cnt: received; taken by the endpoint; what the guest knows of that
 * @buf, @buf_size, @buf_head: ring that holds the @rx_cnt - @fwd_cnt bytes not yet taken
 * @blocked:	the endpoint was told to wait for @unblock
 * @gone:	the guest knows nothing of the stream any more; it lives until @buf is empty, then
 *		@closed is called with @error
 * @closed:	the endpoint knows nothing of the stream any more; it lives until RST is sent
 */
struct vsock_stream {
	struct vsock *dev;
	LIST_ENTRY(vsock_stream) hash;
	TAILQ_ENTRY(vsock_stream) due;
	LIST_ENTRY(vsock_stream) all;
	SLIST_ENTRY(vsock_stream) dead;
	uint32_t guest_port, host_port;
	const struct vsock_stream_ops *ops;
	void *cookie;
	uint32_t pending;
	uint8_t guest_shut, host_shut;
	bool listed_due, blocked, eof_told, gone, closed, is_dead;
	int error;
	uint32_t tx_cnt, peer_buf_alloc, peer_fwd_cnt;
	uint32_t rx_cnt, fwd_cnt, told_fwd_cnt;
	uint64_t taken;
	uint8_t *buf;
	uint32_t buf_size, buf_head;
};

struct vsock_port {
	LIST_ENTRY(vsock_port) hash;
	uint32_t port;
	bool once;
	vsock_accept_fn accept;
	void *cookie;
};

LIST_HEAD(vsock_stream_list, vsock_stream);
TAILQ_HEAD(vsock_stream_queue, vsock_stream);
SLIST_HEAD(vsock_stream_stack, vsock_stream);
LIST_HEAD(vsock_port_list, vsock_port);

/**
 * struct vsock - The device
 * @due:	streams that owe packets, or whose endpoint waits for rx buffers
 * @rsts:	RSTs owed to nobody's stream, @nrsts of them: {guest port, host port}
 * @tx_stalled:	tx was left alone because @rsts is full
 */
struct vsock {
	struct vdev vdev;
	struct rsm_loop *loop;
	struct rsm_source *kicks[VSOCK_NQUEUES];
	bool started[VSOCK_NQUEUES];
	unsigned depth, nstreams, nports, nrsts;
	bool tx_stalled, rx_pushed;
	struct {
		uint32_t guest_port, host_port;
	} rsts[VSOCK_RSTS_MAX];
	struct vsock_stream_list streams[VSOCK_HASH_BUCKETS];
	struct vsock_stream_list all;
	struct vsock_stream_queue due;
	struct vsock_stream_stack dead;
	struct vsock_port_list ports[VSOCK_HASH_BUCKETS];
	struct iovec iov[VIRTQ_SEGS_MAX]; /* of the packet being handled */
	struct iovec payload[VIRTQ_SEGS_MAX];
	struct iovec rx_iov[VIRTQ_SEGS_MAX]; /* of the rx buffer being filled */
	struct iovec rx_payload[VIRTQ_SEGS_MAX];
};

static inline unsigned vsock_bucket(uint32_t a, uint32_t b)
{
	return ((a * 0x9e3779b1U) ^ (b * 0x85ebca6bU)) >> 24;
}

static_assert(VSOCK_HASH_BUCKETS == 256, "vsock_bucket() gives 8 bits");

/* ---- vsock.c */
void vsock_enter(struct vsock *v);
/* The outermost one sends what streams owe, notifies the guest and frees dead streams. */
void vsock_leave(struct vsock *v);

/**
 * vsock_rx_begin() - Take an rx buffer
 * @req:	its segments are in @v->rx_iov, those behind the header's room in @v->rx_payload
 * @ret_room:	bytes behind the header
 * @ret_n:	segments in @v->rx_payload
 * Return: 1, 0 if there is none or the queue is stopped, -EBADMSG (the device failed)
 */
int vsock_rx_begin(struct vsock *v, struct virtq_req *req, size_t *ret_room, unsigned *ret_n);

/* Fill in the header and give the buffer to the guest, with @len bytes of payload. */
void vsock_rx_commit(struct vsock *v, struct virtq_req *req, struct virtio_vsock_hdr *hdr,
		     uint32_t len);

/* Keep the buffer for the next packet. */
void vsock_rx_abort(struct vsock *v);

/* ---- vsock_stream.c */
struct vsock_stream *vsock_stream_find(struct vsock *v, uint32_t guest_port, uint32_t host_port);
int vsock_stream_new(struct vsock *v, uint32_t guest_port, uint32_t host_port,
		     struct vsock_stream **ret);
/* For vsock_leave(). */
void vsock_stream_free(struct vsock_stream *s);

/* A packet of the guest's owes an answer: 1 << VIRTIO_VSOCK_OP_* is sent when there is room. */
void vsock_stream_owe(struct vsock_stream *s, unsigned op);

/**
 * vsock_stream_packet() - A packet from the guest
 * @iov:	payload, @hdr->len bytes in @n segments; may be changed
 */
void vsock_stream_packet(struct vsock_stream *s, const struct virtio_vsock_hdr *hdr,
			 struct iovec *iov, unsigned n);

/* Send what @s owes. Return: 1 all is sent, 0 no rx buffer left, -EBADMSG */
int vsock_stream_send_pending(struct vsock_stream *s);

/* The guest can take data again: let the endpoint go on. */
void vsock_stream_unblock(struct vsock_stream *s);

/* The guest no longer knows the stream: deliver what is kept, then @closed with @error. */
void vsock_stream_lost(struct vsock_stream *s, int error);

/* ---- vsock_port.c */
struct vsock_port *vsock_port_find(struct vsock *v, uint32_t port);
void vsock_port_remove(struct vsock *v, struct vsock_port *p);
void vsock_port_forget_all(struct vsock *v);

#endif
