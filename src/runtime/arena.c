// SPDX-License-Identifier: Apache-2.0
#include "runtime/arena.h"

#include "base/math.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) char data[];
};

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
	struct arena_block *b = NULL;
	size_t bytes;

	if (rsm_mul(n, size, &bytes) && rsm_add(bytes, sizeof(*b), &bytes))
		b = calloc(1, bytes);
	if (!b) {
		a->failed = true;
		return NULL;
	}
	b->next = a->blocks;
	a->blocks = b;
	return b->data;
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t len = strlen(s) + 1;
	char *copy = arena_alloc(a, len, 1);

	return copy ? memcpy(copy, s, len) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	text = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1, 1);
	if (text)
		(void)vsnprintf(text, (size_t)n + 1, fmt, again);
	else
		a->failed = true;
	va_end(again);
	va_end(ap);
	return text;
}

void arena_free(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	a->failed = false;
}
