// SPDX-License-Identifier: Apache-2.0
/* The messages of vhost-user, one handler each, and the table that says which are served. */
#include "base/math.h"
#include "vmm/vhost_user_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint64_t protocol_features(const struct vhost_user *vu)
{
	uint64_t features =
		VHU_PROTOCOL_F_MQ | VHU_PROTOCOL_F_REPLY_ACK | VHU_PROTOCOL_F_RESET_DEVICE;

	return vu->dev->ops->board_config ? features : features | VHU_PROTOCOL_F_CONFIG;
}

static int reply_u64(union vhu_payload *p, uint64_t v)
{
	p->u64 = v;
	return sizeof(p->u64);
}

static int get_features(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			struct rsm_error *err)
{
	return reply_u64(p, vu->dev->offered | VHU_F_PROTOCOL_FEATURES);
}

static int set_features(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			struct rsm_error *err)
{
	uint64_t unknown = p->u64 & ~(vu->dev->offered | VHU_F_PROTOCOL_FEATURES);

	if (unknown)
		return rsm_fail(err, EPROTO, "vhost-user: features %#llx were not offered",
				(unsigned long long)unknown);
	vu->dev->acked = p->u64 & vu->dev->offered;
	if (!(p->u64 & VHU_F_PROTOCOL_FEATURES)) {
		for (unsigned i = 0; i < vu->dev->nqueues; i++)
			vu->queues[i].enabled = true;
	}
	return 0;
}

static int get_protocol_features(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
				 struct rsm_error *err)
{
	return reply_u64(p, protocol_features(vu));
}

static int set_protocol_features(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
				 struct rsm_error *err)
{
	if (p->u64 & ~protocol_features(vu))
		return rsm_fail(err, EPROTO, "vhost-user: protocol features %#llx were not offered",
				(unsigned long long)(p->u64 & ~protocol_features(vu)));
	vu->protocol_features = p->u64;
	return 0;
}

static int set_owner(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
		     struct rsm_error *err)
{
	return 0;
}

static int reset_device(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			struct rsm_error *err)
{
	vhu_reset_device(vu);
	return 0;
}

/* ---- memory */

static int map_region(const struct vhu_mem_region *r, int fd, struct gmem *mem,
		      struct rsm_error *err)
{
	struct gmem_region region = {.gpa = {r->gpa}, .len = r->len, .user = r->user, .fd = -1};
	uint64_t end, align = 4096, start;
	struct stat st;
	void *base;
	int ret;

	if (fstat(fd, &st) < 0)
		return rsm_fail_errno(err, errno, "vhost-user: stat guest memory");
	if (!r->len || !rsm_add(r->mmap_offset, r->len, &end) || !S_ISREG(st.st_mode) ||
	    end > (uint64_t)st.st_size)
		return rsm_fail(err, EPROTO, "vhost-user: guest memory lies outside its file");
	/* huge pages are mapped and unmapped as wholes; st_blksize is their size */
	if (st.st_blksize > 4096 && rsm_is_pow2((uint64_t)st.st_blksize))
		align = (uint64_t)st.st_blksize;
	start = r->mmap_offset & ~(align - 1);
	if (!rsm_align_up(end - start, align, &end))
		return rsm_fail(err, EPROTO, "vhost-user: guest memory wraps around");
	region.map_len = end;
	base = mmap(NULL, region.map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)start);
	if (base == MAP_FAILED)
		return rsm_fail_errno(err, errno, "vhost-user: map %llu bytes of guest memory",
				      (unsigned long long)r->len);
	(void)madvise(base, region.map_len, MADV_DONTDUMP);
	region.map_base = base;
	region.host = (uint8_t *)base + (r->mmap_offset - start);
	ret = gmem_add(mem, &region);
	if (ret < 0) {
		munmap(base, region.map_len);
		return rsm_fail(err, EPROTO, "vhost-user: guest memory regions overlap");
	}
	return 0;
}

static int set_mem_table(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			 struct rsm_error *err)
{
	const struct vhu_mem_table *t = &p->mem;
	struct gmem mem = {0};

	if (t->n > VHU_MEM_REGIONS_MAX || t->n != vu->rx_nfds ||
	    len < offsetof(struct vhu_mem_table, regions) + t->n * sizeof(t->regions[0]))
		return rsm_fail(err, EPROTO, "vhost-user: %u memory regions, %zu fds, %u bytes",
				t->n, vu->rx_nfds, len);
	for (unsigned i = 0; i < t->n; i++) {
		int ret = map_region(&t->regions[i], vu->rx_fds[i], &mem, err);

		if (ret < 0) {
			gmem_clear(&mem);
			return ret;
		}
	}
	gmem_clear(&vu->mem);
	vu->mem = mem;
	return 0;
}

/* ---- rings */

/* Check a queue index of the master's and stop that queue. */
static int take_queue(struct vhost_user *vu, uint64_t index, struct rsm_error *err)
{
	if (index >= vu->dev->nqueues)
		return rsm_fail(err, EPROTO, "vhost-user: %s has no queue %llu", vu->dev->ops->name,
				(unsigned long long)index);
	vhu_stop_queue(vu, (unsigned)index);
	return 0;
}

static int set_vring_num(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			 struct rsm_error *err)
{
	int ret = take_queue(vu, p->state.index, err);

	if (ret < 0)
		return ret;
	if (p->state.num > VIRTQ_SIZE_MAX || !rsm_is_pow2(p->state.num))
		return rsm_fail(err, EPROTO, "vhost-user: %u is no queue size", p->state.num);
	vu->queues[p->state.index].num = (uint16_t)p->state.num;
	return 0;
}

static int set_vring_addr(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			  struct rsm_error *err)
{
	int ret = take_queue(vu, p->addr.index, err);

	if (ret < 0)
		return ret;
	if (p->addr.flags & VHU_VRING_F_LOG)
		return rsm_fail(err, EPROTO, "vhost-user: dirty logging was not offered");
	vu->queues[p->addr.index].addr = p->addr;
	vu->queues[p->addr.index].has_addr = true;
	return 0;
}

static int set_vring_base(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			  struct rsm_error *err)
{
	int ret = take_queue(vu, p->state.index, err);

	if (ret < 0)
		return ret;
	if (p->state.num > UINT16_MAX)
		return rsm_fail(err, EPROTO, "vhost-user: %u is no ring index", p->state.num);
	if (vu->dev->vq[p->state.index].last_avail != p->state.num)
		vhu_driver_is_new(vu);
	vu->dev->vq[p->state.index].last_avail = (uint16_t)p->state.num;
	return 0;
}

static int get_vring_base(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			  struct rsm_error *err)
{
	int ret = take_queue(vu, p->state.index, err);

	if (ret < 0)
		return ret;
	rsm_close(&vu->dev->vq[p->state.index].kick_fd);
	p->state.num = vu->dev->vq[p->state.index].last_avail;
	return sizeof(p->state);
}

/*
 * Put the message's fd, or -1 if it says that there is none, in the place of @slot. An eventfd that
 * we write to must not block us; the master's own are made non-blocking.
 */
static int set_fd(struct vhost_user *vu, const union vhu_payload *p, int *slot, bool we_write,
		  struct rsm_error *err)
{
	bool nofd = p->u64 & VHU_VRING_NOFD;

	if (p->u64 & ~(VHU_VRING_INDEX_MASK | VHU_VRING_NOFD) || vu->rx_nfds != !nofd)
		return rsm_fail(err, EPROTO, "vhost-user: eventfd message %#llx with %zu fds",
				(unsigned long long)p->u64, vu->rx_nfds);
	if (we_write && !nofd && rsm_set_nonblock(vu->rx_fds[0], true) < 0)
		return rsm_fail(err, EPROTO, "vhost-user: unusable eventfd");
	rsm_close(slot);
	if (!nofd) {
		*slot = rsm_steal_fd(vu->rx_fds[0]);
		vu->rx_nfds = 0;
	}
	return 0;
}

static int set_vring_kick(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			  struct rsm_error *err)
{
	uint64_t index = p->u64 & VHU_VRING_INDEX_MASK;
	int ret = take_queue(vu, index, err);

	if (ret < 0)
		return ret;
	if (p->u64 & VHU_VRING_NOFD)
		return rsm_fail(err, ENOTSUP, "vhost-user: polled queues are not supported");
	return set_fd(vu, p, &vu->dev->vq[index].kick_fd, false, err);
}

static int set_vring_call(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			  struct rsm_error *err)
{
	uint64_t index = p->u64 & VHU_VRING_INDEX_MASK;
	int ret = take_queue(vu, index, err);

	if (ret < 0)
		return ret;
	ret = set_fd(vu, p, &vu->dev->vq[index].call_fd, true, err);
	if (ret == 0) /* an interrupt may have gone to the fd that was replaced */
		virtq_interrupt(&vu->dev->vq[index]);
	return ret;
}

static int set_vring_err(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			 struct rsm_error *err)
{
	uint64_t index = p->u64 & VHU_VRING_INDEX_MASK;
	int ret = take_queue(vu, index, err);

	if (ret < 0)
		return ret;
	return set_fd(vu, p, &vu->queues[index].err_fd, true, err);
}

static int set_vring_enable(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			    struct rsm_error *err)
{
	int ret;

	if (p->state.num > 1)
		return rsm_fail(err, EPROTO, "vhost-user: enable by %u", p->state.num);
	ret = take_queue(vu, p->state.index, err);
	if (ret < 0)
		return ret;
	vu->queues[p->state.index].enabled = p->state.num;
	return 0;
}

static int get_queue_num(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
			 struct rsm_error *err)
{
	return reply_u64(p, vu->dev->nqueues);
}

/* ---- configuration space */

/* The range a config message is about; false if it is not inside the device's. */
static bool config_range(const struct vhost_user *vu, const struct vhu_config *c)
{
	uint32_t end;

	return rsm_add(c->offset, c->size, &end) && end <= vu->dev->ops->config_len &&
	       c->size <= VHU_CONFIG_MAX;
}

static int get_config(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
		      struct rsm_error *err)
{
	struct vhu_config *c = &p->config;

	if (!config_range(vu, c) || !vu->dev->ops->read_config)
		return 0; /* a reply without payload is the protocol's way to say "no" */
	vu->dev->ops->read_config(vu->dev, c->offset, c->region, c->size);
	return (int)(VHU_CONFIG_HEAD + c->size);
}

static int set_config(struct vhost_user *vu, union vhu_payload *p, uint32_t len,
		      struct rsm_error *err)
{
	const struct vhu_config *c = &p->config;

	if (!config_range(vu, c) || len - VHU_CONFIG_HEAD < c->size)
		return rsm_fail(err, EPROTO, "vhost-user: config write of %u bytes at %u", c->size,
				c->offset);
	if (!vu->dev->ops->write_config)
		return rsm_fail(err, EROFS, "vhost-user: the configuration of %s is read-only",
				vu->dev->ops->name);
	vu->dev->ops->write_config(vu->dev, c->offset, c->region, c->size);
	return 0;
}

#define U64 sizeof(uint64_t), sizeof(uint64_t)

/* clang-format off */
static const struct vhu_handler handlers[VHU_REQUEST_END] = {
	/*			      name                    size: min, max    fds   stops  replies */
	[VHU_GET_FEATURES]	    = { "GET_FEATURES",		0, 0,		0, false, true,  get_features },
	[VHU_SET_FEATURES]	    = { "SET_FEATURES",		U64,		0, true,  false, set_features },
	[VHU_SET_OWNER]		    = { "SET_OWNER",		0, 0,		0, false, false, set_owner },
	[VHU_RESET_OWNER]	    = { "RESET_OWNER",		0, 0,		0, true,  false, reset_device },
	[VHU_RESET_DEVICE]	    = { "RESET_DEVICE",		0, 0,		0, true,  false, reset_device },
	[VHU_SET_MEM_TABLE]	    = { "SET_MEM_TABLE",	8, sizeof(struct vhu_mem_table),
										VHU_MEM_REGIONS_MAX,
										   true,  false, set_mem_table },
	[VHU_SET_VRING_NUM]	    = { "SET_VRING_NUM",	8, 8,		0, false, false, set_vring_num },
	[VHU_SET_VRING_ADDR]	    = { "SET_VRING_ADDR",	40, 40,		0, false, false, set_vring_addr },
	[VHU_SET_VRING_BASE]	    = { "SET_VRING_BASE",	8, 8,		0, false, false, set_vring_base },
	[VHU_GET_VRING_BASE]	    = { "GET_VRING_BASE",	8, 8,		0, false, true,  get_vring_base },
	[VHU_SET_VRING_KICK]	    = { "SET_VRING_KICK",	U64,		1, false, false, set_vring_kick },
	[VHU_SET_VRING_CALL]	    = { "SET_VRING_CALL",	U64,		1, false, false, set_vring_call },
	/* err fds are read by the threads of all queues */
	[VHU_SET_VRING_ERR]	    = { "SET_VRING_ERR",	U64,		1, true,  false, set_vring_err },
	[VHU_SET_VRING_ENABLE]	    = { "SET_VRING_ENABLE",	8, 8,		0, false, false, set_vring_enable },
	[VHU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0,		0, false, true,  get_protocol_features },
	[VHU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64,		0, false, false, set_protocol_features },
	[VHU_GET_QUEUE_NUM]	    = { "GET_QUEUE_NUM",	0, 0,		0, false, true,  get_queue_num },
	[VHU_GET_CONFIG]	    = { "GET_CONFIG",		VHU_CONFIG_HEAD, sizeof(struct vhu_config),
										0, false, true,  get_config },
	[VHU_SET_CONFIG]	    = { "SET_CONFIG",		VHU_CONFIG_HEAD, sizeof(struct vhu_config),
										0, false, false, set_config },
};
/* clang-format on */

const struct vhu_handler *vhu_handler(uint32_t request)
{
	if (request >= VHU_REQUEST_END || !handlers[request].fn)
		return NULL;
	return &handlers[request];
}
