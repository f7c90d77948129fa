// SPDX-License-Identifier: Apache-2.0
#include "base/mountpoint.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLVE (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

static int open_dir(int rootfd, const char *path)
{
	return rsm_openat2(rootfd, path[0] ? path : "/", O_PATH | O_DIRECTORY, 0, RESOLVE);
}

int rsm_mountpoint_open(int rootfd, const char *destination)
{
	return rsm_openat2(rootfd, destination, O_PATH, 0, RESOLVE);
}

struct owner {
	uid_t uid;
	gid_t gid;
};

/* Make @name in the directory @parent (a path in the root). */
static void make_entry(int rootfd, const char *parent, const char *name, bool file,
		       struct owner owner)
{
	_cleanup_close_ int dir = open_dir(rootfd, parent), fd = -1;

	if (dir < 0) {
		dir = -1;
		return;
	}
	if (!file) {
		if (mkdirat(dir, name, 0755) < 0)
			return;
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	}
	if (fd >= 0 && (owner.uid != geteuid() || owner.gid != getegid()))
		(void)!fchown(fd, owner.uid, owner.gid);
}

void rsm_mountpoint_make(int rootfd, const char *destination, bool file, uid_t uid, gid_t gid)
{
	const struct owner owner = {uid, gid};
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
			make_entry(rootfd, path, p + 1, file && !next, owner);
		*p = '/';
		if (!next)
			return;
		*next = '/';
	}
}
