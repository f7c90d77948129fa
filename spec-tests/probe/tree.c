/* SPDX-License-Identifier: Apache-2.0 */
/* What names and directories promise. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE	 (1 << 1)
#endif

static int hard_links(void)
{
	struct stat a, b;

	EXPECT(put("a", "one") == 0 && link("a", "b") == 0);
	EXPECT(stat("a", &a) == 0 && stat("b", &b) == 0);
	EXPECT(a.st_ino == b.st_ino && a.st_nlink == 2 && b.st_nlink == 2);
	EXPECT(put("b", "two") == 0 && holds("a", "two"));
	EXPECT_ERRNO(link("a", "b"), EEXIST);
	EXPECT(unlink("a") == 0 && stat("b", &b) == 0 && b.st_nlink == 1 && holds("b", "two"));
	EXPECT(mkdir("d", 0755) == 0);
	EXPECT_ERRNO(link("d", "e"), EPERM);
	return 0;
}

static int symlinks(void)
{
	char buf[PATH_MAX], longest[PATH_MAX];
	struct stat st;

	EXPECT(put("f", "target") == 0 && symlink("f", "l") == 0);
	EXPECT(holds("l", "target"));
	EXPECT(readlink("l", buf, sizeof(buf)) == 1 && buf[0] == 'f');
	EXPECT(lstat("l", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 1);
	EXPECT_ERRNO(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	EXPECT(symlink("nowhere", "dangling") == 0);
	EXPECT_ERRNO(open("dangling", O_RDONLY), ENOENT);
	EXPECT(symlink("loop", "loop") == 0);
	EXPECT_ERRNO(open("loop", O_RDONLY), ELOOP);
	/* an absolute target is the container's, as is one that climbs above the root */
	EXPECT(symlink("/etc/passwd", "abs") == 0 && access("abs", R_OK) == 0);
	EXPECT(symlink("../../../../../../../../../../etc/passwd", "up") == 0);
	EXPECT(stat("up", &st) == 0);
	EXPECT(realpath("up", buf) && !strcmp(buf, "/etc/passwd"));
	memset(longest, 'x', sizeof(longest));
	longest[PATH_MAX - 1] = 0;
	EXPECT(symlink(longest, "longest") == 0);
	EXPECT(readlink("longest", buf, sizeof(buf)) == PATH_MAX - 1);
	EXPECT(unlink("l") == 0 && holds("f", "target"));
	return 0;
}

static int renames(void)
{
	EXPECT(put("a", "a") == 0 && put("b", "b") == 0 && rename("a", "b") == 0);
	EXPECT(holds("b", "a"));
	EXPECT_ERRNO(access("a", F_OK), ENOENT);
	EXPECT(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && put("e/x", "x") == 0);
	EXPECT_ERRNO(rename("d", "e"), ENOTEMPTY);
	EXPECT_ERRNO(rename("d", "d/sub"), EINVAL);
	EXPECT_ERRNO(rename("b", "d"), EISDIR);
	EXPECT_ERRNO(rename("d", "b"), ENOTDIR);
	EXPECT(rename("e", "d") == 0 && holds("d/x", "x"));
	EXPECT(rename("d/x", "x") == 0 && holds("x", "x"));
	EXPECT_ERRNO(renameat2(AT_FDCWD, "x", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	EXPECT(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE) == 0);
	EXPECT(renameat2(AT_FDCWD, "y", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
	EXPECT(holds("y", "a") && holds("b", "x"));
	EXPECT(renameat2(AT_FDCWD, "y", AT_FDCWD, "d", RENAME_EXCHANGE) == 0 && holds("d", "a"));
	return 0;
}

static int names(void)
{
	static const char *const odd[] = {"with space", "new\nline",  "back\\slash", "-dash", "q\"uo'te",
					  "\xc3\xa9",	"\xff\xfe", ".hidden",     "...",   " ", NULL};
	char name[300], path[600];

	for (size_t i = 0; odd[i]; i++) {
		EXPECT(put(odd[i], odd[i]) == 0);
		EXPECT(holds(odd[i], odd[i]));
	}
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	EXPECT(put(name, "long") == 0 && holds(name, "long") && mkdir("d", 0755) == 0);
	snprintf(path, sizeof(path), "d/%s", name);
	EXPECT(rename(name, path) == 0 && holds(path, "long"));
	name[255] = 'n';
	name[256] = 0;
	EXPECT_ERRNO(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
	EXPECT_ERRNO(mkdir(".", 0755), EEXIST);
	EXPECT_ERRNO(mkdir("..", 0755), EEXIST);
	EXPECT_ERRNO(rmdir("."), EINVAL);
	EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
	EXPECT_ERRNO(unlink("d"), EISDIR);
	EXPECT_ERRNO(rmdir("-dash"), ENOTDIR);
	return 0;
}

static int deep_tree(void)
{
	for (int i = 0; i < 60; i++)
		EXPECT(mkdir("d", 0755) == 0 && chdir("d") == 0);
	EXPECT(put("bottom", "b") == 0 && holds("bottom", "b"));
	for (int i = 0; i < 60; i++)
		EXPECT(chdir("..") == 0);
	EXPECT(access("d/d/d/d/d/d", F_OK) == 0);
	return 0;
}

/* Each name exactly once, with the right type and inode, also while entries come and go. */
static int big_directory(void)
{
	enum { COUNT = 1500 };
	static unsigned char seen[COUNT];
	char name[32];
	struct dirent *e;
	struct stat st;
	int n = 0, i;
	DIR *d;

	EXPECT(mkdir("big", 0755) == 0 && chdir("big") == 0);
	for (i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "entry-with-a-longish-name-%d", i);
		EXPECT(close(open(name, O_WRONLY | O_CREAT, 0644)) == 0);
	}
	d = opendir(".");
	EXPECT(d);
	while (errno = 0, (e = readdir(d))) {
		if (sscanf(e->d_name, "entry-with-a-longish-name-%d", &i) != 1)
			continue;
		EXPECT(i >= 0 && i < COUNT && !seen[i]);
		seen[i] = 1;
		EXPECT(e->d_type == DT_REG);
		if (n++ % 100 == 0)
			EXPECT(stat(e->d_name, &st) == 0 && st.st_ino == e->d_ino);
		/* what was already seen vanishes, the rest must still come */
		EXPECT(unlink(e->d_name) == 0);
	}
	EXPECT(n == COUNT);
	rewinddir(d);
	for (n = 0; (e = readdir(d)); n++)
		;
	EXPECT(n == 2 && chdir("..") == 0 && rmdir("big") == 0);
	return 0;
}

static int directory_positions(void)
{
	char name[32], first[256];
	struct dirent *e;
	long pos;
	DIR *d;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%d", i);
		EXPECT(put(name, "") == 0);
	}
	d = opendir(".");
	for (int i = 0; i < 50; i++)
		EXPECT(readdir(d));
	pos = telldir(d);
	e = readdir(d);
	EXPECT(e);
	snprintf(first, sizeof(first), "%s", e->d_name);
	while (readdir(d))
		;
	seekdir(d, pos);
	e = readdir(d);
	EXPECT(e && !strcmp(e->d_name, first));
	return 0;
}

static int removed_but_open_directory(void)
{
	int fd;

	EXPECT(mkdir("d", 0755) == 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	EXPECT(fd >= 0 && rmdir("d") == 0);
	EXPECT_ERRNO(openat(fd, "x", O_WRONLY | O_CREAT, 0644), ENOENT);
	EXPECT(mkdir("d", 0755) == 0);
	EXPECT_ERRNO(openat(fd, "x", O_WRONLY | O_CREAT, 0644), ENOENT);
	return 0;
}

static int link_counts_of_directories(void)
{
	struct stat st;

	EXPECT(mkdir("d", 0755) == 0 && stat("d", &st) == 0 && st.st_nlink == 2);
	EXPECT(mkdir("d/e", 0755) == 0 && stat("d", &st) == 0 && st.st_nlink == 3);
	EXPECT(rmdir("d/e") == 0 && stat("d", &st) == 0 && st.st_nlink == 2);
	return 0;
}

const struct check tree_checks[] = {
	{"hard_links", hard_links},
	{"symlinks", symlinks},
	{"renames", renames},
	{"names", names},
	{"deep_tree", deep_tree},
	{"big_directory", big_directory},
	{"directory_positions", directory_positions},
	{"removed_but_open_directory", removed_but_open_directory},
	{"link_counts_of_directories", link_counts_of_directories},
	{NULL, NULL},
};
