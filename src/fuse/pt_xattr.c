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
	x->at = (struct pt_at){ .fd = -1 };
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

ssize_t pt_getxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, void *value,
		    size_t size)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct xfile x;
	ssize_t r = pt_get_node(pt, nodeid, false, &i);

	if (r < 0)
		return r;
	r = xopen(pt, i, &x);
	if (r >= 0) {
		r = x.fd >= 0 ? fgetxattr(x.fd, name, value, size) :
				getxattr(x.path, name, value, size);
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
