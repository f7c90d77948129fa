// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: the inode table.
 *
 * Goal: give the guest stable node ids for host inodes, find an inode again at the cost of as few
 * system calls as possible, and never reach anything but the exported trees.
 *
 * A node is a host inode {mount, st_dev, st_ino, file type}; its id is slot + generation. It is
 *found by id (slots), by identity (hash by_id) and by the name it was last seen under (hash
 *by_name).
 *
 *	                       ┌ fd: O_PATH, opened when needed, given up when there are many
 *	node id ──▶ inode ─────┤
 *	                       └ (parent inode, name): where it was last seen
 *
 * Two ways lead from a node to the host inode. By fd: certain, but an fd each is too many (a guest
 * that caches a tree of 100,000 files would need as many) and opening it doubles the cost of
 *LOOKUP. By name: one call on (fd of the parent, name), which never follows a symlink, and a
 *comparison of the identity afterwards; a difference is ESTALE, and the guest looks the name up
 *again. So a new node has no fd; a directory gets one when something is looked up in it, any node
 *on its second use. All names come from the guest through us, so we know of each change it makes:
 *before a name is removed or replaced the node that relies on it gets its fd, after a rename it
 *relies on the new one. Names changed behind our back, on the host, are what the comparison is for.
 *
 * When there are more than max_fds O_PATH fds, a clock hand goes over the slots and closes those
 *not used since its last round that can be found by name again.
 *
 * Life: a node is freed when the guest has forgotten it (nlookup), nothing refers to it (refs:
 * children it is the parent of, handles) and no request uses it (busy). An id the guest kept is
 *then not found any more (ESTALE).
 *
 * Path safety: a name is one component, checked by the session, never "." or ".."; O_NOFOLLOW or
 * AT_SYMLINK_NOFOLLOW in every call, so a path of length one can only lead to an entry of that very
 * directory. A device, fifo or socket is never opened: only nodes of type regular file and
 *directory are, and by name only on a nodev mount.
 *
 * Locking: pt->lock for everything but inode->fd, which is set once under the lock and read without
 * it by whoever holds the inode busy; it is closed only while nobody does.
 */
#include "fuse/pt.h"

#include <errno.h>
#include <sys/sysmacros.h>

#define BUCKETS_FIRST 1024U
#define CHUNK         64

struct pt_chunk {
	struct pt_chunk *next;
	struct pt_inode inodes[CHUNK];
};

/* ------------------------------------------------------------------ hashes */

static uint32_t hash_id(const struct pt *pt, const struct pt_mount *mnt, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev << 32 ^ (uintptr_t)mnt) * 0x9e3779b97f4a7c15ULL;

	return (uint32_t)(h >> 32) & (pt->buckets - 1);
}

/* FNV-1a; the bucket is the low bits */
static uint32_t hash_name(const struct pt_inode *parent, const char *name)
{
	uint32_t h = 2166136261U ^ (uint32_t)((uintptr_t)parent >> 5);

	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		h = (h ^ *p) * 16777619U;
	return h ^ h >> 15;
}

static void link_id(struct pt *pt, struct pt_inode *i)
{
	struct pt_inode **b = &pt->by_id[hash_id(pt, i->mnt, i->dev, i->ino)];

	i->id_next = *b;
	*b = i;
}

static void link_name(struct pt *pt, struct pt_inode *i)
{
	struct pt_inode **b = &pt->by_name[i->name_hash & (pt->buckets - 1)];

	i->name_next = *b;
	*b = i;
}

static void unlink_id(struct pt *pt, struct pt_inode *i)
{
	struct pt_inode **at = &pt->by_id[hash_id(pt, i->mnt, i->dev, i->ino)];

	while (*at != i)
		at = &(*at)->id_next;
	*at = i->id_next;
}

static void unlink_name(struct pt *pt, struct pt_inode *i)
{
	struct pt_inode **at = &pt->by_name[i->name_hash & (pt->buckets - 1)];

	while (*at != i)
		at = &(*at)->name_next;
	*at = i->name_next;
}

/* Twice as many buckets once there are as many inodes. Failing to grow only costs speed. */
static void grow(struct pt *pt)
{
	uint32_t old = pt->buckets, size = old * 2;
	struct pt_inode **id, **name, **old_id = pt->by_id, **old_name = pt->by_name;

	if (pt->ninodes < old || size < old)
		return;
	id = calloc(size, sizeof(struct pt_inode *));
	name = calloc(size, sizeof(struct pt_inode *));
	if (!id || !name) {
		free(id);
		free(name);
		return;
	}
	pt->by_id = id;
	pt->by_name = name;
	pt->buckets = size;
	for (uint32_t b = 0; b < old; b++) {
		struct pt_inode *i, *next;

		for (i = old_id[b]; i; i = next) {
			next = i->id_next;
			link_id(pt, i);
		}
		for (i = old_name[b]; i; i = next) {
			next = i->name_next;
			link_name(pt, i);
		}
	}
	free(old_id);
	free(old_name);
}

static struct pt_inode *find_id(const struct pt *pt, const struct pt_mount *mnt, uint64_t dev,
				const struct statx *st)
{
	struct pt_inode *i = pt->by_id[hash_id(pt, mnt, dev, st->stx_ino)];

	while (i && !(i->ino == st->stx_ino && i->dev == dev && i->mnt == mnt &&
		      i->type == (st->stx_mode & S_IFMT)))
		i = i->id_next;
	return i;
}

static struct pt_inode *find_name(const struct pt *pt, const struct pt_inode *parent,
				  const char *name, uint32_t hash)
{
	struct pt_inode *i = pt->by_name[hash & (pt->buckets - 1)];

	while (i && !(i->name_hash == hash && i->parent == parent && strcmp(i->name, name) == 0))
		i = i->name_next;
	return i;
}

/* ------------------------------------------------------------------ names */

/* Stop relying on the name. */
static void detach(struct pt *pt, struct pt_inode *i)
{
	struct pt_inode *parent = i->parent;

	if (!parent)
		return;
	unlink_name(pt, i);
	i->parent = NULL;
	if (i->name != i->name_inline)
		free(i->name);
	i->name = NULL;
	pt_unref_locked(pt, parent);
}

/* Rely on (@parent, @name) from now on. Return: 0 or -ENOMEM, and nothing changed */
static int attach(struct pt *pt, struct pt_inode *i, struct pt_inode *parent, const char *name,
		  uint32_t hash)
{
	size_t size = strlen(name) + 1;
	char *copy = NULL;

	if (size > sizeof(i->name_inline)) {
		copy = malloc(size);
		if (!copy)
			return -ENOMEM;
	}
	parent->refs++; /* first: it may be the old parent too */
	detach(pt, i);
	i->name = copy ? copy : i->name_inline;
	memcpy(i->name, name, size);
	i->name_hash = hash;
	i->parent = parent;
	link_name(pt, i);
	return 0;
}

/* ------------------------------------------------------------------ life */

/* Free @i if nothing needs it, then its parent for the same reason, and so on. */
static void maybe_free(struct pt *pt, struct pt_inode *i)
{
	while (i && !i->root && !i->nlookup && !i->refs && !i->busy) {
		struct pt_inode *parent = i->parent;

		if (parent) {
			unlink_name(pt, i);
			if (i->name != i->name_inline)
				free(i->name);
			parent->refs--;
		}
		pt_plocks_free(i);
		unlink_id(pt, i);
		pt_close_fd(pt, i);
		fsrv_slots_remove(&pt->nodes, i->nodeid);
		pt->ninodes--;
		i->id_next = pt->free_inodes;
		pt->free_inodes = i;
		i = parent;
	}
}

void pt_unref_locked(struct pt *pt, struct pt_inode *i)
{
	i->refs--;
	maybe_free(pt, i);
}

/* A blank inode with a node id, in the identity hash. */
static struct pt_inode *new_inode(struct pt *pt, struct pt_mount *mnt, const struct statx *st)
{
	struct pt_inode *i = pt->free_inodes;

	if (!i) {
		struct pt_chunk *c = calloc(1, sizeof(*c));

		if (!c)
			return NULL;
		c->next = pt->chunks;
		pt->chunks = c;
		for (int k = 0; k < CHUNK; k++) {
			c->inodes[k].id_next = pt->free_inodes;
			pt->free_inodes = &c->inodes[k];
		}
		i = pt->free_inodes;
	}
	pt->free_inodes = i->id_next;
	memset(i, 0, sizeof(*i));
	atomic_store_explicit(&i->fd, -1, memory_order_relaxed);
	i->mnt = mnt;
	i->dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	i->ino = st->stx_ino;
	i->type = st->stx_mode & S_IFMT;
	if (fsrv_slots_add(&pt->nodes, i, &i->nodeid) < 0) {
		i->id_next = pt->free_inodes;
		pt->free_inodes = i;
		return NULL;
	}
	pt->ninodes++;
	grow(pt);
	link_id(pt, i);
	return i;
}

struct pt_inode *pt_get(struct pt *pt, uint64_t nodeid)
{
	struct pt_inode *i;

	pt_lock(pt);
	i = fsrv_slots_get(&pt->nodes, nodeid);
	if (i) {
		i->busy++;
		i->used = true;
	}
	pt_unlock(pt);
	return i;
}

void pt_put(struct pt *pt, struct pt_inode *i)
{
	pt_lock(pt);
	if (--i->busy == 0)
		maybe_free(pt, i);
	pt_unlock(pt);
}

void pt_forget(struct fsrv_fs *fs, uint64_t nodeid, uint64_t nlookup)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;

	pt_lock(pt);
	i = fsrv_slots_get(&pt->nodes, nodeid);
	if (i) {
		/* more than it has is the guest's mistake, and its own loss */
		i->nlookup -= rsm_min(i->nlookup, nlookup);
		maybe_free(pt, i);
	}
	pt_unlock(pt);
}

/* ------------------------------------------------------------------ what the guest learns */

/* 32 bits as the kernel encodes a device number for user space (new_encode_dev) */
static uint32_t encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
}

void pt_fill_attr(const struct pt_mount *mnt, const struct statx *st, struct fuse_attr *a)
{
	uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);

	*a = (struct fuse_attr){
		/* several devices behind one st_dev of the guest: keep numbers apart */
		.ino = mnt && dev != mnt->dev ? st->stx_ino ^ dev << 40 : st->stx_ino,
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
		.rdev = encode_dev(st->stx_rdev_major, st->stx_rdev_minor),
		.blksize = st->stx_blksize,
	};
}

void pt_fill_entry(const struct pt *pt, const struct pt_inode *parent, const struct pt_inode *i,
		   const struct statx *st, struct fuse_entry_out *out)
{
	out->nodeid = i->nodeid;
	out->generation = 0; /* the id has its own */
	fsrv_set_timeouts(out, i->mnt->cache);
	pt_fill_attr(i->mnt, st, &out->attr);
	if (pt->submounts && S_ISDIR(i->type) && parent &&
	    (parent->mnt != i->mnt || parent->dev != i->dev))
		out->attr.flags |= FUSE_ATTR_SUBMOUNT;
}

int pt_enter(struct pt *pt, struct pt_inode *parent, const char *name, const struct statx *st,
	     int fd, struct fuse_entry_out *out, struct pt_inode **ret)
{
	uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	uint32_t hash = name ? hash_name(parent, name) : 0;
	struct pt_mount *mnt = parent->mnt;
	struct pt_inode *i;
	int r = 0;

	if (st->stx_mnt_id != mnt->mnt_id) {
		r = pt_mount_of(pt, parent, name, st, &mnt);
		if (r < 0) {
			rsm_close(&fd);
			return r;
		}
	}
	pt_lock(pt);
	i = find_id(pt, mnt, dev, st);
	if (!i)
		i = new_inode(pt, mnt, st);
	if (!i) {
		r = -ENOMEM;
	} else if (name && !i->root &&
		   !(i->parent == parent && i->name_hash == hash && strcmp(i->name, name) == 0)) {
		r = attach(pt, i, parent, name, hash);
	}
	if (fd >= 0 && r == 0)
		pt_give_fd(pt, i, rsm_steal_fd(fd));
	if (r == 0) {
		i->nlookup++;
		pt_fill_entry(pt, parent, i, st, out);
		if (ret) {
			i->busy++;
			*ret = i;
		}
	} else if (i) {
		maybe_free(pt, i);
	}
	pt_unlock(pt);
	rsm_close(&fd);
	return r;
}

/* ------------------------------------------------------------------ names that go and move */

struct pt_inode *pt_pin_name(struct pt *pt, struct pt_inode *parent, const char *name)
{
	struct pt_inode *i;

	pt_lock(pt);
	i = find_name(pt, parent, name, hash_name(parent, name));
	if (i)
		i->busy++;
	pt_unlock(pt);
	if (i)
		(void)pt_fd(pt, i); /* else it is stale already, and will be found so */
	return i;
}

void pt_unpin_name(struct pt *pt, struct pt_inode *i, struct pt_inode *parent, const char *name,
		   bool gone)
{
	if (!i)
		return;
	pt_lock(pt);
	if (gone && i->parent == parent && strcmp(i->name, name) == 0)
		detach(pt, i);
	if (--i->busy == 0)
		maybe_free(pt, i);
	pt_unlock(pt);
}

void pt_name_moved(struct pt *pt, struct pt_inode *olddir, const char *oldname,
		   struct pt_inode *newdir, const char *newname, bool exchange)
{
	uint32_t oldhash = hash_name(olddir, oldname), newhash = hash_name(newdir, newname);
	struct pt_inode *from, *to;

	pt_lock(pt);
	from = find_name(pt, olddir, oldname, oldhash);
	to = exchange ? find_name(pt, newdir, newname, newhash) : NULL;
	/* a name that cannot be kept for lack of memory is stale: ESTALE, and looked up again */
	if (from)
		(void)attach(pt, from, newdir, newname, newhash);
	if (to)
		(void)attach(pt, to, olddir, oldname, oldhash);
	pt_unlock(pt);
}

/* ------------------------------------------------------------------ the table */

int pt_table_init(struct pt *pt)
{
	pthread_mutex_init(&pt->lock, NULL);
	pt->buckets = BUCKETS_FIRST;
	pt->by_id = calloc(pt->buckets, sizeof(*pt->by_id));
	pt->by_name = calloc(pt->buckets, sizeof(*pt->by_name));
	return pt->by_id && pt->by_name ? 0 : -ENOMEM;
}

int pt_add_root(struct pt *pt, struct pt_mount *mnt, const struct statx *st, int fd,
		struct pt_inode **ret)
{
	struct pt_inode *i = new_inode(pt, mnt, st);

	if (!i) {
		rsm_close(&fd);
		return -ENOMEM;
	}
	i->root = true;
	if (fd >= 0)
		pt_give_fd(pt, i, fd);
	*ret = i;
	return 0;
}

void pt_table_reset(struct pt *pt)
{
	pt_handle_close_all(pt);
	pt_lock(pt);
	for (uint32_t s = 0; s < pt->nodes.n; s++) {
		struct pt_inode *i = pt->nodes.slot[s].object;

		if (!i)
			continue;
		i->nlookup = 0;
		i->busy++; /* detaching may free parents, but not this one, yet */
		detach(pt, i);
		i->busy--;
		maybe_free(pt, i);
	}
	pt_unlock(pt);
}

void pt_table_free(struct pt *pt)
{
	pt_table_reset(pt);
	for (uint32_t s = 0; s < pt->nodes.n; s++)
		if (pt->nodes.slot[s].object)
			pt_close_fd(pt, pt->nodes.slot[s].object); /* export roots are left */
	fsrv_slots_free(&pt->nodes);
	fsrv_slots_free(&pt->handles);
	while (pt->free_handles) { /* all are free after the reset */
		struct pt_handle *h = pt->free_handles;

		pt->free_handles = h->next;
		free(h);
	}
	free(pt->by_id);
	free(pt->by_name);
	while (pt->chunks) {
		struct pt_chunk *c = pt->chunks;

		pt->chunks = c->next;
		free(c);
	}
	pthread_mutex_destroy(&pt->lock);
}
