// SPDX-License-Identifier: Apache-2.0
#include "runtime/scratch.h"

#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define DISK_FD  3 /* of mke2fs */
#define SAID_MAX 400

static int fail(const char *text, struct rsm_error *err)
{
	return rsm_fail(err, EINVAL,
			"annotations." SCRATCH_ANNOTATION
			": '%.200s' is not SIZE@/PATH, with a size from 16M to 16T",
			text);
}

int scratch_parse(const struct oci_spec *spec, struct arena *arena, struct scratch *ret,
		  struct rsm_error *err)
{
	static const char units[] = "KMGT";
	const struct rsm_json *v = rsm_json_get(oci_spec_annotations(spec), SCRATCH_ANNOTATION);
	const char *text, *unit;
	unsigned shift = 0;
	char *end;

	*ret = (struct scratch){0};
	if (!v || rsm_json_type(v) != RSM_JSON_STRING)
		return 0; /* of another type: refused by the parser */
	text = rsm_json_string(v);
	errno = 0;
	ret->size = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || errno)
		return fail(text, err);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (end[0] != '@' || end[1] != '/' || ret->size > SCRATCH_MAX >> shift ||
	    ret->size << shift < SCRATCH_MIN)
		return fail(text, err);
	ret->size <<= shift;
	ret->path = arena_strdup(arena, end + 1);
	return ret->path ? 0 : rsm_fail(err, ENOMEM, "out of memory");
}

/* What mke2fs said last, on one line. */
static void last_words(int fd, char *ret, size_t size)
{
	ssize_t n = pread(fd, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	for (char *at = ret; *at; at++)
		if (*at == '\n')
			*at = at[1] ? ';' : '\0';
}

/*
 * No journal: after a crash there is nobody to recover it for. The tables need not be cleared: they
 * are in a hole of the file.
 */
static int make_file_system(int fd, struct rsm_error *err)
{
	static const char *const paths[] = {"/sbin/mke2fs", "/usr/sbin/mke2fs"};
	static const char *const argv[] = {"mke2fs",
					   "-qF",
					   "-t",
					   "ext4",
					   "-b",
					   "4096",
					   "-m",
					   "0",
					   "-O",
					   "^has_journal,^resize_inode",
					   "-E",
					   "nodiscard,assume_storage_prezeroed=1",
					   "/proc/self/fd/3",
					   NULL};
	_cleanup_close_ int said = memfd_create("mke2fs", MFD_CLOEXEC);
	const int fds[DISK_FD + 1] = {-1, -1, said, fd};
	char words[SAID_MAX];
	int status, ret = -ENOENT;
	pid_t pid;

	if (said < 0)
		return rsm_fail_errno(err, errno, "make a file system for scratch space");
	for (size_t i = 0; i < RSM_ARRAY_SIZE(paths) && ret == -ENOENT; i++) {
		const struct rsm_spawn how = {
			.path = paths[i], .argv = argv, .fds = fds, .nfds = RSM_ARRAY_SIZE(fds)};

		ret = rsm_spawn(&how, &pid, NULL, err);
	}
	if (ret == -ENOENT)
		return rsm_fail(err, ENOENT,
				"annotations." SCRATCH_ANNOTATION
				": there is no mke2fs: install e2fsprogs");
	if (ret < 0)
		return ret;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_words(said, words, sizeof(words));
	return rsm_fail(err, EIO, "make a file system for scratch space: mke2fs: %s", words);
}

/* One that has no name from the start, or loses it at once. */
static int open_nameless(const char *dir)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || errno != EOPNOTSUPP)
		return fd < 0 ? -errno : fd;
	if (rsm_format(path, sizeof(path), "%s/.XXXXXX", dir) < 0)
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

int scratch_make(const char *dir, uint64_t size, struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;
	int ret = rsm_mkdir_p(dir, 0700);

	if (ret == 0)
		fd = open_nameless(dir);
	if (ret < 0 || fd < 0)
		return rsm_fail_errno(err, ret < 0 ? ret : fd, "scratch space in '%s'", dir);
	if (ftruncate(fd, (off_t)size) < 0)
		return rsm_fail_errno(err, errno, "scratch space of %llu MiB in '%s'",
				      (unsigned long long)size >> 20, dir);
	ret = make_file_system(fd, err);
	return ret < 0 ? ret : rsm_steal_fd(fd);
}
