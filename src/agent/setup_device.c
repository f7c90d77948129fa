// SPDX-License-Identifier: Apache-2.0
/*
 * A device that config.json bind-mounts: what stands for it on the host is a node of the host, here
 * it is the node of the guest's own devtmpfs, found by its number and attached like an export.
 */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define UEVENT_MAX 4096
#define NAME_KEY   "DEVNAME="

/* Path of the node in /dev; -ENODEV if no driver has the number */
static int find_node(const Runsm__Device *d, char *path, size_t size)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	int ret = rsm_format(path, size, "/sys/dev/%s/%u:%u/uevent",
			     d->type == S_IFBLK ? "block" : "char", d->major, d->minor);

	if (ret == 0)
		ret = rsm_read_file_at(AT_FDCWD, path, UEVENT_MAX, &text, NULL);
	if (ret < 0)
		return ret == -ENOENT ? -ENODEV : ret;
	at = strstr(text, NAME_KEY);
	if (!at)
		return -ENODEV;
	at += strlen(NAME_KEY);
	return rsm_format(path, size, "/dev/%.*s", (int)strcspn(at, "\n"), at);
}

int setup_open_device(const Runsm__Mount *m, struct rsm_error *err)
{
	const Runsm__Device *d = m->device;
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int ret;

	if (!d)
		return rsm_fail(err, EINVAL, "no device is given");
	ret = find_node(d, path, sizeof(path));
	if (ret == 0 && (stat(path, &st) < 0 || (st.st_mode & S_IFMT) != d->type ||
			 st.st_rdev != makedev(d->major, d->minor)))
		ret = -ENODEV;
	if (ret < 0)
		return rsm_fail_errno(err, ret, "the guest's kernel has no device %c %u:%u",
				      d->type == S_IFBLK ? 'b' : 'c', d->major, d->minor);
	if (chmod(path, d->mode & 07777) < 0)
		return rsm_fail_errno(err, errno, "set the mode of '%s'", path);
	fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "open '%s'", path);
	ret = setup_mount_flags(fd, m->flags);
	return ret < 0 ? rsm_fail_errno(err, ret, "set the mount flags") : rsm_steal_fd(fd);
}
