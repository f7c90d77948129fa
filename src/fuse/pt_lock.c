// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: locks.
 *
 * Record locks (fcntl) belong to a process in the guest, which the protocol calls lock owner, and
 * to the inode. On the host each {inode, owner} gets an open file description of its own, and the
 * locks are that description's (F_OFD_*): owners exclude each other, processes on the host see
 * them, and closing the description is giving back everything, which is what FLUSH (some fd of the
 * owner was closed) asks for. Whole-file locks (flock) belong to the open file in the guest, and so
 * to the handle's fd.
 *
 * Nothing here waits; see lockwait.c.
 *
 * Locking: the list is covered by pt->lock. A lock call runs without it on a description that a
 * concurrent FLUSH may drop: refs counts users.
 */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

struct pt_plock {
	struct pt_plock *next;
	uint64_t owner;
	uint32_t pid; /* who asked for a lock last, as the guest's root pid namespace counts */
	int fd;
	uint32_t refs;
};

static struct pt_plock *find(const struct pt_inode *i, uint64_t owner)
{
	struct pt_plock *p = i->plocks;

	while (p && p->owner != owner)
		p = p->next;
	return p;
}

static void put(struct pt *pt, struct pt_plock *p)
{
	bool last;

	pt_lock(pt);
	last = --p->refs == 0;
	pt_unlock(pt);
	if (last) {
		close(p->fd);
		free(p);
	}
}

/* The owner's description, made if need be. */
static int get(struct pt *pt, struct pt_inode *i, uint64_t owner, struct pt_plock **ret)
{
	struct pt_plock *p, *mine;
	int fd;

	pt_lock(pt);
	p = find(i, owner);
	if (p)
		p->refs++;
	pt_unlock(pt);
	*ret = p;
	if (p)
		return 0;

	/* to write for a write lock where it can be */
	fd = i->mnt->readonly ? -EROFS : pt_open_inode(pt, i, O_RDWR);
	if (fd == -EROFS || fd == -ETXTBSY || fd == -EACCES || fd == -EPERM)
		fd = pt_open_inode(pt, i, O_RDONLY);
	if (fd < 0)
		return fd;
	mine = malloc(sizeof(*mine));
	if (!mine) {
		close(fd);
		return -ENOMEM;
	}
	*mine = (struct pt_plock){.owner = owner, .fd = fd, .refs = 2};
	pt_lock(pt);
	p = find(i, owner);
	if (!p) {
		mine->next = i->plocks;
		i->plocks = mine;
		p = mine;
		mine = NULL;
	} else {
		p->refs++;
	}
	pt_unlock(pt);
	if (mine) {
		close(mine->fd);
		free(mine);
	}
	*ret = p;
	return 0;
}

void pt_plocks_drop(struct pt *pt, struct pt_inode *i, uint64_t owner)
{
	struct pt_plock **at, *p;

	pt_lock(pt);
	for (at = &i->plocks; *at && (*at)->owner != owner;)
		at = &(*at)->next;
	p = *at;
	if (p)
		*at = p->next;
	pt_unlock(pt);
	if (p)
		put(pt, p);
}

/* The inode is going: nobody uses it, so nobody uses these. */
void pt_plocks_free(struct pt_inode *i)
{
	while (i->plocks) {
		struct pt_plock *p = i->plocks;

		i->plocks = p->next;
		close(p->fd);
		free(p);
	}
}

/* Bounds were checked: 0 <= start <= end <= INT64_MAX; that end means "to the end of the file". */
static struct flock to_flock(const struct fuse_file_lock *lk)
{
	return (struct flock){
		.l_type = (short)lk->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lk->start,
		.l_len = lk->end == INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1),
	};
}

/*
 * Whose lock is @fl? The host does not tell: it belongs to a description, not to a process. But the
 * one owner for whom nothing is in the way of the whole range must hold it. Where several share it
 * for reading, any other owner is as good an answer as fcntl(2) promises. 0: a process on the host.
 */
static uint32_t holder_pid(struct pt *pt, const struct pt_inode *i, uint64_t asker,
			   const struct flock *fl)
{
	uint32_t pid = 0;

	pt_lock(pt);
	for (const struct pt_plock *q = i->plocks; q; q = q->next) {
		struct flock probe = *fl;

		if (q->owner == asker || !q->pid)
			continue;
		if (!pid && fl->l_type == F_RDLCK)
			pid = q->pid;
		probe.l_type = F_WRLCK;
		probe.l_pid = 0; /* fcntl(2): F_OFD_GETLK insists */
		if (fcntl(q->fd, F_OFD_GETLK, &probe) == 0 && probe.l_type == F_UNLCK) {
			pid = q->pid;
			break;
		}
	}
	pt_unlock(pt);
	return pid;
}

int pt_getlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in,
	     struct fuse_file_lock *out)
{
	struct flock fl = to_flock(&in->lk);
	struct pt *pt = to_pt(fs);
	struct pt_plock *p;
	struct pt_inode *i;
	uint32_t pid = 0;
	int r = pt_get_node(pt, nodeid, false, &i);

	if (r < 0)
		return r;
	if (in->lk.type == F_UNLCK)
		r = -EINVAL;
	else
		r = get(pt, i, in->owner, &p);
	if (r == 0) {
		r = fcntl(p->fd, F_OFD_GETLK, &fl) < 0 ? -errno : 0;
		put(pt, p);
	}
	if (r == 0 && fl.l_type != F_UNLCK)
		pid = holder_pid(pt, i, in->owner, &fl);
	pt_put(pt, i);
	if (r < 0)
		return r;
	*out = (struct fuse_file_lock){.type = (uint32_t)fl.l_type, .pid = pid};
	if (fl.l_type != F_UNLCK) {
		out->start = (uint64_t)fl.l_start;
		out->end = fl.l_len ? (uint64_t)(fl.l_start + fl.l_len - 1) : INT64_MAX;
	}
	return 0;
}

static int set_flock(struct pt *pt, const struct fuse_lk_in *in)
{
	struct pt_handle *h = pt_handle_get(pt, in->fh, false);
	int op = in->lk.type == F_RDLCK ? LOCK_SH : in->lk.type == F_WRLCK ? LOCK_EX : LOCK_UN;
	int r;

	if (!h)
		return -EBADF;
	r = flock(h->fd, op | LOCK_NB) < 0 ? -errno : 0;
	pt_handle_put(pt, h);
	return r;
}

int pt_setlk(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_lk_in *in)
{
	struct flock fl = to_flock(&in->lk);
	struct pt *pt = to_pt(fs);
	struct pt_plock *p;
	struct pt_inode *i;
	int r;

	if (in->lk_flags & FUSE_LK_FLOCK)
		return set_flock(pt, in);
	r = pt_get_node(pt, nodeid, false, &i);
	if (r < 0)
		return r;
	r = get(pt, i, in->owner, &p);
	if (r == 0) {
		r = fcntl(p->fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
		if (r == -EACCES)
			r = -EAGAIN;
		if (r == 0) {
			pt_lock(pt);
			p->pid = in->lk.pid;
			pt_unlock(pt);
		}
		put(pt, p);
	}
	pt_put(pt, i);
	return r;
}
