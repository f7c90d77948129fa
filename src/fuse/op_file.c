// SPDX-License-Identifier: Apache-2.0
/* Requests about open files and directories. */
#include "fuse/session.h"

#include "base/math.h"

#include <errno.h>
#include <limits.h>

ssize_t fsrv_op_open(struct fsrv_req *r)
{
	struct fuse_open_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, open);
	r->reply.body.open = (struct fuse_open_out){.fh = 0};
	e = r->fs->ops->open(r->fs, r->h.nodeid, &in, &r->reply.body.open);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.open);
}

ssize_t fsrv_op_create(struct fsrv_req *r)
{
	struct fuse_create_in in;
	const char *name;
	int e;

	FSRV_GET(r, &in);
	name = rsm_cursor_string(&r->args);
	e = fsrv_check_name(name);
	if (e < 0)
		return e;
	FSRV_NEED(r, create);
	in.umask = fsrv_umask(r, in.umask);
	r->reply.body.create.open = (struct fuse_open_out){.fh = 0};
	e = r->fs->ops->create(r->fs, &r->h, name, &in, &r->reply.body.create.entry,
			       &r->reply.body.create.open);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.create);
}

ssize_t fsrv_op_tmpfile(struct fsrv_req *r)
{
	struct fuse_create_in in;
	int e;

	FSRV_GET(r, &in); /* a name follows, for nobody */
	FSRV_NEED(r, tmpfile);
	in.umask = fsrv_umask(r, in.umask);
	r->reply.body.create.open = (struct fuse_open_out){.fh = 0};
	e = r->fs->ops->tmpfile(r->fs, &r->h, &in, &r->reply.body.create.entry,
				&r->reply.body.create.open);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.create);
}

/*
 * The reply body as the guest lays it out for READ: a header segment of its own, then the pages.
 * Nothing needs to be cut then.
 */
static bool fits_exactly(const struct fsrv_req *r, size_t size)
{
	return r->nin > 1 && r->nin <= FSRV_SEGS_MAX && r->in[0].iov_len == sizeof(r->reply.head) &&
	       r->in_len == sizeof(r->reply.head) + size;
}

ssize_t fsrv_op_read(struct fsrv_req *r)
{
	size_t room = r->in_len - sizeof(r->reply.head), size;
	struct iovec iov[FSRV_SEGS_MAX];
	struct fuse_read_in in;
	unsigned n;

	FSRV_GET(r, &in);
	FSRV_NEED(r, read);
	if (in.offset > INT64_MAX)
		return -EINVAL;
	size = rsm_min((size_t)in.size, room);
	if (size == 0)
		return in.size ? -EINVAL : 0;
	if (fits_exactly(r, size))
		return r->fs->ops->read(r->fs, r->h.nodeid, &in, r->in + 1, r->nin - 1);
	n = fsrv_iov_slice(r->in, r->nin, sizeof(r->reply.head), size, iov);
	return r->fs->ops->read(r->fs, r->h.nodeid, &in, iov, n);
}

ssize_t fsrv_op_write(struct fsrv_req *r)
{
	const size_t at = sizeof(r->h) + sizeof(struct fuse_write_in);
	struct iovec iov[FSRV_SEGS_MAX];
	struct fuse_write_in in;
	ssize_t done;
	unsigned n;

	FSRV_GET(r, &in);
	FSRV_NEED(r, write);
	if (in.offset > INT64_MAX || in.size > r->out_len - at)
		return -EINVAL;
	n = fsrv_iov_slice(r->out, r->nout, at, in.size, iov);
	done = in.size ? r->fs->ops->write(r->fs, r->h.nodeid, &in, iov, n) : 0;
	if (done < 0)
		return done;
	r->reply.body.write = (struct fuse_write_out){.size = (uint32_t)done};
	return sizeof(r->reply.body.write);
}

ssize_t fsrv_op_flush(struct fsrv_req *r)
{
	struct fuse_flush_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, flush);
	e = r->fs->ops->flush(r->fs, r->h.nodeid, &in);
	fsrv_lockwait_kick(&r->s->lockwait);
	return e;
}

ssize_t fsrv_op_release(struct fsrv_req *r)
{
	struct fuse_release_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, release);
	e = r->fs->ops->release(r->fs, r->h.nodeid, &in);
	fsrv_lockwait_kick(&r->s->lockwait);
	return e;
}

ssize_t fsrv_op_fsync(struct fsrv_req *r)
{
	struct fuse_fsync_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, fsync);
	return r->fs->ops->fsync(r->fs, r->h.nodeid, in.fh, in.fsync_flags & FUSE_FSYNC_FDATASYNC);
}

ssize_t fsrv_op_lseek(struct fsrv_req *r)
{
	struct fuse_lseek_in in;
	uint64_t offset;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, lseek);
	e = r->fs->ops->lseek(r->fs, r->h.nodeid, &in, &offset);
	if (e < 0)
		return e;
	r->reply.body.lseek.offset = offset;
	return sizeof(r->reply.body.lseek);
}

ssize_t fsrv_op_fallocate(struct fsrv_req *r)
{
	struct fuse_fallocate_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, fallocate);
	if (in.offset > INT64_MAX || in.length > INT64_MAX)
		return -EFBIG;
	return r->fs->ops->fallocate(r->fs, &r->h, &in);
}

ssize_t fsrv_op_copy_file_range(struct fsrv_req *r)
{
	struct fuse_copy_file_range_in in;
	ssize_t done;

	FSRV_GET(r, &in);
	FSRV_NEED(r, copy_file_range);
	if (in.off_in > INT64_MAX || in.off_out > INT64_MAX || in.flags)
		return -EINVAL;
	/* the reply's count has 32 bits */
	in.len = rsm_min(in.len, (uint64_t)INT32_MAX & ~0xfffULL);
	done = r->fs->ops->copy_file_range(r->fs, &r->h, &in);
	if (done < 0)
		return done;
	r->reply.body.write = (struct fuse_write_out){.size = (uint32_t)done};
	return sizeof(r->reply.body.write);
}

ssize_t fsrv_op_opendir(struct fsrv_req *r)
{
	int e;

	FSRV_NEED(r, opendir);
	r->reply.body.open = (struct fuse_open_out){.fh = 0};
	e = r->fs->ops->opendir(r->fs, r->h.nodeid, &r->reply.body.open);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.open);
}

static ssize_t do_readdir(struct fsrv_req *r, bool plus)
{
	size_t room = r->in_len - sizeof(r->reply.head);
	size_t off = sizeof(r->reply.head);
	struct fsrv_dirbuf buf = {.plus = plus, .iov = r->in, .n = r->nin};
	struct fuse_read_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, readdir);
	if (in.offset > INT64_MAX)
		return -EINVAL;
	buf.room = rsm_min((size_t)in.size, room);
	while (buf.n && off >= buf.iov->iov_len) {
		off -= buf.iov->iov_len;
		buf.iov++;
		buf.n--;
	}
	buf.seg_off = off;
	e = r->fs->ops->readdir(r->fs, r->h.nodeid, in.fh, in.offset, &buf);
	return e < 0 ? e : (ssize_t)buf.pos;
}

ssize_t fsrv_op_readdir(struct fsrv_req *r)
{
	return do_readdir(r, false);
}

ssize_t fsrv_op_readdirplus(struct fsrv_req *r)
{
	return do_readdir(r, true);
}

ssize_t fsrv_op_releasedir(struct fsrv_req *r)
{
	struct fuse_release_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, releasedir);
	return r->fs->ops->releasedir(r->fs, r->h.nodeid, in.fh);
}

ssize_t fsrv_op_fsyncdir(struct fsrv_req *r)
{
	struct fuse_fsync_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, fsyncdir);
	return r->fs->ops->fsyncdir(r->fs, r->h.nodeid, in.fh,
				    in.fsync_flags & FUSE_FSYNC_FDATASYNC);
}
