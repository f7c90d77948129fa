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
