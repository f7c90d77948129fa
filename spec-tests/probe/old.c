/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What files promise that were there before the container: in an image they lie in a lower layer of
 * an overlay. Each check finds in its directory: f, holding "old", and d/f.
 */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int old_file_replaced_while_open(void)
{
	char buf[8];
	struct stat st;
	int fd = open("f", O_RDONLY);

	EXPECT(fd >= 0 && put("new", "new") == 0 && rename("new", "f") == 0);
	EXPECT(read(fd, buf, sizeof(buf)) == 3 && !memcmp(buf, "old", 3));
	EXPECT(fstat(fd, &st) == 0 && st.st_size == 3);
	EXPECT(close(fd) == 0 && holds("f", "new"));
	return 0;
}

static int old_file_unlinked_while_open(void)
{
	char buf[8], *m;
	int fd = open("f", O_RDONLY);

	EXPECT(fd >= 0 && unlink("f") == 0);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT(m != MAP_FAILED && !memcmp(m, "old", 3));
	EXPECT(pread(fd, buf, sizeof(buf), 0) == 3 && close(fd) == 0);
	EXPECT_ERRNO(access("f", F_OK), ENOENT);
	EXPECT(put("f", "again") == 0 && holds("f", "again"));
	return 0;
}

static int old_file_changed(void)
{
	struct timespec t[2] = {{1111, 1}, {2222, 2}};
	struct stat before, st;
	char buf[8];
	int fd;

	EXPECT(stat("f", &before) == 0 && chmod("f", 0751) == 0 && chown("f", 12, 34) == 0);
	EXPECT(setxattr("f", "user.x", "y", 1, 0) == 0 && getxattr("f", "user.x", buf, 8) == 1);
	fd = open("f", O_RDWR | O_APPEND);
	EXPECT(fd >= 0 && write(fd, "er", 2) == 2 && close(fd) == 0);
	EXPECT(utimensat(AT_FDCWD, "f", t, 0) == 0 && stat("f", &st) == 0);
	EXPECT((st.st_mode & 07777) == 0751 && st.st_uid == 12 && st.st_gid == 34);
	EXPECT(st.st_size == 5 && st.st_mtim.tv_sec == 2222 && st.st_mtim.tv_nsec == 2);
	EXPECT(st.st_ino == before.st_ino && st.st_dev == before.st_dev);
	EXPECT(holds("f", "older") && truncate("f", 1) == 0 && holds("f", "o"));
	return 0;
}

static int old_file_mapped_and_written(void)
{
	char *m;
	int fd = open("f", O_RDWR);

	EXPECT(fd >= 0);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(m != MAP_FAILED && !memcmp(m, "old", 3));
	m[0] = 'c';
	EXPECT(msync(m, 4096, MS_SYNC) == 0 && munmap(m, 4096) == 0 && close(fd) == 0);
	EXPECT(holds("f", "cld"));
	return 0;
}

static int old_file_linked_and_renamed(void)
{
	struct stat a, b;

	EXPECT(link("f", "g") == 0 && stat("f", &a) == 0 && stat("g", &b) == 0);
	EXPECT(a.st_ino == b.st_ino && a.st_nlink == 2);
	EXPECT(put("g", "by g") == 0 && holds("f", "by g"));
	EXPECT(rename("f", "h") == 0 && unlink("g") == 0 && holds("h", "by g"));
	EXPECT(rename("d/f", "f") == 0 && holds("f", "old"));
	return 0;
}

static int old_directory_removed_and_made_again(void)
{
	EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
	EXPECT(unlink("d/f") == 0 && rmdir("d") == 0 && mkdir("d", 0700) == 0);
	EXPECT_ERRNO(access("d/f", F_OK), ENOENT);
	EXPECT(put("d/f", "new") == 0 && holds("d/f", "new"));
	return 0;
}

const struct check old_checks[] = {
	{"old_file_replaced_while_open", old_file_replaced_while_open},
	{"old_file_unlinked_while_open", old_file_unlinked_while_open},
	{"old_file_changed", old_file_changed},
	{"old_file_mapped_and_written", old_file_mapped_and_written},
	{"old_file_linked_and_renamed", old_file_linked_and_renamed},
	{"old_directory_removed_and_made_again", old_directory_removed_and_made_again},
	{NULL, NULL},
};
