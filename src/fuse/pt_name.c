// SPDX-License-Identifier: Apache-2.0
/*
 * Passthrough: making, removing and moving names.
 *
 * What is made belongs to us at first and is then given to the uid and gid of the request; changing
 * our own fsuid instead costs ten times as much. In a set-group-id directory (or on a mount with
 * grpid) the host has chosen the group, and it stays. A change of owner clears set-id bits, which
 * are then set again. If giving it away fails, it is removed again.
 */
#include "fuse/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#define STAT_FLAGS (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)

/**
 * pt_mode() - Prepare for making something
 * @mode:	the client's, which has not applied its umask
 * @mask:	the client's umask
 *
 * Only the kernel knows whether the directory has a default ACL, which takes the umask's place: so
 * this thread takes on the client's umask, after it has stopped sharing it with others. Umasks
 * seldom change, so this is seldom a system call.
 *
 * Return: the mode for the call that makes it
 */
mode_t pt_mode(uint32_t mode, uint32_t mask)
{
	static _Thread_local enum { SHARED, OWN, REFUSED } state;
	static _Thread_local uint32_t current;

	if (state == SHARED) {
		state = unshare(CLONE_FS) == 0 ? OWN : REFUSED;
		if (state == OWN)
			(void)umask(0);
	}
	if (state == REFUSED) /* rather too few permissions than others' umask changed */
		return mode & ~mask;
	if (mask != current) {
		(void)umask(mask);
		current = mask;
	}
	return mode;
}

/* The group a new file in @dirfd should have: the request's, or -1 to leave what the host chose. */
static gid_t group_for(const struct pt *pt, int dirfd, gid_t wanted, gid_t got)
{
	struct stat dir;

	if (got == wanted || got != pt->gid)
		return (gid_t)-1;
	if (fstat(dirfd, &dir) == 0 && (dir.st_mode & S_ISGID))
		return (gid_t)-1;
	return wanted;
}

/**
 * pt_give_owner() - Give what was just made to whom the request came from
 * @dirfd:	directory it was made in
 * @fd, @name:	the new file as for fstatat(); @name "" for @fd itself
 * @st:		of the new file; brought up to date
 */
int pt_give_owner(struct pt *pt, int dirfd, int fd, const char *name,
		  const struct fuse_in_header *who, struct statx *st)
{
	mode_t mode = st->stx_mode & 07777;
	uid_t uid = who->uid == st->stx_uid ? (uid_t)-1 : who->uid;
	gid_t gid;
	int r;

	if (uid == (uid_t)-1 && who->gid == st->stx_gid)
		return 0;
	gid = group_for(pt, dirfd, who->gid, st->stx_gid);
	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	if (fchownat(fd, name, uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st->stx_mode) && !S_ISLNK(st->stx_mode) && (mode & (S_ISUID | S_ISGID))) {
		_cleanup_close_ int path =
			*name ? openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
		struct stat now;

		if (*name && (path < 0 || fstat(path, &now) < 0))
			return -errno;
		if (*name && now.st_ino != st->stx_ino)
			return -ESTALE;
		r = *name ? pt_chmod(pt, path, mode) : (fchmod(fd, mode) < 0 ? -errno : 0);
		if (r < 0)
			return r;
	}
	return statx(fd, name, STAT_FLAGS, PT_STATX_MASK, st) < 0 ? -errno : 0;
}

/* The second half of symlink, mknod and mkdir: owner, and the guest learns of it. */
static int made(struct pt *pt, struct pt_inode *dir, int fd, const char *name,
		const struct fuse_in_header *who, mode_t type, struct fuse_entry_out *out)
{
	struct statx st;
	int r;

	r = statx(fd, name, STAT_FLAGS, PT_STATX_MASK, &st) < 0 ? -errno : 0;
	if (r == 0)
		r = pt_give_owner(pt, fd, fd, name, who, &st);
	if (r == 0)
		r = pt_enter(pt, dir, name, &st, -1, out, NULL);
	if (r < 0)
		(void)unlinkat(fd, name, S_ISDIR(type) ? AT_REMOVEDIR : 0);
	return r;
}

int pt_symlink(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	       const char *target, struct fuse_entry_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *dir;
	int fd, r = pt_get_dir(pt, who->nodeid, true, &dir, &fd);

	if (r < 0)
		return r;
	r = symlinkat(target, fd, name) < 0 ? -errno : 0;
	if (r == 0)
		r = made(pt, dir, fd, name, who, S_IFLNK, out);
	pt_put(pt, dir);
	return r;
}

int pt_mknod(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	     const struct fuse_mknod_in *in, struct fuse_entry_out *out)
{
	/* the kernel's new_decode_dev() */
	dev_t dev = makedev((in->rdev & 0xfff00) >> 8,
			    (in->rdev & 0xff) | ((in->rdev >> 12) & 0xfff00));
	struct pt *pt = to_pt(fs);
	struct pt_inode *dir;
	int fd, r = pt_get_dir(pt, who->nodeid, true, &dir, &fd);

	if (r < 0)
		return r;
	r = mknodat(fd, name, pt_mode(in->mode, in->umask), dev) < 0 ? -errno : 0;
	if (r == 0)
		r = made(pt, dir, fd, name, who, in->mode, out);
	pt_put(pt, dir);
	return r;
}

int pt_mkdir(struct fsrv_fs *fs, const struct fuse_in_header *who, const char *name,
	     const struct fuse_mkdir_in *in, struct fuse_entry_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *dir;
	int fd, r = pt_get_dir(pt, who->nodeid, true, &dir, &fd);

	if (r < 0)
		return r;
	r = mkdirat(fd, name, pt_mode(in->mode, in->umask)) < 0 ? -errno : 0;
	if (r == 0)
		r = made(pt, dir, fd, name, who, S_IFDIR, out);
	pt_put(pt, dir);
	return r;
}

static int remove_name(struct pt *pt, uint64_t parent, const char *name, int flags)
{
	struct pt_inode *dir, *victim;
	int fd, r = pt_get_dir(pt, parent, true, &dir, &fd);

	if (r < 0)
		return r;
	victim = pt_pin_name(pt, dir, name);
	r = unlinkat(fd, name, flags) < 0 ? -errno : 0;
	pt_unpin_name(pt, victim, dir, name, r == 0);
	pt_put(pt, dir);
	return r;
}

int pt_unlink(struct fsrv_fs *fs, uint64_t parent, const char *name)
{
	return remove_name(to_pt(fs), parent, name, 0);
}

int pt_rmdir(struct fsrv_fs *fs, uint64_t parent, const char *name)
{
	return remove_name(to_pt(fs), parent, name, AT_REMOVEDIR);
}

/* Two directories that may both be changed; @b is put if this fails, @a too. */
static int get_two(struct pt *pt, uint64_t a, uint64_t b, struct pt_inode **ret_a, int *ret_afd,
		   struct pt_inode **ret_b, int *ret_bfd)
{
	int r = pt_get_dir(pt, a, true, ret_a, ret_afd);

	if (r < 0)
		return r;
	r = pt_get_dir(pt, b, true, ret_b, ret_bfd);
	if (r >= 0 && (*ret_a)->mnt->export != (*ret_b)->mnt->export) {
		pt_put(pt, *ret_b);
		r = -EXDEV;
	}
	if (r < 0)
		pt_put(pt, *ret_a);
	return r;
}

int pt_rename(struct fsrv_fs *fs, uint64_t olddir, const char *oldname, uint64_t newdir,
	      const char *newname, uint32_t flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	struct pt *pt = to_pt(fs);
	struct pt_inode *from, *to, *victim = NULL;
	int from_fd, to_fd, r;

	r = get_two(pt, olddir, newdir, &from, &from_fd, &to, &to_fd);
	if (r < 0)
		return r;
	if (!flags)
		victim = pt_pin_name(pt, to, newname);
	r = renameat2(from_fd, oldname, to_fd, newname, flags) < 0 ? -errno : 0;
	pt_unpin_name(pt, victim, to, newname, r == 0);
	if (r == 0)
		pt_name_moved(pt, from, oldname, to, newname, exchange);
	pt_put(pt, from);
	pt_put(pt, to);
	return r;
}

/* A symlink's magic link leads nowhere: link it by name, and look whether that was still it. */
static int link_symlink(struct pt *pt, struct pt_inode *i, int dirfd, const char *name)
{
	struct statx st;
	struct pt_at at;
	int r = pt_at_place(pt, i, &at);

	if (r < 0)
		return r;
	r = linkat(at.fd, at.name, dirfd, name, 0) < 0 ? -errno : 0;
	pt_at_done(pt, &at);
	if (r < 0)
		return r;
	if (statx(dirfd, name, STAT_FLAGS, PT_STATX_MASK, &st) < 0)
		return -errno;
	if (pt_same(i, &st))
		return 0;
	(void)unlinkat(dirfd, name, 0);
	return -ESTALE;
}

static int do_link(struct pt *pt, struct pt_inode *i, int dirfd, const char *name)
{
	int fd = pt_fd(pt, i);
	char from[16];

	if (fd < 0)
		return fd;
	if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	/* without CAP_DAC_READ_SEARCH the kernel says ENOENT; the magic link needs no capability */
	if (S_ISLNK(i->type))
		return link_symlink(pt, i, dirfd, name);
	snprintf(from, sizeof(from), "%d", fd);
	return linkat(pt->proc_fd, from, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int pt_link(struct fsrv_fs *fs, uint64_t nodeid, uint64_t newdir, const char *newname,
	    struct fuse_entry_out *out)
{
	struct pt *pt = to_pt(fs);
	struct pt_inode *i, *dir;
	struct statx st;
	int fd, r;

	r = pt_get_node(pt, nodeid, true, &i);
	if (r < 0)
		return r;
	r = pt_get_dir(pt, newdir, true, &dir, &fd);
	if (r < 0) {
		pt_put(pt, i);
		return r;
	}
	/* never from an export to another: they may differ in what is allowed */
	r = dir->mnt->export == i->mnt->export ? do_link(pt, i, fd, newname) : -EXDEV;
	if (r == 0)
		r = statx(fd, newname, STAT_FLAGS, PT_STATX_MASK, &st) < 0 ? -errno : 0;
	if (r == 0)
		r = pt_enter(pt, dir, newname, &st, -1, out, NULL);
	pt_put(pt, i);
	pt_put(pt, dir);
	return r;
}
