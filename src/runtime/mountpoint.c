// SPDX-License-Identifier: Apache-2.0
/*
 * Mount points in a read-only root file system.
 *
 * A read-only root is exported read-only, so the guest cannot make the directories that config.json
 * mounts things on. runc makes them before it remounts the root; here the host does, resolving
 * every path inside the root file system as if it were "/".
 */
#include "runtime/vmconfig.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Is @path below a mount that comes earlier? Then it is not in the root file system at all. */
static bool below_earlier(const Runsm__CreateContainerRequest *c, size_t i)
{
	const char *path = c->mounts[i]->destination;

	for (size_t k = 0; k < i; k++) {
		const char *above = c->mounts[k]->destination;
		size_t len = strlen(above);

		while (len > 1 && above[len - 1] == '/')
			len--;
		if (strncmp(path, above, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

static int open_dir(int rootfd, const char *path)
{
	return rsm_openat2(rootfd, path[0] ? path : "/", O_PATH | O_DIRECTORY, 0, RESOLVE_IN_ROOT);
}

/* Make @name in the directory @parent (a path in the root). */
static void make_entry(int rootfd, const char *parent, const char *name, bool file)
{
	_cleanup_close_ int dir = open_dir(rootfd, parent), fd = -1;

	if (dir < 0) {
		dir = -1;
		return;
	}
	if (!file) {
		(void)mkdirat(dir, name, 0755);
		return;
	}
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static void make_path(int rootfd, const char *destination, bool file)
{
	char path[PATH_MAX];

	if (rsm_format(path, sizeof(path), "%s", destination) < 0)
		return;
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	for (char *p = path; p; p = strchr(p + 1, '/')) {
		char *next = strchr(p + 1, '/');

		if (next)
			*next = '\0';
		*p = '\0';
		/* "." and ".." are resolved by the kernel; nothing is to be made for them. */
		if (p[1] && strcmp(p + 1, ".") != 0 && strcmp(p + 1, "..") != 0)
			make_entry(rootfd, path, p + 1, file && !next);
		*p = '/';
		if (!next)
			return;
		*next = '/';
	}
}

void vmconfig_make_mountpoints(const char *rootfs, const Runsm__CreateContainerRequest *c)
{
	_cleanup_close_ int rootfd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; rootfd >= 0 && i < c->n_mounts; i++)
		if (!below_earlier(c, i))
			make_path(rootfd, c->mounts[i]->destination, c->mounts[i]->is_file);
}
