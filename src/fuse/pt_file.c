// SPDX-License-Identifier: Apache-2.0
/* Passthrough: I/O on open files. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>

int pt_release(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_release_in *in)
{
	return pt_handle_close(to_pt(fs), in->fh, false);
}

int pt_flush(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_flush_in *in)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, in->fh, false);
	int fd, r = 0;

	if (!h)
		return -EBADF;
	pt_plocks_drop(pt, h->inode, in->lock_owner);
	if (atomic_exchange_explicit(&h->wrote, false, memory_order_relaxed)) {
		/* network file systems report failed writes at close */
		fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 3);
		if (fd >= 0 && close(fd) < 0)
			r = -errno;
		pt_contents_known(h->inode, h->fd);
	}
	pt_handle_put(pt, h);
	return r;
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

/*
 * Should this go to the end of the file, wherever that is by now? Not what comes from the guest's
 * page cache, as mmap does: it belongs where the page is, whichever handle it is sent through.
 */
static bool append(const struct pt *pt, const struct fuse_write_in *in)
{
	return (in->flags & O_APPEND) && !pt->writeback && !(in->write_flags & FUSE_WRITE_CACHE);
}

ssize_t pt_write(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_write_in *in,
		 const struct iovec *iov, unsigned n)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, in->fh, false);
	ssize_t r = 0;

	if (!h)
		return -EBADF;
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		r = pt_kill_suidgid(h->fd);
	if (r == 0) {
		r = pwritev2(h->fd, iov, (int)n, (off_t)in->offset,
			     append(pt, in) ? RWF_APPEND : 0);
		if (r < 0)
			r = -errno;
		atomic_store_explicit(&h->wrote, true, memory_order_relaxed);
	}
	pt_handle_put(pt, h);
	return r;
}

int pt_fsync(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, fh, false);
	int r;

	if (!h)
		return -EBADF;
	r = (datasync ? fdatasync(h->fd) : fsync(h->fd)) < 0 ? -errno : 0;
	pt_handle_put(pt, h);
	return r;
}

int pt_lseek(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lseek_in *in, uint64_t *ret)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h;
	off_t at;

	/* the fd has no position of its own that anybody uses: only these two ask the file */
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	h = pt_handle_get(pt, in->fh, false);
	if (!h)
		return -EBADF;
	at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
	pt_handle_put(pt, h);
	if (at < 0)
		return -errno;
	*ret = (uint64_t)at;
	return 0;
}

/* Set-id bits go when somebody without CAP_FSETID changes a file; who has it we can only guess. */
static int kill_privs(const struct fuse_in_header *who, int fd)
{
	return who->uid == 0 ? 0 : pt_kill_suidgid(fd);
}

int pt_fallocate(struct fsrv_fs *fs, const struct fuse_in_header *who,
		 const struct fuse_fallocate_in *in)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h;
	int r;

	if (in->mode &
	    ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	h = pt_handle_get(pt, in->fh, false);
	if (!h)
		return -EBADF;
	r = kill_privs(who, h->fd);
	if (r == 0 && fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0)
		r = -errno;
	pt_handle_put(pt, h);
	return r;
}

ssize_t pt_copy_file_range(struct fsrv_fs *fs, const struct fuse_in_header *who,
			   const struct fuse_copy_file_range_in *in)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *from = pt_handle_get(pt, in->fh_in, false);
	struct pt_handle *to = pt_handle_get(pt, in->fh_out, false);
	off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
	ssize_t r = -EBADF;

	if (from && to)
		r = kill_privs(who, to->fd);
	if (r == 0) {
		r = copy_file_range(from->fd, &off_in, to->fd, &off_out, in->len, 0);
		if (r < 0)
			r = -errno;
		atomic_store_explicit(&to->wrote, true, memory_order_relaxed);
	}
	if (from)
		pt_handle_put(pt, from);
	if (to)
		pt_handle_put(pt, to);
	return r;
}
