// SPDX-License-Identifier: Apache-2.0
/* Requests about one node: look up and forget, attributes, extended attributes, links, statfs. */
#include "fuse/session.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <errno.h>
#include <limits.h>
#include <linux/xattr.h>
#include <stdlib.h>

ssize_t fsrv_op_lookup(struct fsrv_req *r)
{
	const char *name = rsm_cursor_string(&r->args);
	int e = fsrv_check_name(name);

	if (e < 0)
		return e;
	FSRV_NEED(r, lookup);
	e = r->fs->ops->lookup(r->fs, r->h.nodeid, name, &r->reply.body.entry);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.entry);
}

ssize_t fsrv_op_forget(struct fsrv_req *r)
{
	struct fuse_forget_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, forget);
	r->fs->ops->forget(r->fs, r->h.nodeid, in.nlookup);
	return 0;
}

ssize_t fsrv_op_batch_forget(struct fsrv_req *r)
{
	size_t at = sizeof(r->h) + sizeof(struct fuse_batch_forget_in);
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one[64];

	FSRV_GET(r, &in);
	FSRV_NEED(r, forget);
	/* the count is the guest's; what really came is the limit */
	while (in.count && at < r->out_len) {
		size_t len = rsm_min(in.count * sizeof(one[0]), sizeof(one));
		size_t n;

		len = rsm_min(len, r->out_len - at);
		n = fsrv_iov_read(r->out, r->nout, at, one, len) / sizeof(one[0]);
		if (n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			r->fs->ops->forget(r->fs, one[i].nodeid, one[i].nlookup);
		in.count -= (uint32_t)n;
		at += n * sizeof(one[0]);
	}
	return 0;
}

ssize_t fsrv_op_getattr(struct fsrv_req *r)
{
	struct fuse_getattr_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, getattr);
	e = r->fs->ops->getattr(r->fs, r->h.nodeid, &in, &r->reply.body.attr);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.attr);
}

ssize_t fsrv_op_setattr(struct fsrv_req *r)
{
	struct fuse_setattr_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, setattr);
	e = r->fs->ops->setattr(r->fs, r->h.nodeid, &in, &r->reply.body.attr);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.attr);
}

ssize_t fsrv_op_statx(struct fsrv_req *r)
{
	struct fuse_statx_in in;
	int e;

	FSRV_GET(r, &in);
	FSRV_NEED(r, statx);
	memset(&r->reply.body.statx, 0, sizeof(r->reply.body.statx));
	e = r->fs->ops->statx(r->fs, r->h.nodeid, &in, &r->reply.body.statx);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.statx);
}

ssize_t fsrv_op_access(struct fsrv_req *r)
{
	struct fuse_access_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, access);
	return r->fs->ops->access(r->fs, &r->h, in.mask);
}

ssize_t fsrv_op_statfs(struct fsrv_req *r)
{
	int e;

	FSRV_NEED(r, statfs);
	memset(&r->reply.body.statfs, 0, sizeof(r->reply.body.statfs));
	e = r->fs->ops->statfs(r->fs, r->h.nodeid, &r->reply.body.statfs.st);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.statfs);
}

ssize_t fsrv_op_syncfs(struct fsrv_req *r)
{
	FSRV_NEED(r, syncfs);
	return r->fs->ops->syncfs(r->fs, r->h.nodeid);
}

/*
 * Replies of a length known only afterwards: into the reply's own segment where @size bytes of it
 * are contiguous, by way of the heap otherwise.
 */
static void *body_buffer(struct fsrv_req *r, size_t size, void **ret_heap)
{
	void *p = fsrv_iov_contiguous(r->in, r->nin, sizeof(r->reply.head), size);

	*ret_heap = NULL;
	if (!p)
		p = *ret_heap = malloc(size);
	return p;
}

static ssize_t body_done(struct fsrv_req *r, ssize_t len, const void *heap)
{
	if (len > 0 && heap)
		fsrv_iov_write(r->in, r->nin, sizeof(r->reply.head), heap, (size_t)len);
	return len;
}

ssize_t fsrv_op_readlink(struct fsrv_req *r)
{
	size_t size = rsm_min(r->in_len - sizeof(r->reply.head), (size_t)PATH_MAX - 1);
	_cleanup_free_ void *heap = NULL;
	void *buf;

	FSRV_NEED(r, readlink);
	if (size == 0)
		return -EINVAL;
	buf = body_buffer(r, size, &heap);
	if (!buf)
		return -ENOMEM;
	return body_done(r, r->fs->ops->readlink(r->fs, r->h.nodeid, buf, size), heap);
}

static int check_xattr_name(const char *name)
{
	if (!name)
		return -EINVAL;
	return *name && strlen(name) <= XATTR_NAME_MAX ? 0 : -ERANGE;
}

ssize_t fsrv_op_setxattr(struct fsrv_req *r)
{
	struct fuse_setxattr_in in = {0};
	const void *at, *value;
	const char *name;
	int e;

	at = rsm_cursor_bytes(
		&r->args, r->s->conn.flags & FUSE_SETXATTR_EXT ? sizeof(in) : FSRV_SETXATTR_IN_OLD);
	if (!at)
		return -EINVAL;
	memcpy(&in, at, r->s->conn.flags & FUSE_SETXATTR_EXT ? sizeof(in) : FSRV_SETXATTR_IN_OLD);
	name = rsm_cursor_string(&r->args);
	e = check_xattr_name(name);
	if (e < 0)
		return e;
	if (in.size > XATTR_SIZE_MAX)
		return -E2BIG;
	value = rsm_cursor_bytes(&r->args, in.size);
	if (!value)
		return -EINVAL;
	FSRV_NEED(r, setxattr);
	/* Linux sets the flag with the default ACL too, which it is not for */
	return r->fs->ops->setxattr(r->fs, r->h.nodeid, name, value, in.size, in.flags,
				    (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) &&
					    strcmp(name, "system.posix_acl_access") == 0);
}

/* GETXATTR with @name, LISTXATTR without */
static ssize_t xattr_reply(struct fsrv_req *r, const char *name, uint32_t want)
{
	size_t room = r->in_len - sizeof(r->reply.head);
	size_t size = rsm_min((size_t)want, (size_t)XATTR_SIZE_MAX);
	const struct fsrv_ops *ops = r->fs->ops;
	struct fuse_getxattr_out out = {0};
	_cleanup_free_ void *heap = NULL;
	void *buf = NULL;
	ssize_t n;

	if (room < (want ? 1 : sizeof(out)))
		return -EINVAL;
	size = rsm_min(size, room);
	if (want) {
		buf = body_buffer(r, size, &heap);
		if (!buf)
			return -ENOMEM;
	} else {
		size = 0;
	}
	n = name ? ops->getxattr(r->fs, r->h.nodeid, name, buf, size)
		 : ops->listxattr(r->fs, r->h.nodeid, buf, size);
	if (n < 0 || want)
		return body_done(r, n, heap);
	out.size = (uint32_t)n;
	return (ssize_t)fsrv_iov_write(r->in, r->nin, sizeof(r->reply.head), &out, sizeof(out));
}

ssize_t fsrv_op_getxattr(struct fsrv_req *r)
{
	struct fuse_getxattr_in in;
	const char *name;
	int e;

	FSRV_GET(r, &in);
	name = rsm_cursor_string(&r->args);
	e = check_xattr_name(name);
	if (e < 0)
		return e;
	FSRV_NEED(r, getxattr);
	return xattr_reply(r, name, in.size);
}

ssize_t fsrv_op_listxattr(struct fsrv_req *r)
{
	struct fuse_getxattr_in in;

	FSRV_GET(r, &in);
	FSRV_NEED(r, listxattr);
	return xattr_reply(r, NULL, in.size);
}

ssize_t fsrv_op_removexattr(struct fsrv_req *r)
{
	const char *name = rsm_cursor_string(&r->args);
	int e = check_xattr_name(name);

	if (e < 0)
		return e;
	FSRV_NEED(r, removexattr);
	return r->fs->ops->removexattr(r->fs, r->h.nodeid, name);
}
