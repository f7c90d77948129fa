// SPDX-License-Identifier: Apache-2.0
/* Passthrough: LOOKUP and READLINK. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>

/* LOOKUP in the synthetic root */
static int lookup_export(struct pt *pt, const char *name, struct fuse_entry_out *out)
{
	for (size_t k = 0; k < pt->nexports; k++) {
		const struct pt_export *e = &pt->exports[k];
		struct statx st;

		if (strcmp(e->name, name) != 0)
			continue;
		if (statx(e->fd, "", AT_EMPTY_PATH, PT_STATX_MASK, &st) < 0)
			return -errno;
		pt_lock(pt);
		e->inode->nlookup++;
		pt_fill_entry(pt, pt->root, e->inode, &st, out);
		pt_unlock(pt);
		return 0;
	}
	return -ENOENT;
}

int pt_lookup(struct fsrv_fs *fs, uint64_t parent, const char *name, struct fuse_entry_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *dir;
	struct statx st;
	int fd, r;

	r = pt_get_dir(pt, parent, false, &dir, &fd);
	if (r < 0)
		return r;
	if (!dir->mnt) {
		r = lookup_export(pt, name, out);
	} else if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, PT_STATX_MASK, &st) ==
		   0) {
		r = pt_enter(pt, dir, name, &st, -1, out, NULL);
	} else {
		r = -errno;
		if (r == -ENOENT && dir->mnt->cache >= FSRV_CACHE_MOSTLY) {
			/* hardly anybody but the guest will make it: remember that it is not there */
			memset(out, 0, sizeof(*out));
			fsrv_set_timeouts(out, dir->mnt->cache);
			r = 0;
		}
	}
	pt_put(pt, dir);
	return r;
}

ssize_t pt_readlink(struct fsrv_fs *fs, uint64_t nodeid, char *buf, size_t size)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	struct pt_at at;
	ssize_t r;

	r = pt_get_node(pt, nodeid, false, &i);
	if (r < 0)
		return r == -EOPNOTSUPP ? -EINVAL : r;
	r = S_ISLNK(i->type) ? pt_at(pt, i, PT_AT_NAME, &at) : -EINVAL;
	if (r == 0) {
		r = readlinkat(at.fd, at.name, buf, size);
		if (r < 0) /* something else has that name by now, or nothing */
			r = at.parent && (errno == EINVAL || errno == ENOENT) ? -ESTALE : -errno;
		pt_at_done(pt, &at);
	}
	pt_put(pt, i);
	return r;
}
