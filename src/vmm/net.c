// SPDX-License-Identifier: Apache-2.0
/*
 * Theory of operation
 *
 *	guest ── tx queue ──▶ writev ── tap      one chain, one packet, in place
 *	guest ◀── rx queue ── readv ─── tap      straight into as many buffers as the last packets
 *took
 *
 * Both directions run on the main loop, NET_BATCH packets at a time, and allocate nothing.
 *
 * Receiving. A packet's length is known only once it was read, and with mergeable buffers it may be
 * spread over many. So chains are popped until they hold a packet of the recent size, and readv()
 * gets them plus the tail of @packet, at the offset that the chains end at. What went there is
 * copied to further chains. If there are not enough, the packet is put together in @packet and
 * waits for the guest (@pending); nothing is read from the tap meanwhile. Chains that were not
 * needed go back with virtq_unpop(), so between two packets no chain is held and the queue can be
 * stopped at once.
 *
 * Sending. The header is copied once, checked against what was negotiated, and the copy is given to
 * the kernel. A packet that fails that check, or that the tap refuses, is dropped: the guest's
 *loss. A full tap (EAGAIN) puts the chain back and waits for EPOLLOUT.
 *
 * A chain that breaks the specification's form (a header that does not fit, writable segments when
 * sending, readable ones when receiving) makes the device ask for a reset.
 *
 * When the tap is deleted under us the guest's link goes down, for good.
 *
 * Not here: control queue (the guest filters for itself), several queue pairs, UFO.
 */
#include "vmm/net.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#define NET_BATCH      64
#define NET_QUEUE_SIZE 256
/* The largest segmented packet with its link header and a VLAN tag, and our header. */
#define NET_PACKET_MAX (sizeof(struct virtio_net_hdr_v1) + 65535 + ETH_HLEN + 4)
/* Segments of what is given to readv() and writev(): UIO_MAXIOV less our own one. */
#define NET_SEGS_MAX   1023
#define HEADER         sizeof(struct virtio_net_hdr_v1)

static_assert(HEADER == 12, "virtio 1.2, 5.1.6");
static_assert(sizeof(((struct virtio_net_config *)0)->mtu) == 2, "uapi");

#define F(name) (1ULL << VIRTIO_NET_F_##name)
#define FEATURES                                                                                   \
	(F(CSUM) | F(GUEST_CSUM) | F(MAC) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) |         \
	 F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) | F(MRG_RXBUF) | F(STATUS))
/* Configuration space up to and with mtu; the rest belongs to features that are not offered. */
#define CONFIG_LEN offsetof(struct virtio_net_config, speed)

enum {
	QUEUE_RX,
	QUEUE_TX,
	QUEUES,
};

/**
 * struct net - The device
 * @fd:		tap or socket; -1 once it is gone
 * @source:	of @fd; @events: what it waits for now, 0: nothing
 * @kick:	sources of the queues' eventfds while they are started
 * @failed:	waits for a reset
 * @no_room:	the guest's buffers are used up: wait for a kick before reading on
 * @tx_full:	the tap is: wait for it before sending on
 * @want:	bytes to have buffers for before reading, follows the packets' size
 * @pending:	bytes of the packet that waits in @packet, 0: none
 * @chains:	popped for the packet that is being received: head, and bytes they hold
 * @nchains, @nsegs: how many, and their segments in @iov; @room: bytes they hold together
 */
struct net {
	struct vdev d;
	struct rsm_loop *loop;
	int fd;
	bool tap;
	struct rsm_source *source;
	uint32_t events;
	struct rsm_source *kick[QUEUES];
	bool failed, no_room, tx_full;
	struct virtio_net_config config;
	struct net_stats stats;
	size_t want, pending;
	struct vring_used_elem chains[NET_QUEUE_SIZE];
	unsigned nchains, nsegs;
	size_t room;
	struct iovec iov[NET_SEGS_MAX + VIRTQ_SEGS_MAX];
	uint8_t packet[NET_PACKET_MAX];
};

static struct net *from_vdev(const struct vdev *d)
{
	return rsm_container_of(d, struct net, d);
}

static void fail(struct net *n, const char *why)
{
	n->failed = true;
	for (unsigned i = 0; i < QUEUES; i++)
		if (n->kick[i])
			rsm_source_pause(n->kick[i]);
	vdev_fail(&n->d, why);
}

/* ---- the tap */

/* Wait for what can go on only with the tap. */
static void watch(struct net *n)
{
	uint32_t events = 0;

	if (!n->source)
		return;
	if (!n->failed && n->kick[QUEUE_RX] && !n->no_room)
		events |= EPOLLIN;
	if (!n->failed && n->kick[QUEUE_TX] && n->tx_full)
		events |= EPOLLOUT;
	if (events == n->events)
		return;
	n->events = events;
	if (events)
		rsm_source_set_events(n->source, events);
	else
		rsm_source_pause(n->source);
}

/* ---- tap to guest */

static bool mergeable(const struct net *n)
{
	return n->d.acked & F(MRG_RXBUF);
}

/*
 * Pop chains until they hold @want bytes. Return: 1; 0 if there are no more; -E2BIG if there may
 * be no more for one packet; -EBADMSG
 */
static int collect(struct net *n, size_t want)
{
	while (n->room < want) {
		struct virtq_req req = {.iov = n->iov + n->nsegs};
		size_t len;
		int r;

		if (n->nchains && (!mergeable(n) || n->nchains == NET_QUEUE_SIZE))
			return -E2BIG;
		r = virtq_pop(&n->d.vq[QUEUE_RX], &req);
		if (r <= 0)
			return r;
		len = virtq_iov_len(virtq_in(&req), req.nin);
		if (req.nout || len < HEADER || req.nin > NET_QUEUE_SIZE)
			return -EBADMSG;
		if (n->nsegs + req.nin > NET_SEGS_MAX) {
			virtq_unpop(&n->d.vq[QUEUE_RX]);
			return -E2BIG;
		}
		n->chains[n->nchains++] = (struct vring_used_elem){
			.id = req.head, .len = (uint32_t)rsm_min(len, NET_PACKET_MAX)};
		n->nsegs += req.nin;
		n->room += len;
	}
	return 1;
}

/* Give back all but the first @used chains. */
static void release(struct net *n, unsigned used)
{
	while (n->nchains > used) {
		virtq_unpop(&n->d.vq[QUEUE_RX]);
		n->nchains--;
	}
	n->nchains = n->nsegs = 0;
	n->room = 0;
}

/* The packet of @len bytes is in the chains: say how many it took, and give them to the guest. */
static void push_packet(struct net *n, size_t len)
{
	uint16_t count = 0, le;
	size_t left = len;

	while (left) {
		struct vring_used_elem *c = &n->chains[count++];

		c->len = (uint32_t)rsm_min(left, (size_t)c->len);
		left -= c->len;
	}
	le = htole16(count);
	virtq_iov_write(n->iov, n->nsegs, offsetof(struct virtio_net_hdr_v1, num_buffers), &le,
			sizeof(le));
	virtq_push_all(&n->d.vq[QUEUE_RX], n->chains, count);
	release(n, count);
	n->want = len > n->want ? len : n->want - (n->want - len) / 8;
	n->stats.rx_packets++;
}

/*
 * Put a packet of @len bytes, whose first @there bytes are in the chains and the others in @packet,
 * into the queue. Return: 1 done or dropped; -ENOBUFS it waits for buffers; -EBADMSG
 */
static int deliver(struct net *n, size_t len, size_t there)
{
	int r = collect(n, len);

	if (r == -EBADMSG)
		return r;
	if (r == 0) {
		virtq_iov_read(n->iov, n->nsegs, 0, n->packet, there);
		n->pending = len;
		release(n, 0);
		return -ENOBUFS;
	}
	n->pending = 0;
	if (r < 0) { /* larger than the buffers it may have */
		n->stats.rx_dropped++;
		release(n, 0);
		return 1;
	}
	if (there < len)
		virtq_iov_write(n->iov, n->nsegs, there, n->packet + there, len - there);
	push_packet(n, len);
	return 1;
}

/* Return: 1 a packet was taken; 0 there is none; -ENOBUFS no room for it; -EBADMSG */
static int receive(struct net *n)
{
	struct iovec *tail;
	size_t direct;
	ssize_t len;
	int r;

	if (n->pending)
		return deliver(n, n->pending, 0);
	r = collect(n, n->want);
	if (r == -EBADMSG)
		return r;
	if (!n->nchains)
		return -ENOBUFS;
	direct = rsm_min(n->room, NET_PACKET_MAX);
	tail = &n->iov[n->nsegs];
	*tail = (struct iovec){n->packet + direct, NET_PACKET_MAX - direct};
	len = readv(n->fd, n->iov, (int)n->nsegs + (direct < NET_PACKET_MAX));
	if (len < (ssize_t)HEADER) {
		r = len < 0 && errno != EINTR ? 0 : 1; /* an empty or short datagram is nothing */
		release(n, 0);
		return r;
	}
	return deliver(n, (size_t)len, rsm_min((size_t)len, direct));
}

static void run_rx(struct net *n)
{
	struct virtq *vq = &n->d.vq[QUEUE_RX];
	int r = 1;

	if (n->failed || !n->kick[QUEUE_RX] || n->fd < 0)
		return;
	virtq_disable_kicks(vq);
	for (unsigned i = 0; r > 0 && i < NET_BATCH; i++)
		r = receive(n);
	virtq_notify(vq);
	n->no_room = false;
	if (r == -ENOBUFS) {
		n->no_room = true;
		if (virtq_enable_kicks(vq)) /* some came in between */
			eventfd_write(vq->kick_fd, 1);
	} else if (r < 0) {
		release(n, 0);
		fail(n, vq->broken ? "malformed receive ring" : "malformed receive buffer");
	}
	watch(n);
}

/* ---- guest to tap */

/* Is @h something a tap may be given, for a packet of @len bytes behind it? */
static bool header_ok(const struct net *n, const struct virtio_net_hdr_v1 *h, size_t len)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    (!(n->d.acked & F(CSUM)) ||
	     (size_t)le16toh(h->csum_start) + le16toh(h->csum_offset) + 2 > len))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !(n->d.acked & F(HOST_ECN)))
		return false;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !h->gso_size || le16toh(h->hdr_len) > len)
		return false;
	return (gso == VIRTIO_NET_HDR_GSO_TCPV4 && n->d.acked & F(HOST_TSO4)) ||
	       (gso == VIRTIO_NET_HDR_GSO_TCPV6 && n->d.acked & F(HOST_TSO6));
}

/* Cut the first @skip bytes off @iov. Return: segments left, moved to its front */
static unsigned cut_front(struct iovec *iov, unsigned n, size_t skip)
{
	unsigned gone = 0;

	while (gone < n && skip >= iov[gone].iov_len)
		skip -= iov[gone++].iov_len;
	memmove(iov, iov + gone, (n - gone) * sizeof(*iov));
	if (n > gone) {
		iov[0].iov_base = (char *)iov[0].iov_base + skip;
		iov[0].iov_len -= skip;
	}
	return n - gone;
}

/* Return: 1 sent or dropped; 0 the tap is full; -EBADMSG */
static int transmit(struct net *n, const struct virtq_req *req)
{
	size_t len = virtq_iov_len(virtq_out(req), req->nout);
	struct virtio_net_hdr_v1 header;
	unsigned segs;

	if (req->nin || len < HEADER || req->nout > NET_QUEUE_SIZE)
		return -EBADMSG;
	virtq_iov_read(virtq_out(req), req->nout, 0, &header, sizeof(header));
	header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.num_buffers = 0;
	if (len < HEADER + ETH_HLEN || len > NET_PACKET_MAX || n->fd < 0 ||
	    !header_ok(n, &header, len - HEADER)) {
		n->stats.tx_dropped++;
		return 1;
	}
	segs = cut_front(req->iov, req->nout, HEADER);
	n->iov[0] = (struct iovec){&header, sizeof(header)};
	if (writev(n->fd, n->iov, (int)segs + 1) >= 0) {
		n->stats.tx_packets++;
	} else if (errno == EAGAIN || errno == EINTR) {
		return 0;
	} else {
		n->stats.tx_dropped++;
	}
	return 1;
}

static void run_tx(struct net *n)
{
	struct virtq *vq = &n->d.vq[QUEUE_TX];
	struct virtq_req req = {.iov = n->iov + 1};
	int r = 0;

	if (n->failed || !n->kick[QUEUE_TX])
		return;
	n->tx_full = false;
	virtq_disable_kicks(vq);
	for (unsigned i = 0; i < NET_BATCH; i++) {
		r = virtq_pop(vq, &req);
		if (r <= 0)
			break;
		r = transmit(n, &req);
		if (r < 0)
			break;
		if (r == 0) {
			virtq_unpop(vq);
			n->tx_full = true;
			break;
		}
		virtq_push(vq, req.head, 0);
	}
	virtq_notify(vq);
	if (r < 0)
		fail(n, vq->broken ? "malformed transmit ring" : "malformed packet to send");
	else if (!n->tx_full && (r > 0 || virtq_enable_kicks(vq)))
		eventfd_write(vq->kick_fd, 1); /* more: after the others */
	watch(n);
}

/* ---- events */

/* It was deleted: as if the cable were pulled. */
static void tap_gone(struct net *n)
{
	rsm_loop_remove(n->source);
	n->source = NULL;
	rsm_close(&n->fd);
	n->config.status = 0;
	rsm_log_limited(&n->d.guest_faults, RSM_LOG_WARNING, "net: the tap device is gone");
	vdev_config_changed(&n->d);
	run_tx(n); /* what waited for it is lost */
}

static void tap_ready(void *cookie, int fd, uint32_t events)
{
	struct net *n = cookie;

	if (events & (EPOLLERR | EPOLLHUP)) {
		tap_gone(n);
		return;
	}
	if (events & EPOLLOUT)
		run_tx(n);
	if (events & EPOLLIN)
		run_rx(n);
}

static void rx_kicked(void *cookie, int fd, uint32_t events)
{
	struct net *n = cookie;

	virtq_clear_kick(&n->d.vq[QUEUE_RX]);
	if (n->no_room)
		run_rx(n);
}

static void tx_kicked(void *cookie, int fd, uint32_t events)
{
	struct net *n = cookie;

	virtq_clear_kick(&n->d.vq[QUEUE_TX]);
	if (!n->tx_full)
		run_tx(n);
}

/* ---- device */

static void read_config(struct vdev *d, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, (const char *)&from_vdev(d)->config + offset, len);
}

static int queue_start(struct vdev *d, unsigned i)
{
	static const rsm_io_fn kicked[QUEUES] = {rx_kicked, tx_kicked};
	struct net *n = from_vdev(d);
	int r;

	if (i == QUEUE_RX && n->tap && n->fd >= 0) {
		r = net_tap_set_offloads(n->fd, d->acked);
		if (r < 0)
			return r;
	}
	r = rsm_loop_add(n->loop, d->vq[i].kick_fd, EPOLLIN, kicked[i], n, &n->kick[i]);
	if (r < 0)
		return r;
	if (i == QUEUE_RX)
		n->no_room = true;          /* look for buffers first */
	eventfd_write(d->vq[i].kick_fd, 1); /* what came before we listened */
	watch(n);
	return 0;
}

static void queue_stop(struct vdev *d, unsigned i)
{
	struct net *n = from_vdev(d);

	rsm_loop_remove(n->kick[i]);
	n->kick[i] = NULL;
	if (i == QUEUE_TX)
		n->tx_full = false;
	watch(n);
}

static void reset(struct vdev *d)
{
	struct net *n = from_vdev(d);

	n->failed = false;
	n->pending = 0;
	n->want = HEADER + ETH_FRAME_LEN;
}

static int set_mac(struct net *n, const uint8_t mac[NET_MAC_LEN])
{
	static const uint8_t none[NET_MAC_LEN];

	memcpy(n->config.mac, mac, NET_MAC_LEN);
	if (memcmp(mac, none, NET_MAC_LEN) != 0)
		return 0;
	if (getrandom(n->config.mac, NET_MAC_LEN, 0) != NET_MAC_LEN)
		return -errno;
	n->config.mac[0] = (uint8_t)((n->config.mac[0] & ~1) | 2); /* one station's, local */
	return 0;
}

int net_new(struct rsm_loop *loop, const struct net_config *config, struct vdev **ret,
	    struct rsm_error *err)
{
	static const struct vdev_ops ops = {
		.name = "net",
		.device_id = VIRTIO_ID_NET,
		.nqueues = QUEUES,
		.queue_size = NET_QUEUE_SIZE,
		.config_len = CONFIG_LEN,
		.read_config = read_config,
		.queue_start = queue_start,
		.queue_stop = queue_stop,
		.reset = reset,
	};
	struct net *n;
	int r;

	if (config->mac[0] & 1)
		return rsm_fail(err, EINVAL, "network device: a group's MAC address");
	if (config->mtu && config->mtu < NET_MTU_MIN)
		return rsm_fail(err, EINVAL, "network device: MTU %u is below %d", config->mtu,
				NET_MTU_MIN);
	n = calloc(1, sizeof(*n));
	if (!n)
		return rsm_fail_errno(err, ENOMEM, "network device");
	vdev_init(&n->d, &ops, FEATURES | (config->mtu ? F(MTU) : 0));
	n->loop = loop;
	n->fd = config->fd;
	n->tap = config->tap;
	n->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	n->config.max_virtqueue_pairs = htole16(1);
	n->config.mtu = htole16(config->mtu);
	reset(&n->d);
	r = set_mac(n, config->mac);
	if (r == 0)
		r = rsm_loop_add(loop, n->fd, EPOLLIN, tap_ready, n, &n->source);
	if (r < 0) {
		free(n);
		return rsm_fail_errno(err, -r, "network device");
	}
	rsm_source_pause(n->source);
	*ret = &n->d;
	return 0;
}

void net_free(struct vdev *d)
{
	struct net *n;

	if (!d)
		return;
	n = from_vdev(d);
	for (unsigned i = 0; i < QUEUES; i++)
		queue_stop(d, i);
	rsm_loop_remove(n->source);
	rsm_close(&n->fd);
	free(n);
}

void net_mac(const struct vdev *d, uint8_t ret[NET_MAC_LEN])
{
	memcpy(ret, from_vdev(d)->config.mac, NET_MAC_LEN);
}

struct net_stats net_stats(const struct vdev *d)
{
	return from_vdev(d)->stats;
}
