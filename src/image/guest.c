/* SPDX-License-Identifier: Apache-2.0 */
#include "image/guest.h"

#include "base/cleanup.h"
#include "base/math.h"
#include "image/manifest.h"
#include "image/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BUILD_IT "build one with 'runsm guest build'"

static int open_dir(const char *dir, struct rsm_error *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return rsm_fail(err, ENOENT, "no guest image in '%s': " BUILD_IT, dir);
	return fd < 0 ? rsm_fail_errno(err, errno, "open guest image '%s'", dir) : fd;
}

int img_guest_load(const char *dir, struct img_guest *ret, struct rsm_error *err)
{
	_cleanup_close_ int fd = open_dir(dir, err);
	_cleanup_guest_ struct img_guest g = {0};
	int r;

	if (fd < 0)
		return fd;
	r = img_manifest_read(fd, &g, err);
	if (r == -ENOENT)
		return rsm_fail(err, ENOENT, "no guest image in '%s': " BUILD_IT, dir);
	if (r < 0) {
		(void)rsm_error_prefix(err, "guest image '%s' is damaged, " BUILD_IT, dir);
		return r;
	}

	const struct {
		const char *name;
		uint64_t bytes;
	} files[] = {{IMG_KERNEL_FILE, g.kernel.bytes}, {IMG_INITRD_FILE, g.initrd.bytes}};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++) {
		struct stat st;

		if (fstatat(fd, files[i].name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		    (uint64_t)st.st_size != files[i].bytes)
			return rsm_fail(err, EINVAL,
					"guest image '%s' is damaged: its %s is missing or cut "
					"off, " BUILD_IT,
					dir, files[i].name);
	}
	*ret = g;
	g = (struct img_guest){0};
	return 0;
}

int img_guest_verify(const char *dir, const struct img_guest *g, struct rsm_error *err)
{
	const struct {
		const char *name;
		const struct img_file *file;
	} files[] = {{IMG_KERNEL_FILE, &g->kernel}, {IMG_INITRD_FILE, &g->initrd}};
	_cleanup_close_ int dirfd = open_dir(dir, err);

	if (dirfd < 0)
		return dirfd;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(files); i++) {
		_cleanup_close_ int fd = openat(dirfd, files[i].name, O_RDONLY | O_CLOEXEC);
		char sum[IMG_SHA256_HEX_SIZE];
		int r = fd < 0 ? -errno : img_sha256_fd(fd, sum, NULL);

		if (r < 0)
			return rsm_fail_errno(err, r, "read '%s/%s'", dir, files[i].name);
		if (strcmp(sum, files[i].file->sha256) != 0)
			return rsm_fail(err, EINVAL,
					"guest image '%s' is damaged: the checksum of its %s "
					"differs from the manifest's, " BUILD_IT,
					dir, files[i].name);
	}
	return 0;
}
