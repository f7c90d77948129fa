// SPDX-License-Identifier: Apache-2.0
/*
 * Theory of operation
 *
 *	desc[size]	driver's buffers {addr, len, flags, next}; chains linked by next
 *	avail		{flags, idx, ring[size], used_event}: driver puts heads of chains here
 *	used		{flags, idx, ring[size]{id, len}, avail_event}: we give heads back here
 *
 * Both idx run freely through 2^16; a ring slot is idx % size. The driver publishes ring slots by
 * storing avail->idx with release semantics, we publish by storing used->idx so.
 *
 * Validity of a popped chain (anything else breaks the queue until the device is reset):
 *  1. avail->idx is at most size ahead of what was taken;
 *  2. head and every next is below the size of the table it indexes;
 *  3. an indirect descriptor was negotiated, ends its chain, is not nested, and its table is a
 *     positive multiple of 16 bytes that lies inside guest memory;
 *  4. no writable segment comes before a readable one, none is empty, each lies inside one region
 *of guest memory;
 *  5. the chain has at most VIRTQ_SEGS_MAX segments (which also ends loops).
 */
#include "vmm/virtq.h"

#include "base/error.h"
#include "base/math.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

int virtq_map(struct virtq *vq, const struct gmem *mem, uint16_t size, void *desc, void *avail,
	      void *used)
{
	if (!rsm_is_pow2(size) || size > VIRTQ_SIZE_MAX || !desc || !avail || !used ||
	    (uintptr_t)desc % VRING_DESC_ALIGN_SIZE || (uintptr_t)avail % VRING_AVAIL_ALIGN_SIZE ||
	    (uintptr_t)used % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	vq->mem = mem;
	vq->size = size;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->used_idx = __atomic_load_n(&vq->used->idx, __ATOMIC_RELAXED);
	vq->signalled_used_valid = false;
	vq->broken = false;
	return 0;
}

static int broken(struct virtq *vq)
{
	vq->broken = true;
	return -EBADMSG;
}

/* One read of guest memory: the compiler may not go back to the original afterwards. */
static inline struct vring_desc read_desc(const void *table, unsigned i)
{
	struct vring_desc d;

	memcpy(&d, (const char *)table + (size_t)i * sizeof(d), sizeof(d));
	__asm__ volatile("" : "+m"(d));
	return d;
}

/* Add one buffer to @req; false if it breaks rule 4 or 5. */
static inline bool add_segment(const struct virtq *vq, struct virtq_req *req,
			       const struct vring_desc *d)
{
	unsigned n = req->nout + req->nin;
	void *host = gmem_ptr(vq->mem, (gpa_t){d->addr}, d->len);

	if (!host || !d->len || n == VIRTQ_SEGS_MAX)
		return false;
	req->iov[n] = (struct iovec){.iov_base = host, .iov_len = d->len};
	if (d->flags & VRING_DESC_F_WRITE)
		req->nin++;
	else if (req->nin)
		return false;
	else
		req->nout++;
	return true;
}

static int walk(const struct virtq *vq, struct virtq_req *req)
{
	const void *table = vq->desc;
	unsigned table_len = vq->size;
	bool nested = false;
	unsigned i = req->head;

	req->nout = req->nin = 0;
	for (;;) {
		struct vring_desc d;

		if (i >= table_len)
			return -EBADMSG;
		d = read_desc(table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (nested || !vq->indirect || d.flags & VRING_DESC_F_NEXT || !d.len ||
			    d.len % sizeof(d))
				return -EBADMSG;
			table = gmem_ptr(vq->mem, (gpa_t){d.addr}, d.len);
			if (!table)
				return -EBADMSG;
			table_len = d.len / (uint32_t)sizeof(d);
			nested = true;
			i = 0;
			continue;
		}
		if (!add_segment(vq, req, &d))
			return -EBADMSG;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

int virtq_pop(struct virtq *vq, struct virtq_req *req)
{
	uint16_t idx, ahead;

	if (!vq->size || vq->broken)
		return vq->broken ? -EBADMSG : 0;
	idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
	ahead = (uint16_t)(idx - vq->last_avail);
	if (!ahead)
		return 0;
	if (ahead > vq->size)
		return broken(vq);
	req->head = __atomic_load_n(&vq->avail->ring[vq->last_avail & (vq->size - 1)],
				    __ATOMIC_RELAXED);
	if (walk(vq, req) < 0)
		return broken(vq);
	vq->last_avail++;
	return 1;
}

int virtq_get(const struct virtq *vq, uint16_t head, struct virtq_req *req)
{
	req->head = head;
	return vq->size ? walk(vq, req) : -EBADMSG;
}

unsigned virtq_depth(const struct virtq *vq)
{
	if (!vq->size || vq->broken)
		return 0;
	return (uint16_t)(__atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE) - vq->last_avail);
}

bool virtq_pending(const struct virtq *vq)
{
	return virtq_depth(vq) > 0;
}

void virtq_unpop(struct virtq *vq)
{
	vq->last_avail--;
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t len)
{
	const struct vring_used_elem used = {.id = head, .len = len};

	virtq_push_all(vq, &used, 1);
}

void virtq_push_all(struct virtq *vq, const struct vring_used_elem *used, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rsm_assert(used[i].id < vq->size);
		vq->used->ring[vq->used_idx++ & (vq->size - 1)] = used[i];
	}
	__atomic_store_n(&vq->used->idx, vq->used_idx, __ATOMIC_RELEASE);
}

/* Where the driver wants to be interrupted next (event index), after the available ring. */
static uint16_t used_event(const struct virtq *vq)
{
	return __atomic_load_n(&vq->avail->ring[vq->size], __ATOMIC_RELAXED);
}

static void set_avail_event(struct virtq *vq, uint16_t idx)
{
	__atomic_store_n((uint16_t *)&vq->used->ring[vq->size], idx, __ATOMIC_RELAXED);
}

static bool wants_interrupt(const struct virtq *vq)
{
	/* what was pushed must be visible before we look whether anybody waits for it */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(__atomic_load_n(&vq->avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	return !vq->signalled_used_valid ||
	       vring_need_event(used_event(vq), vq->used_idx, vq->signalled_used);
}

bool virtq_notify(struct virtq *vq)
{
	bool wanted;

	if (vq->signalled_used_valid && vq->signalled_used == vq->used_idx)
		return false;
	wanted = wants_interrupt(vq);
	vq->signalled_used = vq->used_idx;
	vq->signalled_used_valid = true;
	if (wanted)
		virtq_interrupt(vq);
	return wanted;
}

void virtq_interrupt(struct virtq *vq)
{
	uint64_t one = 1;
	ssize_t ignored;

	if (vq->call_fd < 0)
		return;
	/* EAGAIN: the counter is full, so the driver has an interrupt pending anyway */
	ignored = write(vq->call_fd, &one, sizeof(one));
	(void)ignored;
}

void virtq_disable_kicks(struct virtq *vq)
{
	/* With the event index the driver is silent until it passes avail_event again. */
	if (vq->size && !vq->event_idx)
		__atomic_store_n(&vq->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool virtq_enable_kicks(struct virtq *vq)
{
	if (!vq->size)
		return false;
	if (vq->event_idx)
		set_avail_event(vq, vq->last_avail);
	else
		__atomic_store_n(&vq->used->flags, 0, __ATOMIC_RELAXED);
	/* our wish must be visible before the last look, or a kick could fall between the two */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_pending(vq);
}

void virtq_clear_kick(struct virtq *vq)
{
	uint64_t count;
	struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};
	struct pollfd p = {.fd = vq->kick_fd, .events = POLLIN};
	ssize_t ignored;

	if (vq->kick_fd < 0)
		return;
	/* The eventfd is shared with its maker: whether it blocks is not ours to change. */
	if (preadv2(vq->kick_fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP &&
	    poll(&p, 1, 0) == 1) {
		ignored = read(vq->kick_fd, &count, sizeof(count));
		(void)ignored;
	}
}

size_t virtq_iov_len(const struct iovec *iov, unsigned n)
{
	size_t len = 0; /* VIRTQ_SEGS_MAX times 4 GiB fits */

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Walk @n segments from @offset and copy at most @len bytes; @to_iov says in which direction. */
static size_t iov_copy(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len,
		       bool to_iov)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part;
		char *at;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = rsm_min(iov[i].iov_len - offset, len - done);
		at = (char *)iov[i].iov_base + offset;
		if (to_iov)
			memcpy(at, (char *)buf + done, part);
		else
			memcpy((char *)buf + done, at, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t virtq_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *dst, size_t len)
{
	return iov_copy(iov, n, offset, dst, len, false);
}

size_t virtq_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *src,
		       size_t len)
{
	return iov_copy(iov, n, offset, (void *)(uintptr_t)src, len, true);
}
