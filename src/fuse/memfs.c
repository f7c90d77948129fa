// SPDX-License-Identifier: Apache-2.0
/*
 * An in-memory file system, for tests and fuzzing of the session: every kind of node, names, data,
 * extended attributes, locks, and nothing outside the process.
 *
 * Nodes are named by slot + generation. A node lives while it has links, the client remembers it
 * (nlookup) or handles refer to it. An entry's directory offset is a number given when it was made
 * and never given again in that directory, so offsets stay valid while entries come and go. Sizes
 * are bounded (MEM_*_MAX): what a client asks for never decides what is allocated.
 *
 * Record locks are simpler than POSIX': an owner's unlock gives back whole ranges it overlaps.
 *
 * Locking: one mutex around everything.
 */
#include "fuse/memfs.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct mem_node *mem_node(struct mem *m, uint64_t nodeid)
{
	return fsrv_slots_get(&m->nodes, nodeid);
}

struct mem_node *mem_dir(struct mem *m, uint64_t nodeid, int *ret_error)
{
	struct mem_node *d = mem_node(m, nodeid);

	*ret_error = !d ? -ESTALE : !S_ISDIR(d->attr.mode) ? -ENOTDIR : d->attr.nlink ? 0 : -ENOENT;
	return *ret_error ? NULL : d;
}

static void free_node(struct mem *m, struct mem_node *n)
{
	while (n->xattrs) {
		struct mem_xattr *x = n->xattrs;

		n->xattrs = x->next;
		free(x);
	}
	while (n->locks) {
		struct mem_lock *l = n->locks;

		n->locks = l->next;
		free(l);
	}
	fsrv_slots_remove(&m->nodes, n->nodeid);
	m->nnodes--;
	free(n->data);
	free(n);
}

void mem_maybe_free(struct mem *m, struct mem_node *n)
{
	if (n != m->root && !n->attr.nlink && !n->nlookup && !n->handles)
		free_node(m, n);
}

static void now(uint64_t *sec, uint32_t *nsec)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	*sec = (uint64_t)ts.tv_sec;
	*nsec = (uint32_t)ts.tv_nsec;
}

void mem_changed(struct mem_node *n)
{
	now(&n->attr.mtime, &n->attr.mtimensec);
	n->attr.ctime = n->attr.mtime;
	n->attr.ctimensec = n->attr.mtimensec;
}

int mem_new_node(struct mem *m, uint32_t mode, const struct fuse_in_header *who,
		 struct mem_node **ret)
{
	struct mem_node *n;
	int r;

	if (m->nnodes >= MEM_NODES_MAX)
		return -ENOSPC;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	r = fsrv_slots_add(&m->nodes, n, &n->nodeid);
	if (r < 0) {
		free(n);
		return r;
	}
	m->nnodes++;
	n->attr.ino = ++m->last_ino;
	n->attr.mode = mode;
	n->attr.uid = who ? who->uid : 0;
	n->attr.gid = who ? who->gid : 0;
	n->attr.blksize = 4096;
	n->attr.nlink = S_ISDIR(mode) ? 2 : 1;
	mem_changed(n);
	n->attr.atime = n->attr.mtime;
	*ret = n;
	return 0;
}

struct mem_entry *mem_find(const struct mem_node *dir, const char *name)
{
	struct mem_entry *e = dir->entries;

	while (e && strcmp(e->name, name) != 0)
		e = e->next;
	return e;
}

void mem_fill_attr(const struct mem_node *n, struct fuse_attr *a)
{
	*a = n->attr;
	a->blocks = (a->size + 511) / 512;
}

void mem_fill_entry(struct mem_node *n, struct fuse_entry_out *out)
{
	memset(out, 0, sizeof(*out));
	out->nodeid = n->nodeid;
	fsrv_set_timeouts(out, FSRV_CACHE_AUTO);
	mem_fill_attr(n, &out->attr);
	n->nlookup++;
}

/* Put a name at the end of a directory; offsets only grow. */
static int add_entry(struct mem_node *dir, const char *name, struct mem_node *n)
{
	struct mem_entry **at = &dir->entries, *e;
	size_t size = strlen(name) + 1;

	e = malloc(sizeof(*e) + size);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, size);
	e->node = n;
	e->offset = ++dir->last_offset;
	e->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = e;
	if (S_ISDIR(n->attr.mode)) {
		n->parent = dir;
		dir->attr.nlink++;
	}
	mem_changed(dir);
	return 0;
}

static void remove_entry(struct mem_node *dir, struct mem_entry *e)
{
	struct mem_entry **at = &dir->entries;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (S_ISDIR(e->node->attr.mode))
		dir->attr.nlink--;
	free(e);
	mem_changed(dir);
}

static int mem_lookup(struct fsrv_fs *fs, uint64_t parent, const char *name,
		      struct fuse_entry_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_entry *e;
	int r;
	struct mem_node *d = mem_dir(m, parent, &r);

	if (d) {
		e = mem_find(d, name);
		if (e)
			mem_fill_entry(e->node, out);
		else
			r = -ENOENT;
	}
	return mem_leave(m, r);
}

static void mem_forget(struct fsrv_fs *fs, uint64_t nodeid, uint64_t nlookup)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);

	if (n) {
		n->nlookup -= rsm_min(n->nlookup, nlookup);
		mem_maybe_free(m, n);
	}
	mem_leave(m, 0);
}

/* A new node under a new name; the lock is held. */
int mem_make(struct mem *m, const struct fuse_in_header *who, const char *name, uint32_t mode,
	     struct mem_node **ret)
{
	struct mem_node *n;
	int r;
	struct mem_node *d = mem_dir(m, who->nodeid, &r);

	if (!d)
		return r;
	if (mem_find(d, name))
		return -EEXIST;
	r = mem_new_node(m, mode, who, &n);
	if (r < 0)
		return r;
	r = add_entry(d, name, n);
	if (r < 0) {
		n->attr.nlink = 0;
		mem_maybe_free(m, n);
		return r;
	}
	*ret = n;
	return 0;
}

static int mem_symlink(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		       const char *target, struct fuse_entry_out *out)
{
	struct mem *m = mem_enter(fs);
	char *copy = strdup(target);
	struct mem_node *n;
	int r = copy ? mem_make(m, who, name, S_IFLNK | 0777, &n) : -ENOMEM;

	if (r == 0) {
		n->data = copy;
		n->attr.size = strlen(target);
		mem_fill_entry(n, out);
	} else {
		free(copy);
	}
	return mem_leave(m, r);
}

static int mem_mknod(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		     const struct fuse_mknod_in *in, struct fuse_entry_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n;
	int r = mem_make(m, who, name, in->mode & ~in->umask, &n);

	if (r == 0) {
		n->attr.rdev = in->rdev;
		mem_fill_entry(n, out);
	}
	return mem_leave(m, r);
}

static int mem_mkdir(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
		     const struct fuse_mkdir_in *in, struct fuse_entry_out *out)
{
	const struct fuse_mknod_in node = {.mode = S_IFDIR | in->mode, .umask = in->umask};

	return mem_mknod(fs, who, name, &node, out);
}

/* Take a name away; a directory must be empty. */
static int unlink_entry(struct mem *m, struct mem_node *d, struct mem_entry *e)
{
	struct mem_node *n = e->node;

	if (S_ISDIR(n->attr.mode) && n->entries)
		return -ENOTEMPTY;
	remove_entry(d, e);
	if (S_ISDIR(n->attr.mode)) {
		n->attr.nlink = 0;
		n->parent = NULL;
	} else {
		n->attr.nlink--;
	}
	mem_maybe_free(m, n);
	return 0;
}

static int mem_remove(struct fsrv_fs *fs, uint64_t parent, const char *name, bool dir)
{
	struct mem *m = mem_enter(fs);
	struct mem_entry *e;
	int r;
	struct mem_node *d = mem_dir(m, parent, &r);

	if (d) {
		e = mem_find(d, name);
		if (!e)
			r = -ENOENT;
		else if (S_ISDIR(e->node->attr.mode) != dir)
			r = dir ? -ENOTDIR : -EISDIR;
		else
			r = unlink_entry(m, d, e);
	}
	return mem_leave(m, r);
}

static int mem_unlink(struct fsrv_fs *fs, uint64_t parent, const char *name)
{
	return mem_remove(fs, parent, name, false);
}

static int mem_rmdir(struct fsrv_fs *fs, uint64_t parent, const char *name)
{
	return mem_remove(fs, parent, name, true);
}

/* Is @d at or below @n? */
static bool is_below(const struct mem_node *d, const struct mem_node *n)
{
	while (d && d != n)
		d = d->parent;
	return d != NULL;
}

static void set_parent(struct mem_node *n, struct mem_node *from, struct mem_node *to)
{
	if (!S_ISDIR(n->attr.mode))
		return;
	from->attr.nlink--;
	to->attr.nlink++;
	n->parent = to;
}

static int exchange(struct mem_node *from, struct mem_entry *a, struct mem_node *to,
		    struct mem_entry *b)
{
	struct mem_node *n = a->node;

	if (is_below(to, a->node) || is_below(from, b->node))
		return -EINVAL;
	set_parent(a->node, from, to);
	set_parent(b->node, to, from);
	a->node = b->node;
	b->node = n;
	mem_changed(from);
	mem_changed(to);
	return 0;
}

static int do_rename(struct mem *m, struct mem_node *from, const char *oldname, struct mem_node *to,
		     const char *newname, uint32_t flags)
{
	struct mem_entry *a = mem_find(from, oldname), *b = mem_find(to, newname);
	struct mem_node *n;
	int r;

	if (!a || (!b && (flags & RENAME_EXCHANGE)))
		return -ENOENT;
	if (b && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (b && a->node == b->node)
		return 0;
	if (flags & RENAME_EXCHANGE)
		return exchange(from, a, to, b);
	n = a->node;
	if (is_below(to, n))
		return -EINVAL;
	if (b && S_ISDIR(b->node->attr.mode) != S_ISDIR(n->attr.mode))
		return S_ISDIR(n->attr.mode) ? -ENOTDIR : -EISDIR;
	if (b) {
		r = unlink_entry(m, to, b);
		if (r < 0)
			return r;
	}
	r = add_entry(to, newname, n);
	if (r < 0)
		return r;
	remove_entry(from, a);
	return 0;
}

static int mem_rename(struct fsrv_fs *fs, uint64_t olddir, const char *oldname, uint64_t newdir,
		      const char *newname, uint32_t flags)
{
	struct mem *m = mem_enter(fs);
	int r;
	struct mem_node *from = mem_dir(m, olddir, &r), *to = from ? mem_dir(m, newdir, &r) : NULL;

	if (to)
		r = do_rename(m, from, oldname, to, newname, flags);
	return mem_leave(m, r);
}

static int mem_link(struct fsrv_fs *fs, uint64_t nodeid, uint64_t newdir, const char *newname,
		    struct fuse_entry_out *out)
{
	struct mem *m = mem_enter(fs);
	struct mem_node *n = mem_node(m, nodeid);
	int r;
	struct mem_node *d = mem_dir(m, newdir, &r);

	if (!d)
		return mem_leave(m, r);
	if (!n)
		r = -ESTALE;
	else if (S_ISDIR(n->attr.mode))
		r = -EPERM;
	else if (mem_find(d, newname))
		r = -EEXIST;
	else
		r = add_entry(d, newname, n);
	if (r == 0) {
		n->attr.nlink++;
		mem_fill_entry(n, out);
	}
	return mem_leave(m, r);
}

/* ------------------------------------------------------------------ directories */

static int mem_opendir(struct fsrv_fs *fs, uint64_t nodeid, struct fuse_open_out *out)
{
	struct mem *m = mem_enter(fs);
	int r;
	struct mem_node *d = mem_dir(m, nodeid, &r);

	if (d)
		r = mem_open_node(m, d, O_RDONLY, &out->fh);
	return mem_leave(m, r);
}

static int mem_readdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t offset,
		       struct fsrv_dirbuf *buf)
{
	struct mem *m = mem_enter(fs);
	struct mem_handle *h = fsrv_slots_get(&m->handles, fh);
	struct fuse_entry_out entry;
	int r = 0;

	if (!h || !S_ISDIR(h->node->attr.mode))
		return mem_leave(m, -EBADF);
	for (const struct mem_entry *e = h->node->entries; e; e = e->next) {
		size_t namelen = strlen(e->name);

		if (e->offset <= offset)
			continue;
		if (!fsrv_dirbuf_fits(buf, namelen)) {
			r = buf->pos ? 0 : -EINVAL;
			break;
		}
		if (buf->plus)
			mem_fill_entry(e->node, &entry);
		fsrv_dirbuf_add(buf, e->name, namelen, e->node->attr.ino, e->node->attr.mode >> 12,
				e->offset, buf->plus ? &entry : NULL);
	}
	return mem_leave(m, r);
}

static int mem_releasedir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh)
{
	struct mem *m = mem_enter(fs);

	return mem_leave(m, mem_close(m, fh, true));
}

static int mem_fsyncdir(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, bool datasync)
{
	struct mem *m = mem_enter(fs);

	return mem_leave(m, fsrv_slots_get(&m->handles, fh) ? 0 : -EBADF);
}

/* ------------------------------------------------------------------ the file system */

static void mem_reset(struct fsrv_fs *fs)
{
	struct mem *m = mem_enter(fs);

	for (uint32_t s = 0; s < m->handles.n; s++) {
		struct mem_handle *h = m->handles.slot[s].object;

		if (h)
			mem_close(m, h->fh, S_ISDIR(h->node->attr.mode));
	}
	for (uint32_t s = 0; s < m->nodes.n; s++) {
		struct mem_node *n = m->nodes.slot[s].object;

		if (n) {
			n->nlookup = 0;
			mem_maybe_free(m, n);
		}
	}
	mem_leave(m, 0);
}

static void mem_free(struct fsrv_fs *fs)
{
	struct mem *m = rsm_container_of(fs, struct mem, fs);

	mem_reset(fs);
	for (uint32_t s = 0; s < m->nodes.n; s++) {
		struct mem_node *n = m->nodes.slot[s].object;

		while (n && n->entries) {
			struct mem_entry *e = n->entries;

			n->entries = e->next;
			free(e);
		}
		if (n)
			free_node(m, n);
	}
	fsrv_slots_free(&m->nodes);
	fsrv_slots_free(&m->handles);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* The members that memfs_node.c does not fill in. */
static const struct fsrv_ops name_ops = {
	.free = mem_free,
	.reset = mem_reset,
	.lookup = mem_lookup,
	.forget = mem_forget,
	.symlink = mem_symlink,
	.mknod = mem_mknod,
	.mkdir = mem_mkdir,
	.unlink = mem_unlink,
	.rmdir = mem_rmdir,
	.rename = mem_rename,
	.link = mem_link,
	.opendir = mem_opendir,
	.readdir = mem_readdir,
	.releasedir = mem_releasedir,
	.fsyncdir = mem_fsyncdir,
};

int fsrv_memfs_new(struct fsrv_fs **ret)
{
	struct mem *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->ops = name_ops;
	mem_node_ops(&m->ops);
	m->fs.ops = &m->ops;
	pthread_mutex_init(&m->lock, NULL);
	r = mem_new_node(m, S_IFDIR | 0755, NULL, &m->root);
	if (r < 0) {
		mem_free(&m->fs);
		return r;
	}
	*ret = &m->fs;
	return 0;
}
