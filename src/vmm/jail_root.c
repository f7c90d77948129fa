// SPDX-License-Identifier: Apache-2.0
/*
 * A root with nothing in it, in a mount namespace that shows what is exported.
 *
 * Two trees. Ours, which is what a path means to this process:
 *
 *	/		tmpfs, read-only
 *	/proc/self/fd	our own open files
 *
 * The exports are detached mount clones that are reached by their fds; no name leads to them, nor
 * to anything else of the host. What names are for is /proc/self/fd, to open a pipe or an inode of
 * an fd anew: a bind mount of that one directory, not of /proc, through which root could write to
 * the kernel and walk to other processes' roots.
 *
 * And the namespace's (jail_view.c), in which somebody of the host finds himself who joins it. Ours
 * is detached from it: no path leads from the one to the other, and the rights it takes to change
 * the root or to join a namespace are given up next.
 *
 * The namespace's root is changed by pivot_root(), which leaves none of the host's mounts in it.
 * Where that cannot work, because the caller's own root is no mount point (a chroot) or is the
 * initramfs, the host's mounts stay in the namespace, out of our sight.
 */
#include "vmm/jail_view.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN_FDS     "/proc/self/fd"
#define ATTRIBUTES  (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
/* Where a new root is mounted before it becomes the root: there is no OWN_FDS without it. */
#define MOUNT_POINT "/proc"

int jail_tmpfs(void)
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

int jail_close_for_writing(int fd)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};

	return mount_setattr(fd, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) < 0 ? -errno : 0;
}

/* Put @own_fds into the attached @root, and close it for writing. */
static int fill(int root, int own_fds)
{
	struct mount_attr attributes = {.attr_set = ATTRIBUTES};

	if (mkdirat(root, "proc", 0755) < 0 || mkdirat(root, "proc/self", 0755) < 0 ||
	    mkdirat(root, "proc/self/fd", 0755) < 0 ||
	    mount_setattr(own_fds, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ||
	    move_mount(own_fds, "", root, "proc/self/fd", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return jail_close_for_writing(root);
}

/*
 * What is mounted and unmounted here must not reach the host's namespace. Return: false if "/" is
 * no mount point, and only the mount on which we mount is ours alone
 */
static int make_private(bool *ret_all)
{
	*ret_all = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (*ret_all)
		return 0;
	return errno == EINVAL && mount(NULL, MOUNT_POINT, NULL, MS_PRIVATE, NULL) == 0 ? 0
											: -errno;
}

static int attach(int tree)
{
	return move_mount(tree, "", AT_FDCWD, MOUNT_POINT, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno
											: 0;
}

/* The tree of ours, detached: an fd of its root. */
static int make_own_root(int *ret, struct rsm_error *err)
{
	_cleanup_close_ int own_fds = -1, root = -1;
	int r;

	own_fds = open_tree(AT_FDCWD, OWN_FDS, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (own_fds < 0)
		return rsm_fail_errno(err, errno, "clone the mount of " OWN_FDS);
	root = r = jail_tmpfs();
	if (r < 0)
		return rsm_fail_errno(err, r, "make a tmpfs");
	/* only what is attached can be mounted on */
	r = attach(root);
	if (r < 0)
		return rsm_fail_errno(err, r, "mount a tmpfs");
	r = fill(root, own_fds);
	if (r < 0)
		return rsm_fail_errno(err, r, "fill a tmpfs");
	*ret = open_tree(root, "",
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (*ret < 0)
		return rsm_fail_errno(err, errno, "clone a tmpfs");
	return umount2(MOUNT_POINT, MNT_DETACH) < 0 ? rsm_fail_errno(err, errno, "unmount a tmpfs")
						    : 0;
}

/* Mount what becomes the namespace's root: the view, or where there is none an empty tmpfs. */
static int attach_root(const struct jail_view *view)
{
	int root = view ? view->root : -1, r = root < 0 ? 0 : attach(root);

	if (root >= 0 && r == 0) {
		jail_view_fill(view);
		root = fcntl(root, F_DUPFD_CLOEXEC, 3);
		return root < 0 ? -errno : root;
	}
	if (r < 0)
		rsm_log_warn("runsm-vmm's mount namespace, where podman cp looks, is empty: %s",
			     strerror(-r));
	root = jail_tmpfs();
	r = root < 0 ? root : attach(root);
	if (r == 0)
		r = jail_close_for_writing(root);
	if (r < 0)
		rsm_close(&root);
	return r < 0 ? r : root;
}

/* What was the namespace's root goes. Return: 0, 1 where that cannot be done */
static int change_namespace(const struct jail_view *view, struct rsm_error *err)
{
	_cleanup_close_ int root = -1;
	int r = attach_root(view);

	if (r < 0)
		return rsm_fail_errno(err, r, "mount a root");
	root = r;
	r = 0;
	if (fchdir(root) < 0)
		r = -errno;
	if (r == 0 && syscall(SYS_pivot_root, ".", ".") < 0) {
		if (errno == EINVAL)
			return umount2(MOUNT_POINT, MNT_DETACH) < 0
				       ? rsm_fail_errno(err, errno, "unmount the root")
				       : 1;
		r = -errno;
	}
	/* the one is mounted on the other now, and "." is the old one */
	if (r == 0 && umount2(".", MNT_DETACH) < 0)
		r = -errno;
	return r < 0 ? rsm_fail_errno(err, r, "change the namespace's root") : 0;
}

int jail_root(const struct jail_view *view, struct rsm_error *err)
{
	_cleanup_close_ int own = -1;
	bool all_private;
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return errno == EPERM ? 1 : rsm_fail_errno(err, errno, "make a mount namespace");
	r = make_private(&all_private);
	if (r < 0)
		return rsm_fail_errno(err, r, "make the mounts private");
	r = make_own_root(&own, err);
	if (r == 0)
		r = all_private ? change_namespace(view, err) : 1;
	if (r < 0)
		return r;
	if (r > 0)
		rsm_log_debug("jail: the host's root cannot be changed");
	if (fchdir(own) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return rsm_fail_errno(err, errno, "change the root");
	(void)rsm_steal_fd(own); /* a detached mount goes with its fd: for as long as we run */
	return 0;
}
