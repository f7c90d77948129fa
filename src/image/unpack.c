/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include "base/math.h"

#include <errno.h>
#include <stdlib.h>

int img_unpack_error(struct archive *a, const char *what, struct rsm_error *err)
{
	const char *text = archive_error_string(a);

	return rsm_fail(err, archive_errno(a) == ENOMEM ? ENOMEM : EBADMSG, "%s: %s", what,
			text ? text : "damaged or cut off");
}

int img_unpack_read(struct archive *a, const char *what, size_t max, void **ret, size_t *ret_len,
		    struct rsm_error *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (size - len < 2) {
			size_t grown = size ? 2 * size : 65536;
			char *p;

			/* one byte more than @max tells "too large" from "just fits" */
			grown = rsm_min(grown, max + 2);
			if (grown == size)
				return rsm_fail(err, EFBIG, "%s: larger than %zu bytes", what, max);
			p = realloc(data, grown);
			if (!p)
				return rsm_fail_errno(err, ENOMEM, "%s", what);
			data = p;
			size = grown;
		}
		n = archive_read_data(a, data + len, size - len - 1);
		if (n == ARCHIVE_RETRY)
			continue;
		if (n < 0)
			return img_unpack_error(a, what, err);
		if (!n)
			break;
		len += (size_t)n;
	}
	data[len] = '\0';
	*ret = rsm_steal_ptr(data);
	*ret_len = len;
	return 0;
}

int img_decompress(const void *data, size_t len, const char *what, size_t max, void **ret,
		   size_t *ret_len, struct rsm_error *err)
{
	_cleanup_archive_read_ struct archive *a = archive_read_new();
	struct archive_entry *entry;

	if (!a)
		return rsm_fail_errno(err, ENOMEM, "%s", what);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_memory(a, data, len) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return img_unpack_error(a, what, err);
	return img_unpack_read(a, what, max, ret, ret_len, err);
}
