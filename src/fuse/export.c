// SPDX-License-Identifier: Apache-2.0
/* Opening a directory or file as an export. */
#include "fuse/fsrv.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

/*
 * A private copy of the mounts at and below @fd, with nodev. Not attached anywhere: it goes when
 * its fd is closed. Needs CAP_SYS_ADMIN.
 */
static int clone_nodev(int fd, bool readonly)
{
	struct mount_attr attr = {.attr_set =
					  MOUNT_ATTR_NODEV | (readonly ? MOUNT_ATTR_RDONLY : 0)};
	_cleanup_close_ int tree = open_tree(
		fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);

	if (tree < 0)
		return -errno;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return rsm_steal_fd(tree);
}

int fsrv_export_open(const char *path, bool readonly, struct fsrv_export *ret,
		     struct rsm_error *err)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	int tree;

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open '%s'", path);
	tree = clone_nodev(fd, readonly);
	*ret = (struct fsrv_export){
		.fd = tree >= 0 ? tree : rsm_steal_fd(fd),
		.readonly = readonly,
		.nodev = tree >= 0,
	};
	return 0;
}
