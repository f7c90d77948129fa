/* SPDX-License-Identifier: Apache-2.0 */
/* What one file promises: content, size, holes, attributes, times. */
#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int open_flags(void)
{
	EXPECT(put("f", "hello") == 0);
	EXPECT_ERRNO(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	EXPECT_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_ERRNO(open("none", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(open(".", O_WRONLY), EISDIR);
	EXPECT(close(open("f", O_WRONLY | O_TRUNC)) == 0);
	EXPECT(holds("f", ""));
	EXPECT(open("f", O_PATH) >= 0);
	EXPECT_ERRNO(open("/proc/self/exe", O_WRONLY), ETXTBSY);
	return 0;
}

static int truncate_and_extend(void)
{
	char buf[16];
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && write(fd, "0123456789", 10) == 10);
	EXPECT(ftruncate(fd, 4) == 0);
	EXPECT(ftruncate(fd, 8) == 0);
	EXPECT(pread(fd, buf, sizeof(buf), 0) == 8);
	EXPECT(!memcmp(buf, "0123\0\0\0\0", 8));
	EXPECT(pread(fd, buf, sizeof(buf), 8) == 0);
	EXPECT(pread(fd, buf, sizeof(buf), 1 << 20) == 0);
	EXPECT(truncate("f", 0) == 0 && holds("f", ""));
	EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
	return 0;
}

static int append_mode(void)
{
	int a = open("f", O_WRONLY | O_CREAT | O_APPEND, 0644);
	int b = open("f", O_WRONLY | O_APPEND);

	EXPECT(a >= 0 && b >= 0);
	for (int i = 0; i < 3; i++)
		EXPECT(write(a, "a", 1) == 1 && write(b, "b", 1) == 1);
	EXPECT(holds("f", "ababab"));
	return 0;
}

static int odd_offsets(void)
{
	enum { SIZE = 1 << 20 };
	unsigned char *data = malloc(SIZE), *back = malloc(SIZE);
	size_t off = 0, n;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && data && back);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (unsigned char)(i * 7 + i / 251);
	for (n = 1; off < SIZE; off += n, n = n * 3 + 1) {
		if (n > SIZE - off)
			n = SIZE - off;
		EXPECT(pwrite(fd, data + off, n, (off_t)off) == (ssize_t)n);
	}
	EXPECT(fsync(fd) == 0);
	for (off = 0; off < SIZE; off += n) {
		n = SIZE - off < 4097 ? SIZE - off : 4097;
		EXPECT(pread(fd, back + off, n, (off_t)off) == (ssize_t)n);
	}
	EXPECT(!memcmp(data, back, SIZE));
	return 0;
}

static int sparse_files(void)
{
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	off_t far = 5LL << 30;

	EXPECT(fd >= 0);
	EXPECT(pwrite(fd, "x", 1, far) == 1);
	EXPECT(fsync(fd) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == far + 1);
	EXPECT(st.st_blocks < 2048);
	EXPECT(lseek(fd, 0, SEEK_HOLE) == 0);
	EXPECT(lseek(fd, 0, SEEK_DATA) > 0);
	EXPECT(lseek(fd, far, SEEK_HOLE) == far + 1);
	EXPECT_ERRNO(lseek(fd, far + 1, SEEK_DATA), ENXIO);
	return 0;
}

static int fallocate_modes(void)
{
	static char block[65536];
	char c = 1;
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && fallocate(fd, 0, 0, 65536) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == 65536 && st.st_blocks >= 128);
	EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == 65536);
	memset(block, 'x', sizeof(block));
	EXPECT(pwrite(fd, block, sizeof(block), 0) == sizeof(block));
	EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0);
	EXPECT(pread(fd, &c, 1, 4096) == 1 && c == 0);
	EXPECT(pread(fd, &c, 1, 4095) == 1 && c == 'x');
	EXPECT(pread(fd, &c, 1, 12288) == 1 && c == 'x');
	return 0;
}

static int shared_mapping(void)
{
	char *m, c;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && ftruncate(fd, 3 * 4096) == 0);
	m = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(m != MAP_FAILED);
	m[5000] = 'm';
	EXPECT(pread(fd, &c, 1, 5000) == 1 && c == 'm');
	EXPECT(pwrite(fd, "w", 1, 9000) == 1 && m[9000] == 'w');
	EXPECT(msync(m, 3 * 4096, MS_SYNC) == 0);
	EXPECT(munmap(m, 3 * 4096) == 0 && close(fd) == 0);
	fd = open("f", O_RDONLY);
	EXPECT(pread(fd, &c, 1, 5000) == 1 && c == 'm');
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
	EXPECT(m != MAP_FAILED && m[5000 - 4096] == 'm');
	m[5000 - 4096] = 'p';
	EXPECT(pread(fd, &c, 1, 5000) == 1 && c == 'm');
	return 0;
}

static int touch_past_end(const void *cookie)
{
	const volatile char *m = cookie;

	return m[4096];
}

static int mapping_beyond_the_end(void)
{
	char *m;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && ftruncate(fd, 8192) == 0);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(m != MAP_FAILED);
	m[4096] = 'x';
	EXPECT(ftruncate(fd, 100) == 0);
	EXPECT(in_child(touch_past_end, m) == 128 + SIGBUS);
	EXPECT(m[0] == 0);
	return 0;
}

static int xattrs(void)
{
	char buf[4096], big[2000];
	ssize_t n;

	memset(big, 'b', sizeof(big));
	EXPECT(put("f", "") == 0);
	EXPECT(setxattr("f", "user.one", "1", 1, XATTR_CREATE) == 0);
	EXPECT_ERRNO(setxattr("f", "user.one", "2", 1, XATTR_CREATE), EEXIST);
	EXPECT_ERRNO(setxattr("f", "user.none", "2", 1, XATTR_REPLACE), ENODATA);
	EXPECT(setxattr("f", "user.big", big, sizeof(big), 0) == 0);
	EXPECT(setxattr("f", "user.empty", "", 0, 0) == 0);
	EXPECT(getxattr("f", "user.big", NULL, 0) == sizeof(big));
	EXPECT_ERRNO(getxattr("f", "user.big", buf, 10), ERANGE);
	EXPECT(getxattr("f", "user.big", buf, sizeof(buf)) == sizeof(big));
	EXPECT(!memcmp(buf, big, sizeof(big)));
	EXPECT(getxattr("f", "user.empty", buf, sizeof(buf)) == 0);
	EXPECT_ERRNO(getxattr("f", "user.none", buf, sizeof(buf)), ENODATA);
	n = listxattr("f", buf, sizeof(buf));
	EXPECT(n > 0 && memmem(buf, (size_t)n, "user.one", 9) && memmem(buf, (size_t)n, "user.big", 9));
	EXPECT(removexattr("f", "user.one") == 0);
	EXPECT_ERRNO(removexattr("f", "user.one"), ENODATA);
	EXPECT(setxattr(".", "user.dir", "d", 1, 0) == 0);
	EXPECT(getxattr(".", "user.dir", buf, sizeof(buf)) == 1);
	return 0;
}

static int set_times(void)
{
	struct timespec want[2] = {{1000000000, 123456789}, {2000000000, 987654321}};
	struct stat st, now;

	EXPECT(put("f", "") == 0 && stat("f", &now) == 0);
	EXPECT(llabs((long long)(time(NULL) - now.st_mtim.tv_sec)) < 5);
	EXPECT(utimensat(AT_FDCWD, "f", want, 0) == 0 && stat("f", &st) == 0);
	EXPECT(!memcmp(&st.st_atim, &want[0], sizeof(want[0])));
	EXPECT(!memcmp(&st.st_mtim, &want[1], sizeof(want[1])));
	want[0].tv_nsec = UTIME_OMIT;
	want[1].tv_nsec = UTIME_NOW;
	EXPECT(utimensat(AT_FDCWD, "f", want, 0) == 0 && stat("f", &st) == 0);
	EXPECT(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec != 2000000000);
	EXPECT(symlink("f", "l") == 0);
	want[0] = want[1] = (struct timespec){1500000000, 1};
	EXPECT(utimensat(AT_FDCWD, "l", want, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT(lstat("l", &st) == 0 && st.st_mtim.tv_sec == 1500000000);
	EXPECT(stat("f", &st) == 0 && st.st_mtim.tv_sec != 1500000000);
	return 0;
}

static int mtime_follows_writes(void)
{
	struct timespec old[2] = {{1, 0}, {1, 0}};
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && futimens(fd, old) == 0);
	EXPECT(write(fd, "x", 1) == 1 && fstat(fd, &st) == 0);
	EXPECT(st.st_mtim.tv_sec > 1 && st.st_size == 1);
	EXPECT(close(fd) == 0 && stat("f", &st) == 0 && st.st_mtim.tv_sec > 1);
	EXPECT(utimensat(AT_FDCWD, ".", old, 0) == 0 && put("g", "") == 0);
	EXPECT(stat(".", &st) == 0 && st.st_mtim.tv_sec > 1);
	return 0;
}

static int copy_inside_the_kernel(void)
{
	char text[] = "the quick brown fox jumps over the lazy dog";
	off_t from = 4, to = 0;
	int a, b, c;

	EXPECT(put("a", text) == 0);
	a = open("a", O_RDONLY);
	b = open("b", O_RDWR | O_CREAT, 0644);
	c = open("c", O_RDWR | O_CREAT, 0644);
	EXPECT(a >= 0 && b >= 0 && c >= 0);
	EXPECT(copy_file_range(a, &from, b, &to, 15, 0) == 15);
	EXPECT(holds("b", "quick brown fox"));
	EXPECT(sendfile(c, a, NULL, sizeof(text) - 1) == sizeof(text) - 1);
	EXPECT(holds("c", text));
	return 0;
}

static int unlinked_but_open(void)
{
	char buf[8];
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EXPECT(fd >= 0 && write(fd, "abc", 3) == 3);
	EXPECT(unlink("f") == 0);
	EXPECT_ERRNO(access("f", F_OK), ENOENT);
	EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 3);
	EXPECT(write(fd, "def", 3) == 3 && pread(fd, buf, 8, 0) == 6 && !memcmp(buf, "abcdef", 6));
	EXPECT(ftruncate(fd, 2) == 0 && fchmod(fd, 0600) == 0);
	EXPECT(put("f", "new") == 0 && pread(fd, buf, 8, 0) == 2);
	return 0;
}

static int anonymous_file(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	struct stat st;

	EXPECT(fd >= 0 && write(fd, "tmp", 3) == 3);
	EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0640);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
	EXPECT(holds("named", "tmp"));
	EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 1);
	return 0;
}

static int file_system_facts(void)
{
	struct statfs fs;
	struct stat a, b;

	EXPECT(statfs(".", &fs) == 0 && fs.f_bsize > 0 && fs.f_blocks > 0 && fs.f_namelen == 255);
	EXPECT(put("f", "") == 0 && stat("f", &a) == 0 && stat(".", &b) == 0);
	EXPECT(a.st_dev == b.st_dev && a.st_ino != b.st_ino && a.st_blksize >= 512);
	return 0;
}

static int sync_calls(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_SYNC, 0644), dir = open(".", O_RDONLY | O_DIRECTORY);

	EXPECT(fd >= 0 && dir >= 0 && write(fd, "x", 1) == 1);
	EXPECT(fsync(fd) == 0 && fdatasync(fd) == 0 && fsync(dir) == 0 && syncfs(fd) == 0);
	sync();
	return 0;
}

const struct check file_checks[] = {
	{"open_flags", open_flags},
	{"truncate_and_extend", truncate_and_extend},
	{"append_mode", append_mode},
	{"odd_offsets", odd_offsets},
	{"sparse_files", sparse_files},
	{"fallocate_modes", fallocate_modes},
	{"shared_mapping", shared_mapping},
	{"mapping_beyond_the_end", mapping_beyond_the_end},
	{"xattrs", xattrs},
	{"set_times", set_times},
	{"mtime_follows_writes", mtime_follows_writes},
	{"copy_inside_the_kernel", copy_inside_the_kernel},
	{"unlinked_but_open", unlinked_but_open},
	{"anonymous_file", anonymous_file},
	{"file_system_facts", file_system_facts},
	{"sync_calls", sync_calls},
	{NULL, NULL},
};
