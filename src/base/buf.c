// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include "base/error.h"
#include "base/math.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rsm_buf_free(struct rsm_buf *b)
{
	free(b->data);
	*b = (struct rsm_buf){ 0 };
}

void *rsm_buf_reserve(struct rsm_buf *b, size_t len)
{
	size_t need, size = b->size ? b->size : 64;
	char *grown;

	if (b->failed || !rsm_add(b->len, len, &need) || !rsm_add(need, 1, &need)) {
		b->failed = 1;
		return NULL;
	}
	if (need > b->size) {
		while (size < need) {
			if (!rsm_mul(size, 2, &size)) {
				b->failed = 1;
				return NULL;
			}
		}
		grown = realloc(b->data, size);
		if (!grown) {
			b->failed = 1;
			return NULL;
		}
		b->data = grown;
		b->size = size;
	}
	return b->data + b->len;
}

int rsm_buf_add(struct rsm_buf *b, const void *data, size_t len)
{
	char *at = rsm_buf_reserve(b, len);

	if (!at)
		return -ENOMEM;
	if (len > 0)
		memcpy(at, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int rsm_buf_addstr(struct rsm_buf *b, const char *s)
{
	return rsm_buf_add(b, s, strlen(s));
}

int rsm_buf_addf(struct rsm_buf *b, const char *fmt, ...)
{
	va_list ap;
	char *at;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = 1;
		return -ENOMEM;
	}
	at = rsm_buf_reserve(b, (size_t)n);
	if (!at)
		return -ENOMEM;
	va_start(ap, fmt);
	(void)vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void rsm_buf_consume(struct rsm_buf *b, size_t len)
{
	rsm_assert(len <= b->len);
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}
