/* SPDX-License-Identifier: Apache-2.0 */
#include "image/initramfs.h"

#include "base/buf.h"
#include "base/io.h"
#include "image/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MODULES_DIR "modules/"
#define ORDER_FILE  MODULES_DIR "order"

/* One entry, @data of @len bytes for a regular file. */
static int put(struct archive *a, const char *path, mode_t mode, const void *data, size_t len,
	       struct rsm_error *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r = 0;

	if (!entry)
		return rsm_fail_errno(err, ENOMEM, "initramfs");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_nlink(entry, S_ISDIR(mode) ? 2 : 1);
	archive_entry_set_size(entry, (la_int64_t)len);
	archive_entry_set_mtime(entry, 0, 0);
	if (S_ISCHR(mode))
		archive_entry_set_rdev(entry, makedev(5, 1));
	if (archive_write_header(a, entry) != ARCHIVE_OK ||
	    (len && archive_write_data(a, data, len) != (la_ssize_t)len))
		r = rsm_fail(err, archive_errno(a) ? archive_errno(a) : EIO,
			     "write initramfs entry '%s': %s", path, archive_error_string(a));
	archive_entry_free(entry);
	return r;
}

static int put_modules(struct archive *a, const struct img_ko_set *set, const size_t *order,
		       size_t n_order, struct rsm_error *err)
{
	_cleanup_buf_ struct rsm_buf list = {0};
	int r = put(a, "modules", S_IFDIR | 0755, NULL, 0, err);

	for (size_t i = 0; !r && i < n_order; i++) {
		const struct img_ko *ko = &set->ko[order[i]];
		char path[sizeof(MODULES_DIR) + IMG_KO_NAME_MAX + 8];

		rsm_format(path, sizeof(path), MODULES_DIR "%s.ko", ko->name);
		r = put(a, path, S_IFREG | 0644, ko->data, ko->len, err);
		rsm_buf_addf(&list, "%s.ko%s%s\n", ko->name, ko->when[0] ? " " : "", ko->when);
	}
	if (r < 0)
		return r;
	if (rsm_buf_ok(&list) < 0)
		return rsm_fail_errno(err, ENOMEM, "initramfs");
	return put(a, ORDER_FILE, S_IFREG | 0644, list.data, list.len, err);
}

int img_initramfs_write(int fd, const void *agent, size_t agent_len, const struct img_ko_set *set,
			const size_t *order, size_t n_order, struct rsm_error *err)
{
	_cleanup_archive_write_ struct archive *a = archive_write_new();
	int r;

	if (!a)
		return rsm_fail_errno(err, ENOMEM, "initramfs");
	archive_write_set_format_cpio_newc(a);
	archive_write_set_bytes_in_last_block(a, 1);
	if (archive_write_open_fd(a, fd) != ARCHIVE_OK)
		return rsm_fail(err, EIO, "initramfs: %s", archive_error_string(a));
	r = put(a, "dev", S_IFDIR | 0755, NULL, 0, err);
	if (!r)
		r = put(a, "dev/console", S_IFCHR | 0600, NULL, 0, err);
	if (!r)
		r = put(a, "init", S_IFREG | 0755, agent, agent_len, err);
	if (!r)
		r = put_modules(a, set, order, n_order, err);
	if (!r && archive_write_close(a) != ARCHIVE_OK)
		r = rsm_fail(err, archive_errno(a) ? archive_errno(a) : EIO, "write initramfs: %s",
			     archive_error_string(a));
	return r;
}

/* ---------------------------------------------------------------- reading one back */

static int read_entry(struct archive *a, const char *path, struct img_ko_set *set, char **order,
		      struct rsm_error *err)
{
	_cleanup_free_ void *data = NULL;
	char name[IMG_KO_NAME_MAX];
	size_t len;
	int r;

	if (strncmp(path, MODULES_DIR, strlen(MODULES_DIR)) != 0)
		return 0;
	r = img_unpack_read(a, path, IMG_INITRAMFS_MAX, &data, &len, err);
	if (r < 0)
		return r;
	if (strcmp(path, ORDER_FILE) == 0) {
		free(*order);
		*order = rsm_steal_ptr(data);
	} else if (img_ko_name(path, name)) {
		r = img_ko_set_add(set, name, data, len, err);
		if (!r)
			data = NULL;
	}
	return r;
}

static int read_entries(int fd, struct img_ko_set *set, char **order, struct rsm_error *err)
{
	_cleanup_archive_read_ struct archive *a = archive_read_new();

	if (!a)
		return rsm_fail_errno(err, ENOMEM, "initramfs");
	archive_read_support_format_cpio(a);
	if (archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK)
		return img_unpack_error(a, "initramfs", err);
	for (;;) {
		struct archive_entry *entry;
		int r = archive_read_next_header(a, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return img_unpack_error(a, "initramfs", err);
		if (archive_entry_pathname(entry)) {
			r = read_entry(a, archive_entry_pathname(entry), set, order, err);
			if (r < 0)
				return r;
		}
	}
}

/* The modules named in @text, one a line. */
static int apply_order(struct img_ko_set *set, char *text, size_t *order, size_t *n_order,
		       struct rsm_error *err)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char name[IMG_KO_NAME_MAX], *when = strchr(line, ' ');
		size_t from = *n_order;
		int r;

		if (when)
			*when++ = '\0';
		if (!img_ko_name(line, name))
			return rsm_fail(err, EBADMSG, "initramfs: '%s' in its module order", line);
		r = img_ko_order(set, name, order, n_order, err);
		for (; r == 0 && when && from < *n_order; from++)
			r = rsm_format(set->ko[order[from]].when, IMG_KO_WHEN_MAX, "%s", when);
		if (r < 0)
			return r;
	}
	return 0;
}

int img_initramfs_read_modules(int fd, struct img_ko_set *ret_set, size_t **ret_order,
			       size_t *ret_n_order, struct rsm_error *err)
{
	struct img_ko_set set = {0};
	_cleanup_free_ size_t *order = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n_order = 0;
	int r = read_entries(fd, &set, &text, err);

	if (!r && !text)
		r = rsm_fail(err, EBADMSG, "initramfs: it has no " ORDER_FILE);
	if (!r) {
		order = calloc(set.n + 1, sizeof(*order));
		r = order ? apply_order(&set, text, order, &n_order, err)
			  : rsm_fail_errno(err, ENOMEM, "initramfs");
	}
	if (r < 0) {
		img_ko_set_free(&set);
		return r;
	}
	*ret_set = set;
	*ret_order = rsm_steal_ptr(order);
	*ret_n_order = n_order;
	return 0;
}
