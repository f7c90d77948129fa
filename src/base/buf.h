/* SPDX-License-Identifier: Apache-2.0 */
/* Growable byte buffer: text building and stream reassembly. Zero-initialised is empty. */
#ifndef RSM_BASE_BUF_H
#define RSM_BASE_BUF_H

#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

/**
 * struct rsm_buf - Bytes [0, @len) of a heap block
 * @failed:	an append ran out of memory; later appends do nothing, so callers check once, with
 *		rsm_buf_ok(), at the end
 */
struct rsm_buf {
	char *data;
	size_t len;
	size_t size;
	int failed;
};

void rsm_buf_free(struct rsm_buf *b);
#define _cleanup_buf_ _cleanup_(rsm_buf_free)

/* Each returns 0 or -ENOMEM and keeps data NUL-terminated behind len. */
int rsm_buf_add(struct rsm_buf *b, const void *data, size_t len);
int rsm_buf_addstr(struct rsm_buf *b, const char *s);
int rsm_buf_addf(struct rsm_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for @len more bytes at the end; NULL if out of memory. Bump b->len after filling it. */
void *rsm_buf_reserve(struct rsm_buf *b, size_t len);

/* Drop the first @len bytes. */
void rsm_buf_consume(struct rsm_buf *b, size_t len);

static inline int rsm_buf_ok(const struct rsm_buf *b)
{
	return b->failed ? -ENOMEM : 0;
}

#endif
