// SPDX-License-Identifier: Apache-2.0
/* Requests that make, remove and move names. */
#include "fuse/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/**
 * fsrv_check_name() - Is this one path component?
 * @name:	NULL when the request had no terminated string there
 *
 * "." and ".." are refused everywhere: FUSE_EXPORT_SUPPORT is never negotiated, so no honest client
 * sends them, and nothing here can walk upwards.
 */
int fsrv_check_name(const char *name)
{
	size_t len;

	if (!name || !*name)
		return -EINVAL;
	len = strlen(name);
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return -EINVAL;
	return memchr(name, '/', len) ? -EINVAL : 0;
}

/* Next string of the request as a checked name. */
static int get_name(struct fsrv_req *r, const char **ret)
{
	*ret = rsm_cursor_string(&r->args);
	return fsrv_check_name(*ret);
}

#define GET_NAME(r, name)                                                                          \
	do {                                                                                       \
		int bad_ = get_name(r, name);                                                      \
		if (bad_ < 0)                                                                      \
			return bad_;                                                               \
	} while (0)

static ssize_t entry_reply(int e)
{
	return e < 0 ? e : (ssize_t)sizeof(struct fuse_entry_out);
}

ssize_t fsrv_op_symlink(struct fsrv_req *r)
{
	const char *name, *target;

	GET_NAME(r, &name);
	target = rsm_cursor_string(&r->args);
	if (!target)
		return -EINVAL;
	if (!*target)
		return -ENOENT;
	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	FSRV_NEED(r, symlink);
	return entry_reply(r->fs->ops->symlink(r->fs, &r->h, name, target, &r->reply.body.entry));
}

ssize_t fsrv_op_mknod(struct fsrv_req *r)
{
	struct fuse_mknod_in in;
	const char *name;

	FSRV_GET(r, &in);
	GET_NAME(r, &name);
	switch (in.mode & S_IFMT) {
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		return -EINVAL;
	}
	FSRV_NEED(r, mknod);
	in.mode &= S_IFMT | 07777;
	in.umask = fsrv_umask(r, in.umask);
	return entry_reply(r->fs->ops->mknod(r->fs, &r->h, name, &in, &r->reply.body.entry));
}

ssize_t fsrv_op_mkdir(struct fsrv_req *r)
{
	struct fuse_mkdir_in in;
	const char *name;

	FSRV_GET(r, &in);
	GET_NAME(r, &name);
	FSRV_NEED(r, mkdir);
	in.mode &= 07777;
	in.umask = fsrv_umask(r, in.umask);
	return entry_reply(r->fs->ops->mkdir(r->fs, &r->h, name, &in, &r->reply.body.entry));
}

ssize_t fsrv_op_unlink(struct fsrv_req *r)
{
	const char *name;

	GET_NAME(r, &name);
	FSRV_NEED(r, unlink);
	return r->fs->ops->unlink(r->fs, r->h.nodeid, name);
}

ssize_t fsrv_op_rmdir(struct fsrv_req *r)
{
	const char *name;

	GET_NAME(r, &name);
	FSRV_NEED(r, rmdir);
	return r->fs->ops->rmdir(r->fs, r->h.nodeid, name);
}

static ssize_t do_rename(struct fsrv_req *r, uint64_t newdir, uint32_t flags)
{
	const char *oldname, *newname;

	GET_NAME(r, &oldname);
	GET_NAME(r, &newname);
	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	FSRV_NEED(r, rename);
	return r->fs->ops->rename(r->fs, r->h.nodeid, oldname, newdir, newname, flags);
}

ssize_t fsrv_op_rename(struct fsrv_req *r)
{
	struct fuse_rename_in in;

	FSRV_GET(r, &in);
	return do_rename(r, in.newdir, 0);
}

ssize_t fsrv_op_rename2(struct fsrv_req *r)
{
	struct fuse_rename2_in in;

	FSRV_GET(r, &in);
	return do_rename(r, in.newdir, in.flags);
}

ssize_t fsrv_op_link(struct fsrv_req *r)
{
	struct fuse_link_in in;
	const char *name;

	FSRV_GET(r, &in);
	GET_NAME(r, &name);
	FSRV_NEED(r, link);
	return entry_reply(
		r->fs->ops->link(r->fs, in.oldnodeid, r->h.nodeid, name, &r->reply.body.entry));
}
