// SPDX-License-Identifier: Apache-2.0
/* Passthrough: opening and making files. */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>

/*
 * open(2) flags from the guest's: its access mode, and what changes how the host does I/O. O_DIRECT
 * is not among them, because the guest's memory need not be aligned as the host's disk wants it;
 * O_TRUNC is done by hand once we know what was opened; O_APPEND is a matter of each WRITE.
 */
int pt_open_flags(const struct pt *pt, uint32_t flags)
{
	int r = (int)(flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME));

	/* with the write-back cache the guest reads a page before it writes part of it */
	if (pt->writeback && (r & O_ACCMODE) == O_WRONLY)
		r = (r & ~O_ACCMODE) | O_RDWR;
	return r;
}

/* Open by name where that cannot reach a device; -ESTALE: it is not there any more. */
static int open_by_name(struct pt *pt, struct pt_inode *i, int flags)
{
	_cleanup_close_ int fd = -1;
	struct pt_at at;
	struct stat st;
	int r;

	r = pt_at_place(pt, i, &at);
	if (r < 0)
		return r;
	fd = openat(at.fd, at.name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	pt_at_done(pt, &at);
	if (r < 0)
		return r == -ENOENT || r == -ELOOP || r == -ENXIO ? -ESTALE : r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != i->ino || st.st_dev != i->dev || !S_ISREG(st.st_mode))
		return -ESTALE;
	return rsm_steal_fd(fd);
}

/**
 * pt_open_inode() - Open a regular file that the guest knows
 * @flags:	for open(2), without O_TRUNC and O_CREAT
 *
 * The caller holds @i busy and has checked for read-only exports.
 * Return: fd or -errno
 */
int pt_open_inode(struct pt *pt, struct pt_inode *i, int flags)
{
	int fd;

	if (S_ISDIR(i->type))
		return -EISDIR;
	if (!S_ISREG(i->type))
		return S_ISLNK(i->type) ? -ELOOP : -ENXIO;
	if (i->mnt->nodev) {
		fd = open_by_name(pt, i, flags);
		if (fd != -ESTALE)
			return fd;
	}
	fd = pt_fd(pt, i);
	return fd < 0 ? fd : pt_reopen(pt, fd, flags | O_NONBLOCK | O_NOCTTY);
}

/* What write(2), truncate(2) by somebody without CAP_FSETID does to a file's mode. */
int pt_kill_suidgid(int fd)
{
	struct stat st;
	mode_t mode;

	if (fstat(fd, &st) < 0)
		return -errno;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		mode &= ~(mode_t)S_ISGID;
	if (mode != st.st_mode && fchmod(fd, mode & 07777) < 0)
		return -errno;
	return 0;
}

static uint64_t changed_at(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0
		       ? 0
		       : (uint64_t)st.st_ctim.tv_sec * 1000000000ULL + (uint64_t)st.st_ctim.tv_nsec;
}

bool pt_contents_are_known(const struct pt_inode *i, int fd)
{
	return i->mnt->cache == FSRV_CACHE_MOSTLY && changed_at(fd) == atomic_load(&i->changed);
}

void pt_contents_known(struct pt_inode *i, int fd)
{
	if (i->mnt->cache == FSRV_CACHE_MOSTLY)
		atomic_store(&i->changed, changed_at(fd));
}

/* Has the guest written through a handle, and not been asked to FLUSH since? */
static bool being_written(struct pt *pt, const struct pt_inode *i)
{
	const struct pt_handle *h;

	pt_lock(pt);
	for (h = i->handles; h && !atomic_load_explicit(&h->wrote, memory_order_relaxed);)
		h = h->next;
	pt_unlock(pt);
	return h != NULL;
}

/*
 * With AUTO, what the guest cached is dropped at each open; with NEVER attributes are asked for at
 * each read as well, and a new mtime drops it, as it does with MOSTLY after 1 s. But what is copied
 * in may have the time and size, and a new file the inode number, of what it replaces: the guest
 * keeps what it cached if nobody but itself has touched the inode since.
 */
static uint32_t fopen_flags(struct pt *pt, struct pt_inode *i, int fd)
{
	bool known;

	if (i->mnt->cache != FSRV_CACHE_MOSTLY)
		return i->mnt->cache > FSRV_CACHE_MOSTLY ? FOPEN_KEEP_CACHE : 0;
	known = pt_contents_are_known(i, fd) || being_written(pt, i);
	pt_contents_known(i, fd);
	return known ? FOPEN_KEEP_CACHE : 0;
}

static int do_open(struct pt *pt, struct pt_inode *i, const struct fuse_open_in *in,
		   struct fuse_open_out *out)
{
	int flags = pt_open_flags(pt, in->flags), r;
	_cleanup_close_ int fd = -1;

	if ((in->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (i->mnt->readonly && ((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC)))
		return -EROFS;
	if ((in->flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	fd = pt_open_inode(pt, i, flags);
	if (fd < 0)
		return fd;
	if (in->flags & O_TRUNC) {
		r = in->open_flags & FUSE_OPEN_KILL_SUIDGID ? pt_kill_suidgid(fd) : 0;
		if (r == 0 && ftruncate(fd, 0) < 0)
			r = -errno;
		if (r < 0)
			return r;
	}
	out->open_flags = fopen_flags(pt, i, fd);
	r = pt_handle_new(pt, i, fd, false, &out->fh);
	if (r == 0)
		fd = -1;
	return r;
}

int pt_open(struct fsrv_fs *fs, uint64_t nodeid, const struct fuse_open_in *in,
	    struct fuse_open_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	int r;

	r = pt_get_node(pt, nodeid, false, &i);
	if (r < 0)
		return r == -EOPNOTSUPP ? -EISDIR : r;
	r = do_open(pt, i, in, out);
	pt_put(pt, i);
	return r;
}

/* Open what CREATE found there already. */
static int open_existing(struct pt *pt, uint64_t parent, const char *name,
			 const struct fuse_create_in *in, struct fuse_entry_out *entry,
			 struct fuse_open_out *out)
{
	const struct fuse_open_in open_in = {.flags = in->flags, .open_flags = in->open_flags};
	int r = pt_lookup(&pt->fs, parent, name, entry);

	if (r < 0)
		return r;
	if (!entry->nodeid)
		return -ENOENT; /* gone again; the guest looks it up */
	r = pt_open(&pt->fs, entry->nodeid, &open_in, out);
	if (r < 0)
		pt_forget(&pt->fs, entry->nodeid, 1);
	return r;
}

/* The second half of CREATE and TMPFILE; @fd is the new file, taken over on success. */
static int made_file(struct pt *pt, struct pt_inode *dir, int dirfd, int fd, const char *name,
		     const struct fuse_in_header *who, struct fuse_entry_out *entry,
		     struct fuse_open_out *out)
{
	struct pt_inode *i;
	int r, path = -1;
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, PT_STATX_MASK, &st) < 0)
		return -errno;
	r = pt_give_owner(pt, dirfd, fd, "", who, &st);
	if (r < 0)
		return r;
	if (!name) {
		path = pt_reopen(pt, fd, O_PATH);
		if (path < 0)
			return path;
	}
	r = pt_enter(pt, dir, name, &st, path, entry, &i);
	if (r < 0)
		return r;
	out->open_flags = fopen_flags(pt, i, fd);
	r = pt_handle_new(pt, i, fd, false, &out->fh);
	pt_put(pt, i);
	if (r < 0)
		pt_forget(&pt->fs, entry->nodeid, 1);
	return r;
}

int pt_create(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	      const struct fuse_create_in *in, struct fuse_entry_out *entry,
	      struct fuse_open_out *out)
{
	struct pt *pt = to_pt(fs);
	_cleanup_close_ int fd = -1;
	struct pt_inode *dir;
	int dirfd, r;

	if ((in->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	r = pt_get_dir(pt, who->nodeid, true, &dir, &dirfd);
	if (r < 0)
		return r;
	/* always exclusively: what is there already is opened the careful way */
	fd = openat(dirfd, name,
		    pt_open_flags(pt, in->flags) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    pt_mode(in->mode & 07777, in->umask));
	if (fd >= 0) {
		r = made_file(pt, dir, dirfd, fd, name, who, entry, out);
		if (r == 0)
			fd = -1;
		else
			(void)unlinkat(dirfd, name, 0);
	} else if (errno == EEXIST && !(in->flags & O_EXCL)) {
		r = open_existing(pt, who->nodeid, name, in, entry, out);
	} else {
		r = -errno;
	}
	pt_put(pt, dir);
	return r;
}

int pt_tmpfile(struct fsrv_fs *fs, const struct fuse_in_header *who,
	       const struct fuse_create_in *in, struct fuse_entry_out *entry,
	       struct fuse_open_out *out)
{
	struct pt *pt = to_pt(fs);
	_cleanup_close_ int fd = -1;
	struct pt_inode *dir;
	int dirfd, flags, r;

	r = pt_get_dir(pt, who->nodeid, true, &dir, &dirfd);
	if (r < 0)
		return r;
	flags = pt_open_flags(pt, in->flags) | (int)(in->flags & O_EXCL);
	if ((flags & O_ACCMODE) != O_RDWR)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	fd = openat(dirfd, ".", flags | O_TMPFILE | O_CLOEXEC,
		    pt_mode(in->mode & 07777, in->umask));
	r = fd < 0 ? -errno : 0;
	if (r == 0)
		r = made_file(pt, dir, dirfd, fd, NULL, who, entry, out);
	if (r == 0)
		fd = -1;
	pt_put(pt, dir);
	return r;
}

int pt_dax_fd(struct fsrv_fs *fs, uint64_t nodeid, uint64_t fh, uint64_t flags)
{
	bool write = flags & FUSE_SETUPMAPPING_FLAG_WRITE;
	struct pt *pt = to_pt(fs);
	struct pt_inode *i;
	int r = pt_get_node(pt, nodeid, write, &i);

	if (r < 0)
		return r;
	r = pt_open_inode(pt, i, write ? O_RDWR : O_RDONLY);
	pt_put(pt, i);
	return r;
}
