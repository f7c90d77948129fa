// SPDX-License-Identifier: Apache-2.0
/*
 * tmpcopyup: a tmpfs begins with what the directory it is mounted on has.
 *
 * Contents, modes, owners, times and extended attributes are copied; hard links become files of
 * their own, sockets are left out. What is copied is the image's, so names are taken one by one
 * and never followed.
 */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define DEPTH_MAX 128
#define CHUNK     (1U << 20)

static int copy_tree(int from, int to, int depth);

/* An owner that a user namespace does not know cannot be given there: it stays the one it has. */
static int set_owner(int dir, const char *name, const struct stat *st)
{
	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 ||
	    errno == EPERM || errno == EINVAL)
		return 0;
	return -errno;
}

/* Those that tmpfs cannot have, or this process cannot see, are left out. */
static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (char *at = names; n > 0 && at < names + n; at += strlen(at) + 1) {
		ssize_t len = fgetxattr(from, at, value, sizeof(value));

		if (len >= 0)
			(void)fsetxattr(to, at, value, (size_t)len, 0);
	}
}

/* In this order: a change of owner takes set-user-ID bits and file capabilities away. */
static int copy_metadata(int from, int to, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	int ret = set_owner(to, "", st);

	if (ret < 0)
		return ret;
	if (fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	copy_xattrs(from, to);
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to = -1;
	ssize_t n;

	if (from < 0)
		return -errno;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	do
		n = sendfile(to, from, NULL, CHUNK);
	while (n > 0);
	return n < 0 ? -errno : copy_metadata(from, to, st);
}

static int copy_dir(int from_dir, int to_dir, const char *name, const struct stat *st, int depth)
{
	_cleanup_close_ int from = -1, to = -1;
	int ret;

	if (depth == DEPTH_MAX)
		return -ELOOP;
	from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || mkdirat(to_dir, name, 0700) < 0)
		return -errno;
	to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return -errno;
	ret = copy_tree(from, to, depth + 1);
	return ret < 0 ? ret : copy_metadata(from, to, st);
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to_dir, name) < 0)
		return -errno;
	if (utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return set_owner(to_dir, name, st);
}

static int copy_node(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	int ret;

	if (mknodat(to_dir, name, st->st_mode, st->st_rdev) < 0)
		return -errno;
	ret = set_owner(to_dir, name, st);
	if (ret == 0 && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
		ret = -errno;
	return ret;
}

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(from, to, name, &st);
	case S_IFDIR:
		return copy_dir(from, to, name, &st, depth);
	case S_IFLNK:
		return copy_link(from, to, name, &st);
	case S_IFSOCK:
		return 0;
	default:
		return copy_node(from, to, name, &st);
	}
}

static int copy_tree(int from, int to, int depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		int ret;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		ret = copy_entry(from, to, e->d_name, depth);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int setup_copy_up(int from, const char *destination)
{
	_cleanup_close_ int at = setup_path_open(destination), to = -1;
	struct stat st;
	int ret;

	if (at < 0)
		return at;
	to = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0 || fstat(from, &st) < 0)
		return -errno;
	ret = copy_tree(from, to, 0);
	return ret < 0 ? ret : set_owner(to, "", &st);
}
