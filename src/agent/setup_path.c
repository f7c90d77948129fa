// SPDX-License-Identifier: Apache-2.0
/*
 * Paths of the container. The caller is already confined to the container's root, so ".." and
 * absolute symlinks cannot lead out of it; magic links of /proc, which could, are refused.
 */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

int setup_path_open(const char *path)
{
	return rsm_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_NO_MAGICLINKS);
}

/* @dir is made: what it is a dangling symlink to, with @rest of the path behind it. */
static int follow_link(const char *link, const char *rest, char *out, size_t size)
{
	char target[PATH_MAX];
	const char *slash = strrchr(link, '/');
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (target[0] == '/')
		return rsm_format(out, size, "%s/%s", target, rest);
	return rsm_format(out, size, "%.*s/%s/%s", (int)(slash - link), link, target, rest);
}

static int mkdir_p(const char *path, mode_t mode, int links)
{
	char buf[PATH_MAX], again[PATH_MAX];
	struct stat st;
	int ret = rsm_format(buf, sizeof(buf), "%s%s", path[0] == '/' ? "" : "/", path);

	if (ret < 0)
		return ret;
	for (char *p = buf + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(buf, mode) < 0) {
			if (errno != EEXIST)
				return -errno;
			if (stat(buf, &st) < 0) {
				if (errno != ENOENT || links == 0)
					return -errno;
				ret = follow_link(buf, c ? p + 1 : "", again, sizeof(again));
				return ret < 0 ? ret : mkdir_p(again, mode, links - 1);
			}
			if (!S_ISDIR(st.st_mode))
				return -ENOTDIR;
		}
		if (c == '\0')
			return 0;
		*p = c;
		while (p[1] == '/') /* "//" */
			p++;
		if (p[1] == '\0')
			return 0;
	}
}

int setup_mkdir_p(const char *path, mode_t mode)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return mkdir_p(path, mode, LINKS_MAX);
}

static int make_file(const char *path)
{
	char parent[PATH_MAX];
	int ret = rsm_format(parent, sizeof(parent), "%s", path), fd;
	char *slash = strrchr(parent, '/');

	if (ret < 0)
		return ret;
	if (slash && slash != parent) {
		*slash = '\0';
		ret = setup_mkdir_p(parent, 0755);
		if (ret < 0)
			return ret;
	}
	fd = rsm_openat2(AT_FDCWD, path, O_RDONLY | O_CREAT, 0644, RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int setup_path_make(const char *path, bool is_file)
{
	int ret, fd = setup_path_open(path);

	if (fd != -ENOENT)
		return fd;
	ret = is_file ? make_file(path) : setup_mkdir_p(path, 0755);
	return ret < 0 ? ret : setup_path_open(path);
}
