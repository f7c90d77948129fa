/* SPDX-License-Identifier: Apache-2.0 */
#include "image/deb.h"

#include "base/io.h"
#include "image/kernel_image.h"
#include "image/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTROL_MAX      ((size_t)256 * 1024)
#define MODULE_MAX       ((size_t)64 * 1024 * 1024)
#define MODULES_MAX      16384
#define MODULES_SIZE_MAX ((size_t)1024 * 1024 * 1024)

void img_deb_free(struct img_deb *d)
{
	free(d->kernel);
	free(d->builtin);
	img_ko_set_free(&d->modules);
	*d = (struct img_deb){0};
}

void img_control_field(const char *text, const char *field, char *ret, size_t size)
{
	size_t len = strlen(field);
	size_t n;

	for (const char *line = text; *line && *line != '\n'; line += n + (line[n] == '\n')) {
		const char *value;
		size_t value_len;

		n = strcspn(line, "\n");
		if (strncasecmp(line, field, len) != 0 || line[len] != ':')
			continue;
		value = line + len + 1;
		value += strspn(value, " \t");
		if (value > line + n)
			return;
		value_len = (size_t)(line + n - value);
		if (value_len < size) {
			memcpy(ret, value, value_len);
			ret[value_len] = '\0';
		}
		return;
	}
}

/* ---------------------------------------------------------------- a tar inside the ar */

/* An archive whose bytes are the current entry of another one. */
struct inner {
	struct archive *outer;
	char block[65536];
};

static ssize_t inner_read(struct archive *a, void *cookie, const void **ret)
{
	struct inner *in = cookie;
	ssize_t n = archive_read_data(in->outer, in->block, sizeof(in->block));

	if (n < 0)
		archive_set_error(a, EBADMSG, "%s", archive_error_string(in->outer));
	*ret = in->block;
	return n;
}

/* Called for each regular file. @path is without "./" in front. Return: 0 or an error to stop */
typedef int (*tar_fn)(struct archive *a, const char *path, struct img_deb *d,
		      struct rsm_error *err);

static int read_tar(struct archive *outer, const char *what, tar_fn fn, struct img_deb *d,
		    struct rsm_error *err)
{
	_cleanup_free_ struct inner *in = calloc(1, sizeof(*in));
	_cleanup_archive_read_ struct archive *a = archive_read_new();
	struct archive_entry *entry;
	int r;

	if (!a || !in)
		return rsm_fail_errno(err, ENOMEM, "%s", what);
	in->outer = outer;
	archive_read_support_filter_all(a);
	archive_read_support_format_tar(a);
	if (archive_read_open(a, in, NULL, inner_read, NULL) != ARCHIVE_OK)
		return img_unpack_error(a, what, err);
	for (;;) {
		const char *path;

		r = archive_read_next_header(a, &entry);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return img_unpack_error(a, what, err);
		path = archive_entry_pathname(entry);
		if (!path || archive_entry_filetype(entry) != AE_IFREG)
			continue;
		path += strspn(path, "./");
		r = fn(a, path, d, err);
		if (r < 0)
			return r;
	}
}

/* ---------------------------------------------------------------- what is in them */

static int on_control(struct archive *a, const char *path, struct img_deb *d, struct rsm_error *err)
{
	_cleanup_free_ void *text = NULL;
	size_t len;
	int r;

	if (strcmp(path, "control") != 0)
		return 0;
	r = img_unpack_read(a, "control", CONTROL_MAX, &text, &len, err);
	if (r < 0)
		return r;
	img_control_field(text, "Package", d->package, sizeof(d->package));
	img_control_field(text, "Version", d->version, sizeof(d->version));
	img_control_field(text, "Architecture", d->architecture, sizeof(d->architecture));
	return 0;
}

static int add_module(struct archive *a, const char *path, struct img_deb *d, struct rsm_error *err)
{
	_cleanup_free_ void *raw = NULL;
	_cleanup_free_ void *data = NULL;
	char name[IMG_KO_NAME_MAX];
	const char *base = strrchr(path, '/') + 1;
	size_t len, total = 0;
	int r;

	if (strcmp(base, "modules.builtin") == 0 && !d->builtin) {
		r = img_unpack_read(a, path, CONTROL_MAX, &data, &len, err);
		d->builtin = rsm_steal_ptr(data);
		return r;
	}
	if (!img_ko_name(path, name))
		return 0;
	for (size_t i = 0; i < d->modules.n; i++)
		total += d->modules.ko[i].len;
	if (d->modules.n >= MODULES_MAX || total > MODULES_SIZE_MAX)
		return rsm_fail(err, EFBIG, "too many kernel modules");
	r = img_unpack_read(a, path, MODULE_MAX, &data, &len, err);
	if (r < 0)
		return r;
	if (strstr(path, ".ko.")) {
		raw = rsm_steal_ptr(data);
		r = img_decompress(raw, len, path, MODULE_MAX, &data, &len, err);
		if (r < 0)
			return r;
	}
	r = img_ko_set_add(&d->modules, name, data, len, err);
	if (!r)
		data = NULL;
	return r;
}

static int on_data(struct archive *a, const char *path, struct img_deb *d, struct rsm_error *err)
{
	if (strncmp(path, "usr/", 4) == 0)
		path += 4;
	if (strncmp(path, "boot/vmlinuz-", 13) == 0 && !d->kernel)
		return img_unpack_read(a, path, IMG_KERNEL_MAX, &d->kernel, &d->kernel_len, err);
	if (strncmp(path, "lib/modules/", 12) == 0)
		return add_module(a, path, d, err);
	return 0;
}

static int read_members(struct archive *a, struct img_deb *d, struct rsm_error *err)
{
	bool control = false, data = false;

	for (;;) {
		struct archive_entry *entry;
		const char *name;
		int r = archive_read_next_header(a, &entry);

		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return img_unpack_error(a, "package", err);
		name = archive_entry_pathname(entry);
		if (name && strncmp(name, "control.tar", 11) == 0) {
			r = read_tar(a, "control.tar", on_control, d, err);
			control = true;
			if (!r && d->architecture[0] && strcmp(d->architecture, "amd64") != 0)
				r = rsm_fail(err, ENOEXEC,
					     "package is for architecture %s, amd64 needed",
					     d->architecture);
		} else if (name && strncmp(name, "data.tar", 8) == 0) {
			r = read_tar(a, "data.tar", on_data, d, err);
			data = true;
		}
		if (r < 0)
			return r;
	}
	if (!control || !data)
		return rsm_fail(err, EBADMSG, "not a Debian package, or cut off: it has no %s.tar",
				control ? "data" : "control");
	if (!d->kernel)
		return rsm_fail(
			err, ENOENT,
			"no kernel in the package: boot/vmlinuz-* is missing (package '%s')",
			d->package);
	return 0;
}

int img_deb_read(int fd, struct img_deb *ret, struct rsm_error *err)
{
	_cleanup_archive_read_ struct archive *a = archive_read_new();
	_cleanup_deb_ struct img_deb d = {0};
	int r;

	if (!a)
		return rsm_fail_errno(err, ENOMEM, "package");
	archive_read_support_format_ar(a);
	if (archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK)
		return rsm_fail(err, EBADMSG, "not a Debian package (an ar archive)");
	r = read_members(a, &d, err);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct img_deb){0};
	return 0;
}
