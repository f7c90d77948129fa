/* SPDX-License-Identifier: Apache-2.0 */
/* Archives and compressed streams in memory or files, through libarchive, which is included in
 * src/image only. */
#ifndef RSM_IMAGE_UNPACK_H
#define RSM_IMAGE_UNPACK_H

#include "base/cleanup.h"
#include "base/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <stddef.h>

RSM_DEFINE_CLEANUP(struct archive *, archive_read_free, NULL);
RSM_DEFINE_CLEANUP(struct archive *, archive_write_free, NULL);
#define _cleanup_archive_read_  _cleanup_(archive_read_freep)
#define _cleanup_archive_write_ _cleanup_(archive_write_freep)

/**
 * img_unpack_read() - The current entry's contents
 * @what:	names it in errors
 * @max:	most bytes accepted
 * @ret:	malloc'ed, NUL-terminated behind the last byte
 *
 * Return: 0, -EFBIG, -EBADMSG if the archive is damaged or cut off, -ENOMEM
 */
int img_unpack_read(struct archive *a, const char *what, size_t max, void **ret, size_t *ret_len,
		    struct rsm_error *err);

/* The archive's last error as an error of ours: "WHAT: libarchive's words". */
int img_unpack_error(struct archive *a, const char *what, struct rsm_error *err);

/**
 * img_decompress() - Undo gzip, xz, lzma, bzip2, zstd or lz4, told apart by their first bytes
 * @what:	names the data in errors
 * @max:	most bytes accepted
 * @ret:	as img_unpack_read(); a copy if @data is not compressed
 */
int img_decompress(const void *data, size_t len, const char *what, size_t max, void **ret,
		   size_t *ret_len, struct rsm_error *err);

#endif
