// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: open directories.
 *
 * The offset of an entry is the host's own d_off, which stays valid while entries come and go: the
 * guest sends it back, and if the stream is not there already the fd is set to it. Entries are read
 * ahead in blocks; offset 0 (rewinddir) throws the block away. "." and ".." are passed on as names
 * only, without lookup, and ".." of an export's top has the number of the top itself.
 */
#include "fuse/pt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* as getdents64(2) */
struct dirent64_wire {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

int pt_opendir(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_open_out *out)
{
	struct pt *pt = to_pt(fs);
	_cleanup_close_ int fd = -1;
	struct pt_inode *i;
	int path_fd, r;

	r = pt_get_dir(pt, nodeid, false, &i, &path_fd);
	if (r < 0)
		return r;
	if (i->mnt) {
		fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
		if (i->mnt->cache >= FSRV_CACHE_MOSTLY)
			out->open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
	}
	if (r == 0)
		r = pt_handle_new(pt, i, fd, true, &out->fh);
	if (r == 0)
		fd = -1;
	pt_put(pt, i);
	return r;
}

/* The stream of a handle, made with its first READDIR. */
static struct pt_dirstream *stream_of(struct pt *pt, struct pt_handle *h)
{
	struct pt_dirstream *d, *mine;

	pt_lock(pt);
	d = h->dir;
	pt_unlock(pt);
	if (d)
		return d;
	mine = malloc(sizeof(*mine));
	if (!mine)
		return NULL;
	pthread_mutex_init(&mine->lock, NULL);
	mine->offset = 0;
	mine->pos = mine->len = 0;
	pt_lock(pt);
	if (!h->dir) {
		h->dir = mine;
		mine = NULL;
	}
	d = h->dir;
	pt_unlock(pt);
	if (mine) {
		pthread_mutex_destroy(&mine->lock);
		free(mine);
	}
	return d;
}

/* Next entry without taking it; NULL and 0 in @ret_error at the end. */
static const struct dirent64_wire *peek(struct pt_dirstream *d, int fd, int *ret_error)
{
	ssize_t n;

	*ret_error = 0;
	if (d->pos == d->len) {
		n = getdents64(fd, d->buf, sizeof(d->buf));
		d->pos = 0;
		d->len = n > 0 ? (size_t)n : 0;
		if (n <= 0) {
			*ret_error = n < 0 ? -errno : 0;
			return NULL;
		}
	}
	return (const struct dirent64_wire *)(d->buf + d->pos);
}

static void take(struct pt_dirstream *d, const struct dirent64_wire *e)
{
	d->offset = (uint64_t)e->d_off;
	d->pos += e->d_reclen;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* READDIRPLUS: look the entry up as LOOKUP would. Return: 1 and @out; 0: gone, leave it out */
static int lookup_entry(struct pt *pt, struct pt_inode *dir, int fd, const char *name,
			struct fuse_entry_out *out)
{
	struct statx st;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, PT_STATX_MASK, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	return pt_enter(pt, dir, name, &st, -1, out, NULL) < 0 ? -ENOMEM : 1;
}

static int fill(struct pt *pt, struct pt_inode *dir, int fd, struct pt_dirstream *d,
		struct fsrv_dirbuf *buf)
{
	const struct dirent64_wire *e;
	int r;

	while ((e = peek(d, fd, &r))) {
		size_t namelen = strlen(e->d_name);
		struct fuse_entry_out entry, *plus = NULL;
		uint64_t ino = e->d_ino;

		if (!fsrv_dirbuf_fits(buf, namelen))
			return buf->pos ? 0 : -EINVAL;
		if (is_dot(e->d_name)) {
			if (dir->root)
				ino = dir->ino;
		} else if (buf->plus) {
			r = lookup_entry(pt, dir, fd, e->d_name, &entry);
			if (r == 0) {
				take(d, e);
				continue;
			}
			/* an entry that cannot be looked up now is still an entry */
			plus = r < 0 ? NULL : &entry;
			if (plus)
				ino = entry.attr.ino;
		}
		fsrv_dirbuf_add(buf, e->d_name, namelen, ino, e->d_type, (uint64_t)e->d_off, plus);
		take(d, e);
	}
	return buf->pos ? 0 : r;
}

/* The synthetic root: entry k has offset k + 1. */
static int fill_exports(struct pt *pt, uint64_t offset, struct fsrv_dirbuf *buf)
{
	for (uint64_t k = offset; k < pt->nexports; k++) {
		const struct pt_export *e = &pt->exports[k];
		struct fuse_entry_out entry;
		size_t namelen = strlen(e->name);
		bool ok;

		if (!fsrv_dirbuf_fits(buf, namelen))
			return buf->pos ? 0 : -EINVAL;
		ok = buf->plus && pt_lookup(&pt->fs, FUSE_ROOT_ID, e->name, &entry) == 0;
		fsrv_dirbuf_add(buf, e->name, namelen, e->inode->ino, e->inode->type >> 12, k + 1,
				ok ? &entry : NULL);
	}
	return 0;
}

static int read_stream(struct pt *pt, struct pt_handle *h, uint64_t offset, struct fsrv_dirbuf *buf)
{
	struct pt_dirstream *d = stream_of(pt, h);
	int r = 0;

	if (!d)
		return -ENOMEM;
	pthread_mutex_lock(&d->lock);
	if (offset != d->offset || offset == 0) {
		d->pos = d->len = 0;
		if (lseek(h->fd, (off_t)offset, SEEK_SET) < 0)
			r = -errno;
		else
			d->offset = offset;
	}
	if (r == 0)
		r = fill(pt, h->inode, h->fd, d, buf);
	pthread_mutex_unlock(&d->lock);
	return r;
}

int pt_readdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t offset,
	       struct fsrv_dirbuf *buf)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, fh, true);
	int r;

	if (!h)
		return -EBADF;
	if (!h->inode->mnt)
		r = fill_exports(pt, offset, buf);
	else
		r = read_stream(pt, h, offset, buf);
	pt_handle_put(pt, h);
	return r;
}

int pt_releasedir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh)
{
	return pt_handle_close(to_pt(fs), fh, true);
}

int pt_fsyncdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync)
{
	struct pt *pt = to_pt(fs);
	struct pt_handle *h = pt_handle_get(pt, fh, true);
	int r = 0;

	if (!h)
		return -EBADF;
	if (h->fd >= 0 && (datasync ? fdatasync(h->fd) : fsync(h->fd)) < 0)
		r = -errno;
	pt_handle_put(pt, h);
	return r;
}
