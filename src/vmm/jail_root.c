// SPDX-License-Identifier: Apache-2.0
/*
 * A root with nothing in it.
 *
 * The exports are detached mount clones that are reached by their fds; no name leads to them, nor
 * to anything else of the host. What names are for is /proc/self/fd, to open a pipe or an inode of
 * an fd anew: a bind mount of that one directory, not of /proc, through which root could write to
 * the kernel and walk to other processes' roots.
 *
 *	/		tmpfs, read-only
 *	/proc/self/fd	our own open files
 *
 * By pivot_root(), which leaves none of the host's mounts in the namespace. Where that cannot work,
 * because the caller's own root is no mount point (a chroot) or is the initramfs, by chroot(): the
 * rights it takes to leave that again are given up next.
 */
#include "vmm/jail.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN_FDS	    "/proc/self/fd"
#define ATTRIBUTES  (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
/* Where the new root is mounted before it becomes the root: there is no OWN_FDS without it. */
#define MOUNT_POINT "/proc"

/* A tmpfs, not attached anywhere yet. */
static int make_tmpfs(void)
{
	_cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", "4096", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, ATTRIBUTES);
	return fd < 0 ? -errno : fd;
}

/* Put @own_fds into the attached @root, and close it for writing. */
static int fill(int root, int own_fds)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
	struct mount_attr attributes = {.attr_set = ATTRIBUTES};

	if (mkdirat(root, "proc", 0755) < 0 || mkdirat(root, "proc/self", 0755) < 0 ||
	    mkdirat(root, "proc/self/fd", 0755) < 0 ||
	    mount_setattr(own_fds, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ||
	    move_mount(own_fds, "", root, "proc/self/fd", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    mount_setattr(root, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) < 0)
		return -errno;
	return 0;
}

/*
 * What is mounted and unmounted here must not reach the host's namespace. Return: false if "/" is no
 * mount point, and only the mount on which we mount is ours alone
 */
static int make_private(bool *ret_all)
{
	*ret_all = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (*ret_all)
		return 0;
	return errno == EINVAL && mount(NULL, MOUNT_POINT, NULL, MS_PRIVATE, NULL) == 0 ? 0
											: -errno;
}

/* The working directory becomes the root, and what was the root goes. */
static int change_root(bool pivot)
{
	if (pivot && syscall(SYS_pivot_root, ".", ".") == 0)
		/* the one is mounted on the other now, and "." is the old one */
		return umount2(".", MNT_DETACH) < 0 ? -errno : 0;
	if (pivot && errno != EINVAL)
		return -errno;
	return chroot(".") < 0 ? -errno : 0;
}

int jail_root(struct rsm_error *err)
{
	_cleanup_close_ int own_fds = -1, root = -1;
	bool all_private;
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return errno == EPERM ? 1 : rsm_fail_errno(err, errno, "make a mount namespace");
	r = make_private(&all_private);
	if (r < 0)
		return rsm_fail_errno(err, r, "make the mounts private");
	own_fds = open_tree(AT_FDCWD, OWN_FDS, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (own_fds < 0)
		return rsm_fail_errno(err, errno, "clone the mount of " OWN_FDS);
	root = r = make_tmpfs();
	if (r < 0)
		return rsm_fail_errno(err, r, "make a tmpfs");
	if (move_mount(root, "", AT_FDCWD, MOUNT_POINT, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return rsm_fail_errno(err, errno, "mount a tmpfs");
	r = fill(root, own_fds);
	if (r < 0)
		return rsm_fail_errno(err, r, "fill a tmpfs");
	r = fchdir(root) < 0 ? -errno : change_root(all_private);
	if (r == 0)
		r = chdir("/") < 0 ? -errno : 0;
	return r < 0 ? rsm_fail_errno(err, r, "change the root") : 0;
}
