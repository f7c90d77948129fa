// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: open files and directories.
 *
 * A handle is named by slot + generation. RELEASE takes the name away; the fd is closed when the
 * last request that is using the handle is done with it, so a guest that closes what it is reading
 * gets EBADF at worst, never another file's data.
 *
 * Locking: pt->lock for the table, the list on the inode, and refs.
 */
#include "fuse/pt.h"

#include <errno.h>

int pt_handle_new(struct pt *pt, struct pt_inode *inode, int fd, bool is_dir, uint64_t *ret_fh)
{
	struct pt_handle *h;
	int r = 0;

	pt_lock(pt);
	h = pt->free_handles;
	if (h)
		pt->free_handles = h->next;
	else
		h = malloc(sizeof(*h));
	if (!h)
		r = -ENOMEM;
	else
		r = fsrv_slots_add(&pt->handles, h, ret_fh);
	if (r == 0) {
		*h = (struct pt_handle){
			.inode = inode, .fh = *ret_fh, .fd = fd, .refs = 1, .is_dir = is_dir};
		inode->refs++;
		if (!is_dir) {
			h->next = inode->handles;
			inode->handles = h;
		}
	} else if (h) {
		h->next = pt->free_handles;
		pt->free_handles = h;
	}
	pt_unlock(pt);
	return r;
}

struct pt_handle *pt_handle_get(struct pt *pt, uint64_t fh, bool is_dir)
{
	struct pt_handle *h;

	pt_lock(pt);
	h = fsrv_slots_get(&pt->handles, fh);
	if (h && h->is_dir == is_dir)
		h->refs++;
	else
		h = NULL;
	pt_unlock(pt);
	return h;
}

/* Drop a ref; the last one closes. The lock is held, and given up. */
static void put_and_unlock(struct pt *pt, struct pt_handle *h)
{
	struct pt_dirstream *dir;
	int fd;

	if (--h->refs) {
		pt_unlock(pt);
		return;
	}
	dir = h->dir;
	fd = h->fd;
	pt_unref_locked(pt, h->inode);
	h->next = pt->free_handles;
	pt->free_handles = h;
	pt_unlock(pt);
	/* closing may write, and take long on a network file system */
	if (fd >= 0)
		close(fd);
	if (dir) {
		pthread_mutex_destroy(&dir->lock);
		free(dir);
	}
}

void pt_handle_put(struct pt *pt, struct pt_handle *h)
{
	pt_lock(pt);
	put_and_unlock(pt, h);
}

/* Take the name away. The lock is held. */
static void unname(struct pt *pt, struct pt_handle *h)
{
	struct pt_handle **at = &h->inode->handles;

	fsrv_slots_remove(&pt->handles, h->fh);
	if (h->is_dir)
		return;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
}

int pt_handle_close(struct pt *pt, uint64_t fh, bool is_dir)
{
	struct pt_handle *h;

	pt_lock(pt);
	h = fsrv_slots_get(&pt->handles, fh);
	if (!h || h->is_dir != is_dir) {
		pt_unlock(pt);
		return -EBADF;
	}
	unname(pt, h);
	put_and_unlock(pt, h);
	return 0;
}

void pt_handle_close_all(struct pt *pt)
{
	for (uint32_t s = 0;; s++) {
		struct pt_handle *h;

		pt_lock(pt);
		if (s >= pt->handles.n) {
			pt_unlock(pt);
			return;
		}
		h = pt->handles.slot[s].object;
		if (!h) {
			pt_unlock(pt);
			continue;
		}
		unname(pt, h);
		put_and_unlock(pt, h);
	}
}
