// SPDX-License-Identifier: Apache-2.0
/* INIT: what the client offers, what we take; DESTROY: the way back. */
#include "fuse/session.h"

#include "base/math.h"
#include "dax/dax.h"

#include <errno.h>

/* 4 KiB pages of one READ or WRITE; with the header segments a request stays under FSRV_SEGS_MAX */
#define MAX_PAGES      (FSRV_MAX_IO / 4096)
#define MAX_BACKGROUND 128

/*
 * Taken whenever offered. FUSE_POSIX_ACL has the guest check permissions, ACLs included.
 * FUSE_EXPORT_SUPPORT is not: it would have us look up "..".
 */
#define FLAGS_ALWAYS                                                                               \
	(FUSE_DONT_MASK | FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC |               \
	 FUSE_BIG_WRITES | FUSE_FLOCK_LOCKS | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |        \
	 FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_ABORT_ERROR |               \
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 |         \
	 FUSE_SETXATTR_EXT | FUSE_INIT_EXT)

static uint64_t wanted(const struct fsrv_session *s)
{
	uint64_t flags = FLAGS_ALWAYS;

	/* with the write-back cache the guest's sizes and times are the true ones */
	if (s->opt.cache == FSRV_CACHE_ALWAYS)
		flags |= FUSE_WRITEBACK_CACHE;
	else
		flags |= FUSE_AUTO_INVAL_DATA;
	if (s->opt.window)
		flags |= FUSE_MAP_ALIGNMENT;
	return flags;
}

ssize_t fsrv_op_init(struct fsrv_req *r)
{
	struct fuse_init_in in = {0};
	struct fuse_init_out *out = &r->reply.body.init;
	struct fsrv_session *s = r->s;
	uint64_t offered;

	if (atomic_load(&s->ready))
		return -EIO;
	memcpy(&in, r->args.p, rsm_min(r->args.left, sizeof(in)));
	*out = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION,
				      .minor = FUSE_KERNEL_MINOR_VERSION};
	if (in.major > FUSE_KERNEL_VERSION)
		return sizeof(*out); /* it tries again with our major version */
	if (in.major < FUSE_KERNEL_VERSION || in.minor < FSRV_MINOR_MIN)
		return -EPROTO;

	offered = in.flags;
	if ((in.flags & FUSE_INIT_EXT) && r->args.left >= offsetof(struct fuse_init_in, unused))
		offered |= (uint64_t)in.flags2 << 32;
	s->conn.minor = rsm_min(in.minor, (uint32_t)FUSE_KERNEL_MINOR_VERSION);
	s->conn.flags = offered & wanted(s);

	out->max_readahead = rsm_min(in.max_readahead, FSRV_MAX_IO);
	out->flags = (uint32_t)s->conn.flags;
	out->flags2 = (uint32_t)(s->conn.flags >> 32);
	out->max_background = MAX_BACKGROUND;
	out->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	out->max_write = s->conn.flags & FUSE_MAX_PAGES ? FSRV_MAX_IO : 32 * 4096;
	out->time_gran = 1;
	out->max_pages = MAX_PAGES;
	if (s->conn.flags & FUSE_MAP_ALIGNMENT)
		out->map_alignment = (uint16_t)__builtin_ctzll(dax_window_align(s->opt.window));
	if (r->fs->ops->started)
		r->fs->ops->started(r->fs, &s->conn);
	atomic_store_explicit(&s->ready, true, memory_order_release);
	return sizeof(*out);
}

ssize_t fsrv_op_destroy(struct fsrv_req *r)
{
	fsrv_session_reset(r->s);
	return 0;
}
