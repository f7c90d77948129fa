// SPDX-License-Identifier: Apache-2.0
/*
 * What somebody sees who joins our mount namespace.
 *
 * Clients take the container's pid, which is ours, and expect the container's files in its mount
 * namespace: `podman cp` of a running container joins it and looks below "/". So the namespace has
 * the container's root file system and, on it, what else is exported: clones of the same
 * directories and files, as read-only as those that the file server has. What the guest's kernel
 * mounts by itself (proc, tmpfs and others) is not on the host; where it would be there is an empty
 * read-only tmpfs, so that a copy to there fails and is not made where the container never sees it.
 *
 * The root file system is the image's, and others may change a volume at this moment: each path is
 * resolved inside the tree that there is so far, as by somebody whose root it is, to an fd on which
 * is mounted then. Mount points that are missing are made, as the guest would do it a moment later.
 *
 * All of it is a convenience: what cannot be mounted is logged, and missing.
 */
#include "vmm/jail_view.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is @path below @above, by their words? What symlinks make of them costs a tmpfs more, or less. */
static bool is_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	while (len > 1 && above[len - 1] == '/')
		len--;
	return strncmp(path, above, len) == 0 && path[len] == '/';
}

/* In what is covered already there is nothing to cover. */
static bool covered(const struct jail_view *v, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (v->mounts[k].cover &&
		    is_below(v->mounts[i].destination, v->mounts[k].destination))
			return true;
	return false;
}

/* O_PATH fd of the mount point, made if need be. */
static int open_mountpoint(const struct jail_view *v, const struct jail_mount *m)
{
	struct stat root, st;
	int fd = rsm_mountpoint_open(v->root, m->destination);

	if (fd == -ENOENT) {
		rsm_mountpoint_make(v->root, m->destination, m->is_file, v->uid, v->gid);
		fd = rsm_mountpoint_open(v->root, m->destination);
	}
	/* whoever joins us would not look below the root, but at it */
	if (fd >= 0 && fstat(v->root, &root) == 0 && fstat(fd, &st) == 0 &&
	    st.st_dev == root.st_dev && st.st_ino == root.st_ino) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

/* Return: fd of the tmpfs where @m is a cover, else 0, or -errno */
static int place(const struct jail_view *v, const struct jail_mount *m)
{
	_cleanup_close_ int at = open_mountpoint(v, m), cover = -1;
	int tree = m->tree;

	if (at < 0)
		return at;
	if (m->cover) {
		tree = cover = jail_tmpfs();
		if (tree < 0)
			return tree;
	}
	if (tree < 0)
		return -ENODEV;
	if (move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return m->cover ? rsm_steal_fd(cover) : 0;
}

void jail_view_fill(const struct jail_view *v)
{
	_cleanup_free_ int *covers = calloc(v->n ? v->n : 1, sizeof(*covers));
	size_t ncovers = 0;

	if (!covers)
		rsm_log_warn("out of memory: podman cp to this container fails while it runs");
	for (size_t i = 0; covers && i < v->n; i++) {
		const struct jail_mount *m = &v->mounts[i];
		int r;

		if (m->cover && covered(v, i))
			continue;
		r = place(v, m);
		if (r < 0)
			rsm_log_warn("in the mount namespace of runsm-vmm, where podman cp looks, "
				     "'%s' is missing: %s",
				     m->destination, strerror(-r));
		else if (m->cover)
			covers[ncovers++] = r;
	}
	/* writable until now, for mount points in them */
	for (size_t i = 0; i < ncovers; i++) {
		(void)jail_close_for_writing(covers[i]);
		close(covers[i]);
	}
}
