// SPDX-License-Identifier: Apache-2.0
/* Passthrough: attributes, access, file system statistics. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>

/* statx by the handle if the request names one, by the node otherwise */
static int stat_by(struct pt *pt, struct pt_inode *i, bool by_handle, uint64_t fh, unsigned mask,
		   struct statx *st)
{
	struct pt_handle *h;
	int r;

	if (!i->mnt) {
		*st = (struct statx){
			.stx_mask = STATX_BASIC_STATS,
			.stx_mode = S_IFDIR | 0755,
			.stx_ino = 1,
			.stx_nlink = 2,
			.stx_blksize = 4096,
		};
		return 0;
	}
	if (!by_handle)
		return pt_stat(pt, i, mask, st);
	h = pt_handle_get(pt, fh, S_ISDIR(i->type));
	if (!h)
		return -EBADF;
	if (h->inode != i)
		r = -EBADF;
	else
		r = statx(h->fd, "", AT_EMPTY_PATH, mask, st) < 0 ? -errno : 0;
	pt_handle_put(pt, h);
	return r;
}

static void fill_attr_out(const struct pt_inode *i, const struct statx *st,
			  struct fuse_attr_out *out)
{
	struct fuse_entry_out e;

	fsrv_set_timeouts(&e, i->mnt ? i->mnt->cache : FSRV_CACHE_ALWAYS);
	out->attr_valid = e.attr_valid;
	out->attr_valid_nsec = e.attr_valid_nsec;
	out->dummy = 0;
	pt_fill_attr(i->mnt, st, &out->attr);
}

int pt_getattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_getattr_in *in,
	       struct fuse_attr_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i = pt_get(pt, nodeid);
	struct statx st;
	int r;

	if (!i)
		return -ESTALE;
	r = stat_by(pt, i, in->getattr_flags & FUSE_GETATTR_FH, in->fh, STATX_BASIC_STATS, &st);
	if (r == 0)
		fill_attr_out(i, &st, out);
	pt_put(pt, i);
	return r;
}

static struct fuse_sx_time sx_time(const struct statx_timestamp *t)
{
	return (struct fuse_sx_time){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

int pt_statx(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_statx_in *in,
	     struct fuse_statx_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i = pt_get(pt, nodeid);
	struct fuse_attr_out attr;
	struct statx st;
	int r;

	if (!i)
		return -ESTALE;
	r = stat_by(pt, i, in->getattr_flags & FUSE_GETATTR_FH, in->fh,
		    STATX_BASIC_STATS | (in->sx_mask & STATX_BTIME), &st);
	if (r == 0) {
		fill_attr_out(i, &st, &attr);
		out->attr_valid = attr.attr_valid;
		out->attr_valid_nsec = attr.attr_valid_nsec;
		out->stat = (struct fuse_statx){
			.mask = st.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
			.blksize = st.stx_blksize,
			.attributes = st.stx_attributes,
			.attributes_mask = st.stx_attributes_mask,
			.nlink = st.stx_nlink,
			.uid = st.stx_uid,
			.gid = st.stx_gid,
			.mode = st.stx_mode,
			.ino = attr.attr.ino,
			.size = st.stx_size,
			.blocks = st.stx_blocks,
			.atime = sx_time(&st.stx_atime),
			.btime = sx_time(&st.stx_btime),
			.ctime = sx_time(&st.stx_ctime),
			.mtime = sx_time(&st.stx_mtime),
			.rdev_major = st.stx_rdev_major,
			.rdev_minor = st.stx_rdev_minor,
		};
	}
	pt_put(pt, i);
	return r;
}

/* ------------------------------------------------------------------ SETATTR */

static int set_mode(struct pt *pt, const struct pt_inode *i, const struct pt_at *at, uint32_t mode)
{
	if (S_ISLNK(i->type))
		return -EOPNOTSUPP;
	if (at->handle)
		return fchmod(at->fd, mode & 07777) < 0 ? -errno : 0;
	return pt_chmod(pt, at->fd, mode & 07777);
}

static int set_owner(const struct pt_at *at, const struct fuse_setattr_in *in)
{
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	return fchownat(at->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_times(const struct pt_at *at, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {
		{.tv_sec = (time_t)in->atime, .tv_nsec = in->atimensec},
		{.tv_sec = (time_t)in->mtime, .tv_nsec = in->mtimensec},
	};

	if (in->valid & FATTR_ATIME_NOW)
		ts[0].tv_nsec = UTIME_NOW;
	else if (!(in->valid & FATTR_ATIME))
		ts[0].tv_nsec = UTIME_OMIT;
	else if (in->atimensec > 999999999)
		return -EINVAL;
	if (in->valid & FATTR_MTIME_NOW)
		ts[1].tv_nsec = UTIME_NOW;
	else if (!(in->valid & FATTR_MTIME))
		ts[1].tv_nsec = UTIME_OMIT;
	else if (in->mtimensec > 999999999)
		return -EINVAL;
	if (utimensat(at->fd, "", ts, AT_EMPTY_PATH) == 0)
		return 0;
	/* overlayfs cannot copy up a file of a lower layer that has lost its name, and says so with
	 * this error. The guest sends such a file's times when it is closed, and would report a
	 * failure as an I/O error of close(); nobody can see the times any more. */
	return errno == EEXIST ? 0 : -errno;
}

static int truncate_fd(int fd, const struct fuse_setattr_in *in)
{
	int r = in->valid & FATTR_KILL_SUIDGID ? pt_kill_suidgid(fd) : 0;

	return r == 0 && ftruncate(fd, (off_t)in->size) < 0 ? -errno : r;
}

static int set_size(struct pt *pt, struct pt_inode *i, const struct fuse_setattr_in *in)
{
	struct pt_handle *h;
	int fd, r;

	if (in->size > INT64_MAX)
		return -EFBIG;
	if (in->valid & FATTR_FH) {
		h = pt_handle_get(pt, in->fh, false);
		if (!h)
			return -EBADF;
		r = h->inode == i ? truncate_fd(h->fd, in) : -EBADF;
		pt_handle_put(pt, h);
		return r;
	}
	fd = pt_open_inode(pt, i, O_WRONLY);
	if (fd < 0)
		return fd;
	r = truncate_fd(fd, in);
	close(fd);
	return r;
}

/* In the order in which a change does not undo an earlier one: owner (clears set-id bits), mode,
 * size (sets mtime), times. */
static int change(struct pt *pt, struct pt_inode *i, const struct fuse_setattr_in *in,
		  struct statx *st)
{
	const uint32_t times = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW;
	struct pt_at at;
	int r = pt_at(pt, i, 0, &at);
	bool known;

	if (r < 0)
		return r;
	known = pt_contents_are_known(i, at.fd);
	if (in->valid & (FATTR_UID | FATTR_GID))
		r = set_owner(&at, in);
	if (r == 0 && (in->valid & FATTR_MODE))
		r = set_mode(pt, i, &at, in->mode);
	if (r == 0 && (in->valid & FATTR_SIZE))
		r = set_size(pt, i, in);
	if (r == 0 && (in->valid & times))
		r = set_times(&at, in);
	if (r == 0 && statx(at.fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, st) < 0)
		r = -errno;
	if (known)
		pt_contents_known(i, at.fd);
	pt_at_done(pt, &at);
	return r;
}

int pt_setattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_setattr_in *in,
	       struct fuse_attr_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct statx st;
	int r = pt_get_node(pt, nodeid, true, &i);

	if (r < 0)
		return r;
	r = change(pt, i, in, &st);
	if (r == 0)
		fill_attr_out(i, &st, out);
	pt_put(pt, i);
	return r;
}

/* ------------------------------------------------------------------ access, file system */

/* The guest checks permissions by itself, ACLs included; this is for those that do not: mode bits
 * against the uid and gid of the request. */
int pt_access(struct fsrv_fs *fs, const struct fuse_in_header *who, uint32_t mask)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i = pt_get(pt, who->nodeid);
	struct statx st;
	uint32_t bits;
	int r;

	if (!i)
		return -ESTALE;
	r = stat_by(pt, i, false, 0, STATX_BASIC_STATS, &st);
	if (r == 0 && (mask & W_OK) && (!i->mnt || i->mnt->readonly) &&
	    (S_ISREG(i->type) || S_ISDIR(i->type)))
		r = -EROFS;
	pt_put(pt, i);
	if (r < 0)
		return r;
	if (who->uid == 0)
		bits = R_OK | W_OK | (S_ISDIR(st.stx_mode) || (st.stx_mode & 0111) ? X_OK : 0);
	else if (who->uid == st.stx_uid)
		bits = st.stx_mode >> 6;
	else if (who->gid == st.stx_gid)
		bits = st.stx_mode >> 3;
	else
		bits = st.stx_mode;
	return (mask & (R_OK | W_OK | X_OK) & ~bits) ? -EACCES : 0;
}

int pt_statfs(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_kstatfs *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i = pt_get(pt, nodeid);
	struct statfs f;
	int fd, r = 0;

	if (!i)
		return -ESTALE;
	out->bsize = out->frsize = 4096;
	out->namelen = NAME_MAX;
	if (i->mnt) {
		fd = pt_fd(pt, i);
		if (fd < 0)
			r = fd;
		else if (fstatfs(fd, &f) < 0)
			r = -errno;
		else
			*out = (struct fuse_kstatfs){
				.blocks = f.f_blocks,
				.bfree = f.f_bfree,
				.bavail = f.f_bavail,
				.files = f.f_files,
				.ffree = f.f_ffree,
				.bsize = (uint32_t)f.f_bsize,
				.namelen = (uint32_t)f.f_namelen,
				.frsize = (uint32_t)f.f_frsize,
			};
	}
	pt_put(pt, i);
	return r;
}

static int sync_export(struct pt *pt, const struct pt_export *e)
{
	_cleanup_close_ int fd = S_ISDIR(e->inode->type)
					 ? openat(e->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
					 : pt_reopen(pt, e->fd, O_RDONLY);

	if (fd < 0)
		return errno ? -errno : -EIO;
	return syncfs(fd) < 0 ? -errno : 0;
}

static bool nothing_to_sync(const struct pt_export *e)
{
	return e->readonly && !e->top_only;
}

int pt_syncfs(struct fsrv_fs *fs, uint64_t nodeid)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i = pt_get(pt, nodeid);
	int r = 0, one;

	if (!i)
		return -ESTALE;
	if (i->mnt) {
		r = nothing_to_sync(i->mnt->export) ? 0 : sync_export(pt, i->mnt->export);
	} else {
		for (size_t k = 0; k < pt->nexports; k++) {
			one = nothing_to_sync(&pt->exports[k]) ? 0
							       : sync_export(pt, &pt->exports[k]);
			r = r < 0 ? r : one;
		}
	}
	pt_put(pt, i);
	return r;
}
