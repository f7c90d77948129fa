// SPDX-License-Identifier: Apache-2.0
/* In-memory file system: what happens to one node. */
#include "fuse/memfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/xattr.h>
#include <unistd.h>

/* ------------------------------------------------------------------ handles */

int mem_open_node(struct mem *m, struct mem_node *n, int accmode, uint64_t *ret_fh)
{
	struct mem_handle *h;
	int r;

	if (m->nhandles >= MEM_OPEN_MAX)
		return -ENFILE;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = fsrv_slots_add(&m->handles, h, &h->fh);
	if (r < 0) {
		free(h);
		return r;
	}
	h->node = n;
	h->accmode = accmode;
	n->handles++;
	m->nhandles++;
	*ret_fh = h->fh;
	return 0;
}

int mem_close(struct mem *m, uint64_t fh, bool dir)
{
	struct mem_handle *h = fsrv_slots_get(&m->handles, fh);

	if (!h || S_ISDIR(h->node->attr.mode) != dir)
		return -EBADF;
	fsrv_slots_remove(&m->handles, fh);
	m->nhandles--;
	h->node->handles--;
	mem_maybe_free(m, h->node);
	free(h);
	return 0;
}

/* An open regular file; NULL unless it is open for @accmode (O_RDONLY or O_WRONLY) */
static struct mem_handle *file(struct mem *m, uint64_t fh, int accmode)
{
	struct mem_handle *h = fsrv_slots_get(&m->handles, fh);

	if (!h || !S_ISREG(h->node->attr.mode))
		return NULL;
	return h->accmode == O_RDWR || h->accmode == accmode ? h : NULL;
}

/* ------------------------------------------------------------------ data */

/* Make @size bytes writable; new ones are zero. */
static int resize(struct mem_node *n, uint64_t size)
{
	char *data;
	size_t room;

	if (size > MEM_FILE_MAX)
		return -EFBIG;
	if (size > n->room) {
		room = rsm_max((size_t)size, n->room * 2);
		room = rsm_min(room, (size_t)MEM_FILE_MAX);
		data = realloc(n->data, room);
		if (!data)
			return -ENOMEM;
		n->data = data;
		n->room = room;
	}
	if (size > n->attr.size)
		memset(n->data + n->attr.size, 0, size - n->attr.size);
	n->attr.size = size;
	mem_changed(n);
	return 0;
}

static int do_open(struct mem *m, struct mem_node *n, uint32_t flags, struct fuse_open_out *out)
{
	int r = 0;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (!S_ISREG(n->attr.mode))
		return S_ISDIR(n->attr.mode) ? -EISDIR : -ENXIO;
	if (flags & O_TRUNC)
		r = resize(n, 0);
	return r < 0 ? r : mem_open_node(m, n, (int)(flags & O_ACCMODE), &out->fh);
}

static int mem_open(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_open_in *in,
		    struct fuse_open_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);

	return mem_leave(m, n ? do_open(m, n, in->flags, out) : -ESTALE);
}

static int mem_create(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		      const struct fuse_create_in *in, struct fuse_entry_out *entry,
		      struct fuse_open_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = NULL;
	struct mem_entry *e;
	int r;
	struct mem_node *d = mem_dir(m, who->nodeid, &r);

	if (!d)
		return mem_leave(m, r);
	e = mem_find(d, name);
	if (e && (in->flags & O_EXCL))
		return mem_leave(m, -EEXIST);
	if (e)
		n = e->node;
	else
		r = mem_make(m, who, name, S_IFREG | (in->mode & 07777 & ~in->umask), &n);
	if (r == 0)
		r = do_open(m, n, in->flags, out);
	if (r == 0)
		mem_fill_entry(n, entry);
	return mem_leave(m, r);
}

static int mem_tmpfile(struct fsrv_fs *fs, const struct fuse_in_header *who,
		       const struct fuse_create_in *in, struct fuse_entry_out *entry,
		       struct fuse_open_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n;
	int r;

	if (!mem_dir(m, who->nodeid, &r))
		return mem_leave(m, r);
	r = mem_new_node(m, S_IFREG | (in->mode & 07777 & ~in->umask), who, &n);
	if (r < 0)
		return mem_leave(m, r);
	n->attr.nlink = 0;
	r = do_open(m, n, in->flags, out);
	if (r == 0)
		mem_fill_entry(n, entry);
	else
		mem_maybe_free(m, n);
	return mem_leave(m, r);
}

static int mem_release(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_release_in *in)
{
	struct mem *m = mem_enter(fs);

	return mem_leave(m, mem_close(m, in->fh, false));
}

static ssize_t mem_read(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_read_in *in,
			const struct iovec *iov, unsigned n)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = file(m, in->fh, O_RDONLY);
	size_t done = 0;

	if (!h)
		return mem_leave(m, -EBADF);
	for (unsigned i = 0; i < n && in->offset + done < h->node->attr.size; i++) {
		size_t len = rsm_min(iov[i].iov_len, h->node->attr.size - (in->offset + done));

		memcpy(iov[i].iov_base, h->node->data + in->offset + done, len);
		done += len;
	}
	return mem_leave(m, (int)done);
}

static ssize_t mem_write(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_write_in *in,
			 const struct iovec *iov, unsigned n)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = file(m, in->fh, O_WRONLY);
	uint64_t at = in->offset;
	int r = 0;

	if (!h)
		return mem_leave(m, -EBADF);
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (at + iov[i].iov_len > h->node->attr.size)
			r = resize(h->node, at + iov[i].iov_len);
		if (r == 0 && iov[i].iov_len)
			memcpy(h->node->data + at, iov[i].iov_base, iov[i].iov_len);
		if (r == 0)
			at += iov[i].iov_len;
	}
	mem_changed(h->node);
	return mem_leave(m, at > in->offset ? (int)(at - in->offset) : r);
}

static int mem_fsync(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync)
{
	struct mem *m = mem_enter(fs);

	return mem_leave(m, fsrv_slots_get(&m->handles, fh) ? 0 : -EBADF);
}

static int mem_lseek(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lseek_in *in,
		     uint64_t *ret)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = fsrv_slots_get(&m->handles, in->fh);
	int r = 0;

	if (!h || !S_ISREG(h->node->attr.mode))
		r = -EBADF;
	else if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		r = -EINVAL;
	else if (in->offset >= h->node->attr.size)
		r = -ENXIO;
	else
		*ret = in->whence == SEEK_DATA ? in->offset : h->node->attr.size;
	return mem_leave(m, r);
}

static int mem_fallocate(struct fsrv_fs *fs, const struct fuse_in_header *who,
			 const struct fuse_fallocate_in *in)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = file(m, in->fh, O_WRONLY);
	uint64_t end, size;
	int r = 0;

	if (!h)
		return mem_leave(m, -EBADF);
	size = h->node->attr.size;
	if (!in->length || !rsm_add(in->offset, in->length, &end))
		r = -EINVAL;
	else if (in->mode == 0)
		r = end > size ? resize(h->node, end) : 0;
	else if (in->mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) && in->offset < size)
		memset(h->node->data + in->offset, 0, rsm_min(end, size) - in->offset);
	else if (in->mode & ~(uint32_t)(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		r = -EOPNOTSUPP;
	return mem_leave(m, r);
}

static ssize_t mem_copy_file_range(struct fsrv_fs *fs, const struct fuse_in_header *who,
				   const struct fuse_copy_file_range_in *in)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *from = file(m, in->fh_in, O_RDONLY), *to = file(m, in->fh_out, O_WRONLY);
	size_t len;
	int r = 0;

	if (!from || !to)
		return mem_leave(m, -EBADF);
	if (in->off_in >= from->node->attr.size)
		return mem_leave(m, 0);
	len = rsm_min(in->len, from->node->attr.size - in->off_in);
	if (in->off_out + len > to->node->attr.size)
		r = resize(to->node, in->off_out + len);
	if (r == 0)
		memmove(to->node->data + in->off_out, from->node->data + in->off_in, len);
	return mem_leave(m, r < 0 ? r : (int)len);
}

/* ------------------------------------------------------------------ attributes */

static int mem_getattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_getattr_in *in,
		       struct fuse_attr_out *out)
{
	struct mem *m = mem_enter(fs);
	const struct mem_node *n = mem_node(m, nodeid);

	if (!n)
		return mem_leave(m, -ESTALE);
	*out = (struct fuse_attr_out){.attr_valid = 1};
	mem_fill_attr(n, &out->attr);
	return mem_leave(m, 0);
}

static int mem_setattr(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_setattr_in *in,
		       struct fuse_attr_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	int r = 0;

	if (!n)
		return mem_leave(m, -ESTALE);
	if (in->valid & FATTR_SIZE)
		r = S_ISREG(n->attr.mode) ? resize(n, in->size) : -EINVAL;
	if (r < 0)
		return mem_leave(m, r);
	if (in->valid & FATTR_MODE)
		n->attr.mode = (n->attr.mode & S_IFMT) | (in->mode & 07777);
	if (in->valid & FATTR_UID)
		n->attr.uid = in->uid;
	if (in->valid & FATTR_GID)
		n->attr.gid = in->gid;
	if (in->valid & FATTR_ATIME) {
		n->attr.atime = in->atime;
		n->attr.atimensec = in->atimensec;
	}
	if (in->valid & FATTR_MTIME) {
		n->attr.mtime = in->mtime;
		n->attr.mtimensec = in->mtimensec;
	}
	*out = (struct fuse_attr_out){.attr_valid = 1};
	mem_fill_attr(n, &out->attr);
	return mem_leave(m, 0);
}

static ssize_t mem_readlink(struct fsrv_fs *fs, uint64_t nodeid, char *buf, size_t size)
{
	struct mem *m = mem_enter(fs);
	const struct mem_node *n = mem_node(m, nodeid);
	int r = !n ? -ESTALE : S_ISLNK(n->attr.mode) ? 0 : -EINVAL;

	if (r == 0) {
		r = (int)rsm_min(size, (size_t)n->attr.size);
		memcpy(buf, n->data, (size_t)r);
	}
	return mem_leave(m, r);
}

static int mem_statfs(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_kstatfs *out)
{
	*out = (struct fuse_kstatfs){
		.bsize = 4096, .frsize = 4096, .namelen = 255, .files = MEM_NODES_MAX};
	return 0;
}

/* ------------------------------------------------------------------ extended attributes */

static struct mem_xattr **find_xattr(struct mem_node *n, const char *name)
{
	struct mem_xattr **at = &n->xattrs;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static int mem_setxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, const void *value,
			size_t size, uint32_t flags, bool kill_sgid)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	size_t namesize = strlen(name) + 1;
	struct mem_xattr **at, *x;
	unsigned count = 0;

	if (!n)
		return mem_leave(m, -ESTALE);
	at = find_xattr(n, name);
	if (flags & (*at ? XATTR_CREATE : XATTR_REPLACE))
		return mem_leave(m, *at ? -EEXIST : -ENODATA);
	for (x = n->xattrs; x; x = x->next)
		count++;
	if (count >= MEM_XATTRS_MAX && !*at)
		return mem_leave(m, -ENOSPC);
	x = malloc(sizeof(*x) + namesize + size);
	if (!x)
		return mem_leave(m, -ENOMEM);
	memcpy(x->name, name, namesize);
	x->value = x->name + namesize;
	x->size = size;
	memcpy(x->value, value, size);
	x->next = *at ? (*at)->next : NULL;
	free(*at);
	*at = x;
	return mem_leave(m, 0);
}

static ssize_t mem_getxattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name, void *value,
			    size_t size)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	const struct mem_xattr *x = n ? *find_xattr(n, name) : NULL;
	int r;

	if (!n)
		r = -ESTALE;
	else if (!x)
		r = -ENODATA;
	else if (size && x->size > size)
		r = -ERANGE;
	else
		r = (int)x->size;
	if (r > 0 && size)
		memcpy(value, x->value, x->size);
	return mem_leave(m, r);
}

static ssize_t mem_listxattr(struct fsrv_fs *fs, uint64_t nodeid, char *list, size_t size)
{
	struct mem *m = mem_enter(fs);
	const struct mem_node *n = mem_node(m, nodeid);
	size_t done = 0;

	if (!n)
		return mem_leave(m, -ESTALE);
	for (const struct mem_xattr *x = n->xattrs; x; x = x->next) {
		size_t len = strlen(x->name) + 1;

		if (size && done + len > size)
			return mem_leave(m, -ERANGE);
		if (size)
			memcpy(list + done, x->name, len);
		done += len;
	}
	return mem_leave(m, (int)done);
}

static int mem_removexattr(struct fsrv_fs *fs, uint64_t nodeid, const char *name)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	struct mem_xattr **at, *x;

	if (!n)
		return mem_leave(m, -ESTALE);
	at = find_xattr(n, name);
	x = *at;
	if (!x)
		return mem_leave(m, -ENODATA);
	*at = x->next;
	free(x);
	return mem_leave(m, 0);
}

/* ------------------------------------------------------------------ locks */

static bool overlaps(const struct mem_lock *l, const struct fuse_lk_in *in)
{
	return l->flock == !!(in->lk_flags & FUSE_LK_FLOCK) && l->lk.start <= in->lk.end &&
	       in->lk.start <= l->lk.end;
}

static const struct mem_lock *conflict(const struct mem_node *n, const struct fuse_lk_in *in)
{
	for (const struct mem_lock *l = n->locks; l; l = l->next)
		if (l->owner != in->owner && overlaps(l, in) &&
		    (l->lk.type == F_WRLCK || in->lk.type == F_WRLCK))
			return l;
	return NULL;
}

/* Give back what @in overlaps, or everything of the owner. Return: how many are left on the node */
static unsigned give_back(struct mem_node *n, uint64_t owner, const struct fuse_lk_in *in)
{
	struct mem_lock **at = &n->locks, *l;
	unsigned left = 0;

	while ((l = *at)) {
		if (l->owner == owner && (in ? overlaps(l, in) : !l->flock)) {
			*at = l->next;
			free(l);
		} else {
			at = &l->next;
			left++;
		}
	}
	return left;
}

static int mem_getlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in,
		     struct fuse_file_lock *out)
{
	struct mem *m = mem_enter(fs);
	const struct mem_node *n = mem_node(m, nodeid);
	const struct mem_lock *l;

	if (!n)
		return mem_leave(m, -ESTALE);
	l = conflict(n, in);
	*out = l ? l->lk : (struct fuse_file_lock){.type = F_UNLCK};
	return mem_leave(m, 0);
}

static int mem_setlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	struct mem_lock *l;

	if (!n)
		return mem_leave(m, -ESTALE);
	if (in->lk.type != F_UNLCK && conflict(n, in))
		return mem_leave(m, -EAGAIN);
	if (give_back(n, in->owner, in) >= MEM_LOCKS_MAX)
		return mem_leave(m, -ENOLCK);
	if (in->lk.type == F_UNLCK)
		return mem_leave(m, 0);
	l = malloc(sizeof(*l));
	if (!l)
		return mem_leave(m, -ENOMEM);
	*l = (struct mem_lock){.next = n->locks,
			       .owner = in->owner,
			       .lk = in->lk,
			       .flock = in->lk_flags & FUSE_LK_FLOCK};
	n->locks = l;
	return mem_leave(m, 0);
}

static int mem_flush(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_flush_in *in)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = fsrv_slots_get(&m->handles, in->fh);

	if (!h)
		return mem_leave(m, -EBADF);
	give_back(h->node, in->lock_owner, NULL);
	return mem_leave(m, 0);
}

void mem_node_ops(struct fsrv_ops *ops)
{
	ops->getattr = mem_getattr;
	ops->setattr = mem_setattr;
	ops->readlink = mem_readlink;
	ops->statfs = mem_statfs;
	ops->open = mem_open;
	ops->create = mem_create;
	ops->tmpfile = mem_tmpfile;
	ops->read = mem_read;
	ops->write = mem_write;
	ops->flush = mem_flush;
	ops->release = mem_release;
	ops->fsync = mem_fsync;
	ops->lseek = mem_lseek;
	ops->fallocate = mem_fallocate;
	ops->copy_file_range = mem_copy_file_range;
	ops->setxattr = mem_setxattr;
	ops->getxattr = mem_getxattr;
	ops->listxattr = mem_listxattr;
	ops->removexattr = mem_removexattr;
	ops->getlk = mem_getlk;
	ops->setlk = mem_setlk;
}
