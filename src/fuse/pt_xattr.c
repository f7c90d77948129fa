// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: extended attributes.
 *
 * The f*xattr calls do not take O_PATH fds. Regular files and directories are opened, or an open
 * handle's fd is used; symlinks and special files, which must not be opened, are reached through
 * the magic link /proc/self/fd/N, which leads to exactly the inode of the fd.
 */
#include "fuse/pt.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

/**
 * struct xfile - An inode open for f*xattr, or a path for *xattr
 * @fd:		-1: @path
 * @mine:	@fd is to be closed
 */
struct xfile {
	int fd;
	bool mine;
	struct pt_at at;
	char path[32];
};

static int xopen(struct pt *pt, struct pt_inode *i, struct xfile *x)
{
	int fd;

	x->mine = true;
	x->at = (struct pt_at){.fd = -1};
	if (S_ISREG(i->type)) {
		if (pt_at(pt, i, PT_AT_OPEN, &x->at) == 0) {
			x->mine = false;
			x->fd = x->at.fd;
			return 0;
		}
		x->fd = pt_open_inode(pt, i, O_RDONLY);
		return x->fd < 0 ? x->fd : 0;
	}
	fd = pt_fd(pt, i);
	if (fd < 0)
		return fd;
	if (S_ISDIR(i->type)) {
		x->fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return x->fd < 0 ? -errno : 0;
	}
	x->fd = -1;
	x->mine = false;
	return rsm_format(x->path, sizeof(x->path), "/proc/self/fd/%d", fd);
}

static void xclose(struct pt *pt, struct xfile *x)
{
	if (x->mine)
		rsm_close(&x->fd);
	pt_at_done(pt, &x->at);
}

ssize_t pt_getxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, void *value, size_t size)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct xfile x;
	ssize_t r = pt_get_node(pt, nodeid, false, &i);

	if (r < 0)
		return r;
	r = xopen(pt, i, &x);
	if (r >= 0) {
		r = x.fd >= 0 ? fgetxattr(x.fd, name, value, size)
			      : getxattr(x.path, name, value, size);
		if (r < 0)
			r = -errno;
		xclose(pt, &x);
	}
	pt_put(pt, i);
	return r;
}

ssize_t pt_listxattr(struct fsrv_fs *fs, uint64_t nodeid, char *list, size_t size)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct xfile x;
	ssize_t r = pt_get_node(pt, nodeid, false, &i);

	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	r = xopen(pt, i, &x);
	if (r >= 0) {
		r = x.fd >= 0 ? flistxattr(x.fd, list, size) : listxattr(x.path, list, size);
		if (r < 0)
			r = -errno;
		xclose(pt, &x);
	}
	pt_put(pt, i);
	return r;
}

/* An ACL was set by somebody who may not keep the set-group-id bit. */
static int clear_sgid(struct pt *pt, struct pt_inode *i)
{
	struct statx st;
	int fd = pt_fd(pt, i);

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MODE, &st) < 0)
		return -errno;
	return st.stx_mode & S_ISGID ? pt_chmod(pt, fd, st.stx_mode & 07777 & ~S_ISGID) : 0;
}

int pt_setxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, const void *value,
		size_t size, uint32_t flags, bool kill_sgid)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct xfile x;
	int r = pt_get_node(pt, nodeid, true, &i);

	if (r < 0)
		return r;
	r = xopen(pt, i, &x);
	if (r >= 0) {
		r = x.fd >= 0 ? fsetxattr(x.fd, name, value, size, (int)flags)
			      : setxattr(x.path, name, value, size, (int)flags);
		r = r < 0 ? -errno : 0;
		xclose(pt, &x);
	}
	if (r == 0 && kill_sgid && !S_ISLNK(i->type))
		r = clear_sgid(pt, i);
	pt_put(pt, i);
	return r;
}

int pt_removexattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct xfile x;
	int r = pt_get_node(pt, nodeid, true, &i);

	if (r < 0)
		return r;
	r = xopen(pt, i, &x);
	if (r >= 0) {
		r = x.fd >= 0 ? fremovexattr(x.fd, name) : removexattr(x.path, name);
		r = r < 0 ? -errno : 0;
		xclose(pt, &x);
	}
	pt_put(pt, i);
	return r;
}
