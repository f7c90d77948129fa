// SPDX-License-Identifier: Apache-2.0
/* Passthrough: open files. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

/*
 * open(2) flags from the guest's: its access mode, and what changes how the host does I/O. O_DIRECT is
 * not among them, because the guest's memory need not be aligned as the host's disk wants it;
 * O_TRUNC is done by hand once we know what was opened.
 */
static int open_flags(const struct pt *pt, uint32_t flags)
{
	int r = (int)(flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME));

	if (pt->writeback) {
		/* it reads a page before it writes part of it; appending is up to the guest */
		if ((r & O_ACCMODE) == O_WRONLY)
			r = (r & ~O_ACCMODE) | O_RDWR;
	} else {
		r |= (int)(flags & O_APPEND);
	}
	return r;
}

/* Open by name where that cannot reach a device; -ESTALE: it is not there any more. */
static int open_by_name(struct pt *pt, struct pt_inode *i, int flags)
{
	_cleanup_close_ int fd = -1;
	struct pt_at at;
	struct stat st;
	int r;

	r = pt_at_place(pt, i, &at);
	if (r < 0)
		return r;
	fd = openat(at.fd, at.name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	pt_at_done(pt, &at);
	if (r < 0)
		return r == -ENOENT || r == -ELOOP || r == -ENXIO ? -ESTALE : r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != i->ino || st.st_dev != i->dev || !S_ISREG(st.st_mode))
		return -ESTALE;
	return rsm_steal_fd(fd);
}

/**
 * pt_open_inode() - Open a regular file that the guest knows
 * @flags:	for open(2), without O_TRUNC and O_CREAT
 *
 * The caller holds @i busy and has checked for read-only exports.
 * Return: fd or -errno
 */
int pt_open_inode(struct pt *pt, struct pt_inode *i, int flags)
{
	int fd;

	if (S_ISDIR(i->type))
		return -EISDIR;
	if (!S_ISREG(i->type))
		return S_ISLNK(i->type) ? -ELOOP : -ENXIO;
	if (i->mnt->nodev) {
		fd = open_by_name(pt, i, flags);
		if (fd != -ESTALE)
			return fd;
	}
	fd = pt_fd(pt, i);
	return fd < 0 ? fd : pt_reopen(pt, fd, flags | O_NONBLOCK | O_NOCTTY);
}

/* What write(2), truncate(2) by somebody without CAP_FSETID does to a file's mode. */
int pt_kill_suidgid(int fd)
{
	struct stat st;
	mode_t mode;

	if (fstat(fd, &st) < 0)
		return -errno;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		mode &= ~(mode_t)S_ISGID;
	if (mode != st.st_mode && fchmod(fd, mode & 07777) < 0)
		return -errno;
	return 0;
}

uint32_t pt_fopen_flags(const struct pt_inode *i)
{
	/* with AUTO, what the guest cached is dropped at each open; with NEVER attributes are asked
	 * for at each read as well, and a new mtime drops it */
	return i->mnt->cache == FSRV_CACHE_ALWAYS ? FOPEN_KEEP_CACHE : 0;
}

static int do_open(struct pt *pt, struct pt_inode *i, const struct fuse_open_in *in,
		   struct fuse_open_out *out)
{
	int flags = open_flags(pt, in->flags), r;
	_cleanup_close_ int fd = -1;

	if ((in->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (i->mnt->readonly && ((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC)))
		return -EROFS;
	if ((in->flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	fd = pt_open_inode(pt, i, flags);
	if (fd < 0)
		return fd;
	if (in->flags & O_TRUNC) {
		r = in->open_flags & FUSE_OPEN_KILL_SUIDGID ? pt_kill_suidgid(fd) : 0;
		if (r == 0 && ftruncate(fd, 0) < 0)
			r = -errno;
		if (r < 0)
			return r;
	}
	out->open_flags = pt_fopen_flags(i);
	r = pt_handle_new(pt, i, fd, false, &out->fh);
	if (r == 0)
		fd = -1;
	return r;
}

int pt_open(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_open_in *in,
	    struct fuse_open_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	int r;

	r = pt_get_node(pt, nodeid, false, &i);
	if (r < 0)
		return r == -EOPNOTSUPP ? -EISDIR : r;
	r = do_open(pt, i, in, out);
	pt_put(pt, i);
	return r;
}

int pt_release(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_release_in *in)
{
	return pt_handle_close(to_pt(fs), in->fh, false);
}

int pt_flush(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_flush_in *in)
{
	return 0;
}

ssize_t pt_read(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_read_in *in,
		const struct iovec *iov, unsigned n)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, in->fh, false);
	ssize_t r;

	if (!h)
		return -EBADF;
	r = preadv(h->fd, iov, (int)n, (off_t)in->offset);
	if (r < 0)
		r = -errno;
	pt_handle_put(pt, h);
	return r;
}
