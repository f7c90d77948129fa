// SPDX-License-Identifier: Apache-2.0
/* Passthrough: from a node to the host inode, by fd or by name; see pt_inode.c. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#define DEPTH_MAX   256 /* ancestors without fd that are opened on the way down */
#define CLOCK_STEPS 64

void pt_close_fd(struct pt *pt, struct pt_inode *i)
{
	int fd = atomic_load(&i->fd);

	if (fd < 0)
		return;
	close(fd);
	atomic_store(&i->fd, -1);
	pt->nfds--;
}

void pt_evict(struct pt *pt)
{
	for (int k = 0; k < CLOCK_STEPS && pt->nodes.n; k++) {
		struct pt_inode *i;

		pt->hand = (pt->hand + 1) % pt->nodes.n;
		i = pt->nodes.slot[pt->hand].object;
		if (!i || atomic_load(&i->fd) < 0 || i->busy || i->root || !i->parent)
			continue;
		if (i->used) {
			i->used = false;
			continue;
		}
		pt_close_fd(pt, i);
		i->by_name = 0;
	}
}

void pt_give_fd(struct pt *pt, struct pt_inode *i, int fd)
{
	if (atomic_load(&i->fd) >= 0) {
		close(fd);
		return;
	}
	atomic_store_explicit(&i->fd, fd, memory_order_release);
	if (++pt->nfds > pt->max_fds)
		pt_evict(pt);
}

bool pt_same(const struct pt_inode *i, const struct statx *st)
{
	return st->stx_ino == i->ino && makedev(st->stx_dev_major, st->stx_dev_minor) == i->dev &&
	       (st->stx_mode & S_IFMT) == i->type;
}

/* The parent, busy, and a copy of the name; -ESTALE if there is none. */
static int get_place(struct pt *pt, struct pt_inode *i, struct pt_at *at)
{
	pt_lock(pt);
	at->parent = i->parent;
	if (i->parent) {
		i->parent->busy++;
		i->parent->used = true;
		memcpy(at->name, i->name, strlen(i->name) + 1);
	}
	pt_unlock(pt);
	return at->parent ? 0 : -ESTALE;
}

static int open_verified(const struct pt_inode *i, int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0)
		return -errno;
	return pt_same(i, &st) ? rsm_steal_fd(fd) : -ESTALE;
}

static int open_fd(struct pt *pt, struct pt_inode *i, int depth)
{
	struct pt_at at;
	int fd, r = get_place(pt, i, &at);

	if (r < 0)
		return r;
	fd = atomic_load_explicit(&at.parent->fd, memory_order_acquire);
	if (fd < 0)
		fd = depth < DEPTH_MAX ? open_fd(pt, at.parent, depth + 1) : -ESTALE;
	r = fd < 0 ? fd : open_verified(i, fd, at.name);
	pt_lock(pt);
	if (r >= 0) {
		pt_give_fd(pt, i, r);
		r = atomic_load(&i->fd);
	}
	pt_unlock(pt);
	pt_put(pt, at.parent);
	return r;
}

int pt_fd_open(struct pt *pt, struct pt_inode *i)
{
	return open_fd(pt, i, 0);
}

int pt_at(struct pt *pt, struct pt_inode *i, unsigned flags, struct pt_at *at)
{
	at->parent = NULL;
	at->handle = NULL;
	at->name[0] = '\0';
	at->fd = atomic_load_explicit(&i->fd, memory_order_acquire);
	if (at->fd >= 0 && !(flags & PT_AT_OPEN))
		return 0;

	pt_lock(pt);
	if (i->handles) {
		at->handle = i->handles;
		at->handle->refs++;
		at->fd = at->handle->fd;
	}
	pt_unlock(pt);
	if (at->handle)
		return 0;
	if (flags & PT_AT_OPEN)
		return -EBADF;
	if ((flags & PT_AT_NAME) && !i->by_name) {
		i->by_name = 1;
		return pt_at_place(pt, i, at);
	}
	at->fd = pt_fd(pt, i);
	return at->fd < 0 ? at->fd : 0;
}

int pt_at_place(struct pt *pt, struct pt_inode *i, struct pt_at *at)
{
	int r;

	at->handle = NULL;
	r = get_place(pt, i, at);
	if (r < 0)
		return r;
	at->fd = pt_fd(pt, at->parent);
	if (at->fd >= 0)
		return 0;
	pt_at_done(pt, at);
	return at->fd;
}

void pt_at_done(struct pt *pt, struct pt_at *at)
{
	if (at->parent)
		pt_put(pt, at->parent);
	if (at->handle)
		pt_handle_put(pt, at->handle);
}

int pt_stat(struct pt *pt, struct pt_inode *i, unsigned mask, struct statx *st)
{
	struct pt_at at;
	int r = pt_at(pt, i, PT_AT_NAME, &at);

	if (r < 0)
		return r;
	if (statx(at.fd, at.name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, st) <
	    0)
		r = at.parent && (errno == ENOENT || errno == ENOTDIR) ? -ESTALE : -errno;
	else if (at.parent && !pt_same(i, st))
		r = -ESTALE;
	pt_at_done(pt, &at);
	return r;
}
