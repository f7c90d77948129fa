// SPDX-License-Identifier: Apache-2.0
#include "vu_client.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

int vuc_new(int sock, size_t mem_len, struct vuc *ret)
{
	struct timeval limit = {.tv_sec = 5};
	struct vuc c = {.sock = sock, .mem_len = mem_len};

	for (unsigned i = 0; i < VUC_QUEUES_MAX; i++)
		c.q[i].kick_fd = c.q[i].call_fd = c.q[i].wait_fd = -1;
	if (mem_len < VUC_QUEUES_MAX * VUC_RINGS_BYTES)
		return -EINVAL;
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	c.mem_fd = memfd_create("guest", MFD_CLOEXEC);
	if (c.mem_fd < 0 || ftruncate(c.mem_fd, (off_t)mem_len) < 0)
		return -errno;
	c.mem = mmap(NULL, mem_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, c.mem_fd, 0);
	if (c.mem == MAP_FAILED)
		return -errno;
	c.data = c.mem + VUC_QUEUES_MAX * VUC_RINGS_BYTES;
	c.data_len = mem_len - VUC_QUEUES_MAX * VUC_RINGS_BYTES;
	*ret = c;
	return 0;
}

int vuc_connect(const char *path, size_t mem_len, struct vuc *ret)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (sock < 0)
		return -errno;
	rc = rsm_format(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (rc < 0)
		return rc;
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	rc = vuc_new(sock, mem_len, ret);
	if (rc == 0)
		(void)rsm_steal_fd(sock);
	return rc;
}

void vuc_close(struct vuc *c)
{
	for (unsigned i = 0; i < VUC_QUEUES_MAX; i++) {
		rsm_close(&c->q[i].kick_fd);
		rsm_close(&c->q[i].call_fd);
		rsm_close(&c->q[i].wait_fd);
	}
	if (c->mem)
		munmap(c->mem, c->mem_len);
	c->mem = NULL;
	rsm_close(&c->mem_fd);
	rsm_close(&c->sock);
}

/* ---- messages */

int vuc_send(struct vuc *c, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
	     const int *fds, unsigned nfds)
{
	struct {
		struct vhu_header h;
		uint8_t payload[4096];
	} msg = {.h = {request, flags, len}};
	uint32_t body = rsm_min(len, (uint32_t)sizeof(msg.payload));
	ssize_t n;

	if (payload)
		memcpy(msg.payload, payload, body);
	n = rsm_send_fds(c->sock, &msg, sizeof(msg.h) + body, fds, nfds);
	return n < 0 ? (int)n : 0;
}

static int recv_all(int sock, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(sock, (char *)buf + done, len - done, 0);

		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

int vuc_recv(struct vuc *c, uint32_t *request, void *payload, uint32_t max)
{
	struct vhu_header h;
	int rc = recv_all(c->sock, &h, sizeof(h));

	if (rc < 0)
		return rc;
	if (!(h.flags & VHU_FLAG_REPLY) || h.size > max)
		return -EPROTO;
	if (request)
		*request = h.request;
	rc = recv_all(c->sock, payload, h.size);
	return rc < 0 ? rc : (int)h.size;
}

int vuc_call(struct vuc *c, uint32_t request, const void *payload, uint32_t len, void *reply,
	     uint32_t reply_len)
{
	int rc = vuc_send(c, request, VHU_VERSION, payload, len, NULL, 0);

	if (rc < 0)
		return rc;
	rc = vuc_recv(c, NULL, reply, reply_len);
	return rc < 0 ? rc : rc == (int)reply_len ? 0 : -EPROTO;
}

/* A message without a reply of its own; asks for an acknowledgement where that was negotiated. */
static int tell(struct vuc *c, uint32_t request, const void *payload, uint32_t len, const int *fds,
		unsigned nfds)
{
	bool ack = c->protocol_features & VHU_PROTOCOL_F_REPLY_ACK;
	uint64_t status = 0;
	int rc;

	rc = vuc_send(c, request, VHU_VERSION | (ack ? VHU_FLAG_NEED_REPLY : 0), payload, len, fds,
		      nfds);
	if (rc < 0 || !ack)
		return rc;
	rc = vuc_recv(c, NULL, &status, sizeof(status));
	return rc < 0 ? rc : status ? -EREMOTEIO : 0;
}

static int tell_u64(struct vuc *c, uint32_t request, uint64_t v)
{
	return tell(c, request, &v, sizeof(v), NULL, 0);
}

int vuc_set_mem_table(struct vuc *c)
{
	struct vhu_mem_table t = {
		.n = 1,
		.regions = {{VUC_GPA, c->mem_len, (uintptr_t)c->mem, 0}},
	};

	return tell(c, VHU_SET_MEM_TABLE, &t, 8 + sizeof(t.regions[0]), &c->mem_fd, 1);
}

static int negotiate(struct vuc *c, uint64_t features)
{
	uint64_t wanted = VHU_PROTOCOL_F_MQ | VHU_PROTOCOL_F_REPLY_ACK, offered;
	int rc = vuc_call(c, VHU_GET_FEATURES, NULL, 0, &offered, sizeof(offered));

	if (rc < 0)
		return rc;
	c->features = offered & (features | VHU_F_PROTOCOL_FEATURES | 1ULL << VIRTIO_F_VERSION_1);
	if (offered & VHU_F_PROTOCOL_FEATURES) {
		rc = vuc_call(c, VHU_GET_PROTOCOL_FEATURES, NULL, 0, &offered, sizeof(offered));
		if (rc < 0)
			return rc;
		rc = tell_u64(c, VHU_SET_PROTOCOL_FEATURES, offered & wanted);
		if (rc < 0)
			return rc;
		c->protocol_features = offered & wanted;
	}
	rc = tell(c, VHU_SET_OWNER, NULL, 0, NULL, 0);
	if (rc < 0)
		return rc;
	return tell_u64(c, VHU_SET_FEATURES, c->features);
}

static void lay_out_queue(struct vuc *c, unsigned i)
{
	uint8_t *at = c->mem + (size_t)i * VUC_RINGS_BYTES;
	struct vuc_queue *q = &c->q[i];

	memset(at, 0, VUC_RINGS_BYTES);
	q->desc = (void *)at;
	q->avail = (void *)(at + 0x1000);
	q->used = (void *)(at + 0x2000);
	q->tables = (void *)(at + 0x3000);
	q->avail_idx = q->kicked_idx = q->last_used = 0;
	static_assert(0x3000 + sizeof(*q->tables) * VUC_QUEUE_SIZE <= VUC_RINGS_BYTES, "layout");
}

static int open_eventfds(struct vuc_queue *q)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	if (q->kick_fd >= 0)
		return 0;
	/* non-blocking, as QEMU's are; sleeping is epoll's, and no read is needed */
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (q->kick_fd < 0 || q->call_fd < 0 || q->wait_fd < 0 ||
	    epoll_ctl(q->wait_fd, EPOLL_CTL_ADD, q->call_fd, &ev) < 0)
		return -errno;
	return 0;
}

static int start_queue(struct vuc *c, unsigned i, uint16_t base)
{
	struct vuc_queue *q = &c->q[i];
	struct vhu_vring_state num = {i, VUC_QUEUE_SIZE}, start = {i, base}, on = {i, 1};
	struct vhu_vring_addr addr = {
		.index = i,
		.desc = (uintptr_t)q->desc,
		.avail = (uintptr_t)q->avail,
		.used = (uintptr_t)q->used,
	};
	uint64_t index = i;
	int rc;

	if ((rc = open_eventfds(q)) < 0 ||
	    (rc = tell(c, VHU_SET_VRING_NUM, &num, sizeof(num), NULL, 0)) < 0 ||
	    (rc = tell(c, VHU_SET_VRING_BASE, &start, sizeof(start), NULL, 0)) < 0 ||
	    (rc = tell(c, VHU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0)) < 0 ||
	    (rc = tell(c, VHU_SET_VRING_KICK, &index, sizeof(index), &q->kick_fd, 1)) < 0 ||
	    (rc = tell(c, VHU_SET_VRING_CALL, &index, sizeof(index), &q->call_fd, 1)) < 0)
		return rc;
	if (c->features & VHU_F_PROTOCOL_FEATURES)
		return tell(c, VHU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0);
	return 0;
}

int vuc_start(struct vuc *c, unsigned nqueues, uint64_t features)
{
	int rc;

	if (nqueues > VUC_QUEUES_MAX)
		return -EINVAL;
	c->nqueues = nqueues;
	for (unsigned i = 0; i < nqueues; i++)
		lay_out_queue(c, i);
	rc = negotiate(c, features);
	return rc < 0 ? rc : vuc_resume(c, NULL);
}

int vuc_resume(struct vuc *c, const uint16_t *bases)
{
	int rc = vuc_set_mem_table(c);

	for (unsigned i = 0; rc >= 0 && i < c->nqueues; i++)
		rc = start_queue(c, i, bases ? bases[i] : 0);
	return rc;
}

int vuc_stop(struct vuc *c, uint16_t *bases)
{
	for (unsigned i = 0; i < c->nqueues; i++) {
		struct vhu_vring_state s = {i, 0};
		int rc = vuc_call(c, VHU_GET_VRING_BASE, &s, sizeof(s), &s, sizeof(s));

		if (rc < 0)
			return rc;
		if (bases)
			bases[i] = (uint16_t)s.num;
	}
	return 0;
}

/* ---- rings */

void vuc_submit(struct vuc *c, unsigned queue, uint16_t slot, const struct vuc_seg *out,
		unsigned nout, const struct vuc_seg *in, unsigned nin)
{
	struct vuc_queue *q = &c->q[queue];
	struct vring_desc *table = q->tables[slot];
	unsigned n = nout + nin;

	rsm_assert(slot < VUC_QUEUE_SIZE && n && n <= VUC_SEGS_MAX);
	for (unsigned i = 0; i < n; i++) {
		const struct vuc_seg *s = i < nout ? &out[i] : &in[i - nout];

		table[i] = (struct vring_desc){
			.addr = vuc_gpa(c, s->buf),
			.len = s->len,
			.flags = (uint16_t)((i < nout ? 0 : VRING_DESC_F_WRITE) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(i + 1 < n ? i + 1 : 0),
		};
	}
	q->desc[slot] = (struct vring_desc){
		.addr = vuc_gpa(c, table),
		.len = (uint32_t)(n * sizeof(*table)),
		.flags = VRING_DESC_F_INDIRECT,
	};
	q->avail->ring[q->avail_idx++ % VUC_QUEUE_SIZE] = slot;
}

void vuc_kick(struct vuc *c, unsigned queue)
{
	struct vuc_queue *q = &c->q[queue];
	uint16_t *avail_event = (uint16_t *)&q->used->ring[VUC_QUEUE_SIZE];
	uint64_t one = 1;
	bool wanted;

	__atomic_store_n(&q->avail->idx, q->avail_idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (c->features & (1ULL << VIRTIO_RING_F_EVENT_IDX))
		wanted = vring_need_event(__atomic_load_n(avail_event, __ATOMIC_RELAXED),
					  q->avail_idx, q->kicked_idx);
	else
		wanted = !(__atomic_load_n(&q->used->flags, __ATOMIC_RELAXED) &
			   VRING_USED_F_NO_NOTIFY);
	q->kicked_idx = q->avail_idx;
	if (wanted) {
		q->kicks++;
		rsm_assert(write(q->kick_fd, &one, sizeof(one)) == sizeof(one));
	}
}

int vuc_reap(struct vuc *c, unsigned queue, uint16_t *slot, uint32_t *len)
{
	struct vuc_queue *q = &c->q[queue];
	struct vring_used_elem *e = &q->used->ring[q->last_used % VUC_QUEUE_SIZE];

	if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) == q->last_used)
		return 0;
	*slot = (uint16_t)e->id;
	*len = e->len;
	q->last_used++;
	return 1;
}

int vuc_wait(struct vuc *c, unsigned queue, int timeout_ms)
{
	struct vuc_queue *q = &c->q[queue];
	struct epoll_event ev;

	for (;;) {
		__atomic_store_n(&q->avail->ring[VUC_QUEUE_SIZE], q->last_used, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) != q->last_used)
			return 0;
		q->waits++;
		if (epoll_wait(q->wait_fd, &ev, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
	}
}
