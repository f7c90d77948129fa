// SPDX-License-Identifier: Apache-2.0
/*
 * Scratch space: the file system on the guest's first disk, made by the host. It is mounted
 * detached while the guest's /dev is in sight, and attached in the container like an export.
 */
#include "agent/setup.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK "/dev/vda"

/* In the words of fsconfig(2): "discard" gives what is deleted back to the host. */
static int configure(int fs)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, "source", DISK, 0) < 0 ||
			       fsconfig(fs, FSCONFIG_SET_FLAG, "discard", NULL, 0) < 0 ||
			       fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0
		       ? -errno
		       : 0;
}

int setup_open_scratch(struct rsm_error *err)
{
	_cleanup_close_ int fs = fsopen("ext4", FSOPEN_CLOEXEC), fd = -1;
	int ret;

	if (fs < 0)
		return rsm_fail_errno(err, errno, "scratch space: the guest's kernel has no ext4");
	ret = configure(fs);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "scratch space: mount " DISK);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? rsm_fail_errno(err, errno, "scratch space: mount " DISK) : rsm_steal_fd(fd);
}

int setup_dress_scratch(int tree, int covered)
{
	_cleanup_close_ int dir = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (dir < 0 || fstat(covered, &st) < 0 || fchown(dir, st.st_uid, st.st_gid) < 0 ||
	    fchmod(dir, st.st_mode & 07777) < 0)
		return -errno;
	return unlinkat(dir, "lost+found", AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}
